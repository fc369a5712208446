"""Numbers as people read them, and rows of texts as tables for the terminal and for markdown."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

Row = dict[str, str]

NOTHING = "–"
STATUS_STYLE = {"completed": "green", "running": "yellow", "pruned": "dim", "failed": "red"}


def number(value: float | None) -> str:
    """Four significant digits, never an exponent below a million."""
    if value is None or not math.isfinite(value):
        return NOTHING if value is None else str(value)
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{value:.0f}"
    if 1e-3 <= abs(value) < 1e6:
        digits = max(0, 3 - math.floor(math.log10(abs(value))))
        return f"{value:.{digits}f}" if abs(value) >= 10 else f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return f"{value:.3g}"


def plus_minus(value: float | None, error: float | None) -> str:
    """A value with its standard error, both to the first digit of the error."""
    if value is None or error is None or not (math.isfinite(value) and error > 0):
        return number(value)
    digits = max(0, -math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}" if digits <= 6 else f"{value:.3g} ± {error:.1g}"


def duration(seconds: float | None) -> str:
    """Seconds as `45s`, `3.2m` or `1.5h`."""
    if seconds is None:
        return NOTHING
    if seconds < 100:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.1f}m" if seconds < 6000 else f"{seconds / 3600:.1f}h"


def table(rows: Sequence[Row], numeric: Collection[str] = (), wrapped: Collection[str] = ()) -> Table:
    """A rich table: `numeric` columns to the right, `wrapped` ones free to take several lines."""
    result = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in rows[0] if rows else ():
        right = name in numeric
        result.add_column(name, justify="right" if right else "left", no_wrap=name not in wrapped, overflow="fold")
    for row in rows:
        result.add_row(*(Text(cell, style=_style(name, cell)) for name, cell in row.items()))
    return result


def _style(name: str, cell: str) -> str:
    if name == "status":
        return STATUS_STYLE.get(cell.split(" ")[0], "")
    return "dim" if cell == NOTHING else ""


def natural_width(result: Table) -> int:
    """Columns of the terminal that a table needs to break no line."""
    console = Console(width=10_000)
    return Measurement.get(console, console.options, result).maximum


def markdown(rows: Sequence[Row], numeric: Collection[str] = ()) -> list[str]:
    """The lines of a table in GitHub's markdown."""
    if not rows:
        return []
    lines = [list(rows[0]), ["---:" if name in numeric else "---" for name in rows[0]], *(r.values() for r in rows)]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
