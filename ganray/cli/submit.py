"""`ganray submit`: a sweep as a job on a Ray cluster."""

from pathlib import Path

import click

from ganray.cli.options import (
    device_hours_option,
    experiment_argument,
    jobs_address_option,
    set_option,
    slots_option,
    sweep_arguments,
    time_option,
    trials_option,
    until_option,
)

python_option = click.option(
    "--python", default="python", show_default=True, metavar="PATH",
    help="The head's Python that has GANRay's dependencies; an absolute path is safest.",
)  # fmt: skip

weights_option = click.option(
    "--fid-weights", metavar="PATH", help="The FID Inception's weights: an absolute path on the nodes."
)

detach_option = click.option("--detach", is_flag=True, help="Print the job's id and leave; do not follow it.")


@click.command()
@experiment_argument
@jobs_address_option
@click.option("--resume", is_flag=True, help="Go on with a sweep that was interrupted; finished trials are not redone.")
@click.option("--fresh", is_flag=True, help="Forget this experiment's checkpoints and study; rows in the store stay.")
@detach_option
@python_option
@trials_option
@time_option
@device_hours_option
@until_option
@slots_option
@weights_option
@set_option
def command(
    experiment: Path,
    address: str,
    resume: bool,
    fresh: bool,
    detach: bool,
    python: str,
    trials: int | None,
    time_s: float | None,
    device_hours: float | None,
    until: str | None,
    slots: int | None,
    fid_weights: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Hand a sweep in to a Ray cluster and follow it.

    GANRay's code and the experiment file are sent; images are not. Give data.source, runs and store as places that
    every node reaches. Ctrl-C detaches: the job goes on.

    \b
    Examples:
      ssh -N -L 8265:localhost:8265 HEAD &          # the dashboard listens on its head's localhost alone
      ganray submit experiments/few_shot_256.yaml --set data.source=/shared/cats --set runs=s3://bucket/runs
      ganray submit experiments/few_shot_256.yaml --trials 40 --time 12h --detach --python /opt/venv/bin/python
      ganray status; ganray logs few_shot_256 --follow; ganray stop few_shot_256
      ganray resume experiments/few_shot_256.yaml
    """
    if resume and fresh:
        raise click.UsageError("--resume goes on with the earlier sweep and --fresh forgets it: give one of them")
    arguments = sweep_arguments(trials, time_s, device_hours, slots) + (("--fresh",) if fresh else ())
    hand_in(experiment, overrides, address, arguments, until, fid_weights, python, resume=resume, detach=detach)


def hand_in(
    path: Path,
    overrides: tuple[str, ...],
    address: str,
    arguments: tuple[str, ...],
    until: str | None,
    fid_weights: str | None,
    python: str,
    *,
    resume: bool,
    detach: bool,
) -> None:
    """Submit and, unless told otherwise, follow; ends with the job's exit code."""
    from ganray.cluster.jobs import Submission, follow, is_readable, submit
    from ganray.cluster.jobs_client import Jobs
    from ganray.recipe.experiment import load_experiment

    loaded = load_experiment(path, overrides)
    if is_readable(address):
        click.echo(f"ganray: {address} is not encrypted and leaves this machine; an SSH tunnel is safer", err=True)
    jobs = Jobs(address)
    job = submit(loaded, Submission(arguments, until, overrides, fid_weights, python, resume), jobs, click.echo)
    if not detach:
        raise SystemExit(follow(job, jobs, click.echo, str(path)))
