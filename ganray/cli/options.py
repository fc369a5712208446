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
