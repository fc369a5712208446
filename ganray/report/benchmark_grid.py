"""What a benchmark's table says, as grids of texts, notes and commands, before any format."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from ganray.report.benchmark_published import Published, PublishedRow
from ganray.report.benchmark_table import BenchmarkTable, Ours, TableCell
from ganray.report.benchmarks import Column
from ganray.report.cells import NOTHING, Row, number

SECONDARY, PARTIAL, ALONE = "†", "‡", "¹"
"""Marks: a published number read at second hand, another budget than the benchmark's, a single seed."""

HOUR_S = 3600.0

_WIDTHS = (28, 32)
"""Characters of the first two columns on a terminal."""


@dataclass(frozen=True)
class Line:
    """One line of a grid: what it says, and a text per column."""

    head: str
    what: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A part of the page that becomes one table. `heads`: of the first two columns. `groups`: lines with one head."""

    title: str
    heads: tuple[str, str]
    columns: tuple[Column, ...]
    groups: tuple[tuple[Line, ...], ...]

    def rows(self) -> list[Row]:
        """Header to cell; a group's head stands in its first line."""
        return [
            {
                self.heads[0]: line.head if i == 0 else "",
                self.heads[1]: line.what,
                **{header(column): text for column, text in zip(self.columns, line.texts)},
            }
            for group in self.groups
            for i, line in enumerate(group)
        ]

    def part(self, start: int, end: int) -> list[Row]:
        """The rows for some of the columns, its texts broken into lines for a terminal."""
        columns = [header(column) for column in self.columns[start:end]]
        return [
            {head: textwrap.fill(row[head], width) for head, width in zip(self.heads, _WIDTHS)}
            | {column.replace(" (", "\n("): row[column] for column in columns}
            for row in self.rows()
        ]


def grids(board: BenchmarkTable) -> list[Grid]:
    """The benchmark's own grid, and one per protocol of the other papers' rows."""
    benchmark = board.benchmark
    title = (
        f"{benchmark.name}: {benchmark.title}; {benchmark.metric.number} under {benchmark.protocol}, lower is better, "
        f"{board.show} checkpoint, {benchmark.budget_kimg:g} kimg"
    )
    groups = tuple(_group(board.row(method)) for method in benchmark.methods)
    result = [Grid(title, ("method", "number"), benchmark.columns, groups)]
    for (protocol, metric), rows in groupby(board.others, key=lambda row: (row.protocol, row.metric)):
        those = list(rows)
        words = "the same protocol" if protocol == benchmark.protocol else "NOT comparable with the table above"
        columns = tuple(c for c in benchmark.columns if any(c.id in row.values for row in those))
        papers = tuple(
            tuple(_other(row, columns) for row in of_paper)
            for _, of_paper in groupby(those, key=lambda row: (row.year, row.paper))
        )
        result.append(Grid(f"Other papers, {metric} ({words})", ("paper", "method"), columns, papers))
    return result


def _group(cells: Sequence[TableCell]) -> tuple[Line, ...]:
    """The lines of one method: published, ours, and, where there is something of ours, what it is worth and cost."""
    label = cells[0].method.label
    lines = []
    if any(cell.published for cell in cells):
        lines.append(("paper", [_published(cell.published) for cell in cells]))
    if any(cell.command or cell.ours for cell in cells):
        lines.append(("ours", [_ours(cell.ours) for cell in cells]))
    if any(cell.difference is not None for cell in cells):
        lines.append(("difference", [_signed(cell.difference) for cell in cells]))
    if any(cell.ours for cell in cells):
        lines += [(what, [text(cell.ours) if cell.ours else NOTHING for cell in cells]) for what, text in _DETAILS]
    if any(cell.ours and cell.ours.memorised is not None for cell in cells):
        lines.append(("memorised", [_memorised(cell.ours) for cell in cells]))
    if not lines:
        lines.append(("", [NOTHING for _ in cells]))
    return tuple(Line(label, what, tuple(texts)) for what, texts in lines)


