"""`ganray sweep`: search an experiment's space on Ray."""

from pathlib import Path

import click

from ganray.cli.options import (
    device_hours_option,
    experiment_argument,
    fid_weights_option,
    make_console,
    set_option,
    slots_option,
    time_option,
    trials_option,
    until_option,
)


@click.command()
@experiment_argument
@trials_option
@time_option
@device_hours_option
@until_option
@slots_option
@click.option("--address", help="A running Ray cluster (auto, or HOST:PORT); left out: Ray starts on this machine.")
@click.option("--cpus", type=click.IntRange(min=1), help="CPUs that Ray may use on this machine; left out: all.")
@click.option("--resume", is_flag=True, help="Go on with a sweep that was interrupted; finished trials are not redone.")
@click.option("--resume-or-start", is_flag=True, help="--resume where there is a sweep to go on with, else begin it.")
@click.option("--fresh", is_flag=True, help="Forget this experiment's checkpoints and study; rows in the store stay.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path),
    help="Where the best trials' samples go.",
)
@click.option("--verbose", is_flag=True, help="Show Ray's own log.")
@fid_weights_option
@set_option
def command(
    experiment: Path,
    trials: int | None,
    time_s: float | None,
    device_hours: float | None,
    until: str | None,
    slots: int | None,
    address: str | None,
    cpus: int | None,
    resume: bool,
    resume_or_start: bool,
    fresh: bool,
    pictures: Path | None,
    verbose: bool,
    fid_weights: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Search an experiment's space: Optuna proposes recipes, Ray Train trains them, FID ranks them.

    Ctrl-C, SIGTERM or a closed terminal end it so that --resume goes on; a second one ends it at once, and --resume
    goes on all the same (exit code 130). --time, --device-hours and --until end it likewise, within one report, with
    exit code 0.

    \b
    Examples:
      ganray sweep experiments/quickstart.yaml
      ganray sweep experiments/quickstart.yaml --set data.source=my_images/ --set name=mine --time 30m
      ganray sweep experiments/few_shot_256.yaml --address auto --trials 40
      ganray sweep experiments/few_shot_256.yaml --device-hours 24 --until 'fid_5k_train<40'
      ganray sweep experiments/few_shot_256.yaml --resume
    """
    if fresh and (resume or resume_or_start):
        raise click.UsageError("--resume goes on with the earlier sweep and --fresh forgets it: give one of them")
    console = make_console()
    console.print(f"[dim]ganray: reading {experiment}[/]", highlight=False)

    from ganray.cluster.sweep import SweepOptions, run_sweep
    from ganray.recipe.experiment import load_experiment
    from ganray.report.after_sweep import print_result
    from ganray.trial.folder import Runs

    options = SweepOptions(
        trials=trials,
        time_s=time_s,
        device_hours=device_hours,
        until=until,
        slots=slots,
        address=address,
        num_cpus=cpus,
        resume=None if resume_or_start else resume,
        fresh=fresh,
        verbose=verbose,
        fid_weights=fid_weights,
    )
    loaded = load_experiment(experiment, overrides)
    result = run_sweep(loaded, options, console)
    print_result(result, pictures or Runs.at(loaded.settings.runs).folder / loaded.name / "best.png", console)
    if result.is_unfinished and not result.is_limit_reached:
        raise SystemExit(130)
