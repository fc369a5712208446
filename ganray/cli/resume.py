"""`ganray resume`: go on with a sweep on a cluster."""

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
from ganray.cli.submit import detach_option, hand_in, python_option, weights_option


@click.command()
@experiment_argument
@jobs_address_option
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
    """Go on with a sweep that was stopped or cut off, as a new job: `ganray submit --resume`.

    Finished trials are not redone; the others go on from their checkpoints. Give the same --set as before.

    \b
    Examples:
      ganray resume experiments/few_shot_256.yaml
      ganray resume experiments/few_shot_256.yaml --set data.source=/shared/cats --set runs=s3://bucket/runs --detach
    """
    arguments = sweep_arguments(trials, time_s, device_hours, slots)
    hand_in(experiment, overrides, address, arguments, until, fid_weights, python, resume=True, detach=detach)
