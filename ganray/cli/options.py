"""Options that several verbs share."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

experiment_argument = click.argument("experiment", type=click.Path(path_type=Path))

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one value of the file, for example --set budget.kimg=10 or --set tricks[0].decay=0.99. "
    "May be given several times.",
)

fid_weights_option = click.option(
    "--fid-weights",
    type=click.Path(path_type=Path),
    envvar="GANRAY_FID_WEIGHTS",
    help="The FID Inception's weights; left out: pytorch-fid's cache, then its download.",
)

trials_option = click.option(
    "--trials", type=click.IntRange(min=1), help="Trials in all; left out: search.trials of the file."
)

device_hours_option = click.option(
    "--device-hours",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop once the workers have used so many device-hours; --resume goes on.",
)

until_option = click.option(
    "--until",
    metavar="PROTOCOL<VALUE",
    help="Stop once a trial is better than this, for example --until 'fid_5k_train<30'; --resume goes on.",
)

slots_option = click.option(
    "--slots", type=click.IntRange(min=1), help="Trials side by side; left out: as many as the cluster has room for."
)

jobs_address_option = click.option(
    "--address",
    envvar="RAY_API_SERVER_ADDRESS",
    default="http://127.0.0.1:8265",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="The dashboard of the cluster's head; a tunnel to it ends on localhost.",
)

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def make_console() -> "Console":
    """The terminal; 100 columns where there is none to ask."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=100)


class Duration(click.ParamType):
    """`90s`, `30m`, `2h`, `1h30m`; a number without a unit counts as seconds. Above 0."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).replace(" ", "")
        text += "s" if re.fullmatch(r"\d+(\.\d+)?", text) else ""
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
        seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
        if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
            self.fail(f"{value!r} is no duration; write it as 90s, 30m, 2h or 1h30m", param, ctx)
        return seconds


time_option = click.option(
    "--time", "time_s", type=Duration(), help="Stop after this long (90s, 30m, 2h); --resume goes on."
)


def sweep_arguments(
    trials: int | None, time_s: float | None, device_hours: float | None, slots: int | None
) -> tuple[str, ...]:
    """These options of `ganray sweep` as they are typed; those that were given."""
    given = {
        "--trials": trials,
        "--time": None if time_s is None else f"{time_s:.15g}s",
        "--device-hours": None if device_hours is None else f"{device_hours:.15g}",
        "--slots": slots,
    }
    return tuple(text for name, value in given.items() if value is not None for text in (name, str(value)))