def _other(row: PublishedRow, columns: Sequence[Column]) -> Line:
    paper = f"{row.paper} ({row.year})" if row.year else row.paper
    method = f"{row.method}, {row.variant}" if row.variant else row.method
    return Line(paper, method, tuple(_published(row.values.get(column.id)) for column in columns))


def _published(value: Published | None) -> str:
    if value is None:
        return NOTHING
    return f"{value.value:g}{SECONDARY if value.status == 'secondary' else ''}"


def _ours(ours: Ours | None) -> str:
    if ours is None:
        return NOTHING
    mark = "" if ours.is_full else PARTIAL
    if ours.half is None:
        return f"{number(ours.mean)}{ALONE}{mark}"
    return f"{_with_half(ours.mean, ours.half)}{mark}"


def _with_half(mean: float, half: float) -> str:
    """Both to the second digit of the half: `41.23 ± 0.45`, `329.1 ± 3.0`, `42 ± 25`."""
    digits = max(0, 1 - math.floor(math.log10(half))) if half > 0 else 2
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def _signed(value: float | None) -> str:
    if value is None:
        return NOTHING
    text = number(abs(value)) if abs(value) >= 0.005 else "0"
    return text if text == "0" else f"{'+' if value > 0 else '−'}{text}"


def _reached(ours: Ours) -> str:
    low, high = min(ours.kimg), max(ours.kimg)
    reached = number(low) if low == high else f"{number(low)} to {number(high)}"
    return reached if ours.is_full else f"{reached} of {number(ours.budget_kimg)}"


def _memorised(ours: Ours | None) -> str:
    return NOTHING if ours is None or ours.memorised is None else f"{100 * ours.memorised:.0f} %"


_DETAILS: tuple[tuple[str, Callable[[Ours], str]], ...] = (
    ("seeds", lambda ours: str(len(ours.seeds))),
    ("at kimg", _reached),
    ("device-h", lambda ours: f"{ours.device_s / HOUR_S:.3g}"),
)


def notes(board: BenchmarkTable) -> list[str]:
    """What the marks mean, what a reader must know, and what did not count."""
    benchmark = board.benchmark
    ours = [cell.ours for cell in board.cells if cell.ours]
    read = [cell.published for cell in board.cells if cell.published]
    read += [value for row in board.others for value in row.values.values()]
    found = [f"source of the table: {benchmark.source}"]
    if any(value.status == "secondary" for value in read):
        found.append(f"{SECONDARY} read at second hand (slides, notes or aggregators that copy the paper's number)")
    if any(o.half is not None for o in ours):
        found.append("± half of Student's interval at 95 % for the mean over the seeds")
    if any(o.half is None for o in ours):
        found.append(f"{ALONE} a single seed: no interval, and a small difference may be luck")
    if any(not o.is_full for o in ours):
        found.append(
            f"{PARTIAL} another budget than the benchmark's {benchmark.budget_kimg:g} kimg: does not compare, so no "
            f"difference is shown"
        )
    if any(cell.difference is not None for cell in board.cells):
        found.append("difference: ours minus the published number; below 0, ours is better")
    if read:
        found.append(
            "published FIDs come from the papers' own code: its Inception, its resizing and its choice of the "
            "checkpoint may be worth a point or two"
        )
    if any(o.memorised is not None for o in ours):
        found.append("memorised: fakes nearer to a training image than that image's nearest other one")
    found += [*benchmark.notes, *board.notes]
    if board.n_others and not board.others:
        found.append(f"--with-published shows {board.n_others} more published numbers for these data sets")
    return found


def commands(board: BenchmarkTable) -> list[str]:
    """The commands that fill the missing cells, in the table's order; before several, the one for all of them."""
    single = [cell.command for cell in board.cells if cell.command]
    return single if len(single) < 2 else [f"ganray reproduce {board.benchmark.name}", *single]


def header(column: Column) -> str:
    """`Obama (100)`: the data set and its number of images."""
    return f"{column.label} ({column.n})"
