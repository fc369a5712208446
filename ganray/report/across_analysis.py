"""What is asked of a ranking beyond its rows: what the choices are worth, and the picture of its fronts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganray.errors import StoreError
from ganray.report.across import Across, Section, Standing, told_apart
from ganray.report.across_rows import HOUR_S
from ganray.report.choices import sample
from ganray.report.importance import Importances, importances
from ganray.report.marginal import Marginals, marginals
from ganray.report.pareto import Panel, picture


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """None where it was not asked for; `refused` is the reason why there is neither."""

    importances: Importances | None = None
    effects: Marginals | None = None
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class View:
    """A ranking with what of it is shown: the first `top` rows, the fronts as lists, an analysis per section."""

    board: Across
    top: int
    lists_fronts: bool
    analyses: tuple[Analysis, ...]

    def rows(self, section: Section) -> tuple[tuple[Standing, ...], dict[str, str]]:
        """The rows to show, told apart, and the labels of what tells them apart."""
        return told_apart(section.rows[: self.top])


def view(
    board: Across, *, top: int, lists_fronts: bool = False, importance: bool = False, effects: bool = False
) -> View:
    """Everything that was asked of a ranking, ready to be printed."""
    analyses = tuple(analyse(section, importance, effects) for section in board.sections)
    return View(board=board, top=top, lists_fronts=lists_fronts, analyses=analyses)


def analyse(section: Section, importance: bool, effects: bool) -> Analysis:
    """Importances and marginal effects of one section's recipes, or why there are none."""
    if not (importance or effects):
        return Analysis()
    try:
        found = sample(section)
    except StoreError as error:
        return Analysis(refused=str(error))
    return Analysis(
        importances=importances(found) if importance else None, effects=marginals(found) if effects else None
    )


def fronts(section: Section) -> tuple[tuple[Standing, ...], tuple[Standing, ...]]:
    """The recipes on the front of quality against device time, and those on the front against copying."""
    cost = [row for row in section.rows if row.on_cost_front]
    memory = [row for row in section.rows if row.on_memory_front]
    return tuple(cost), tuple(memory)


def fronts_picture(board: Across, path: str | Path) -> Path:
    """Write the scatters of quality against device-hours and against copying, a line of two per section, as a PNG."""
    return picture([_panels(board, section) for section in board.sections], path)


def _panels(board: Across, section: Section) -> Sequence[Panel]:
    of = f" ({section.fingerprint[:8]})" if len(board.sections) > 1 else ""
    names = [f"#{row.rank}" for row in section.rows]
    hours = [None if row.device_s is None else row.device_s / HOUR_S for row in section.rows]
    means = [row.mean for row in section.rows]
    copied = [row.memorised for row in section.rows]
    return (
        Panel(
            f"{board.dataset}{of}: quality against cost", "device-hours", board.protocol, list(zip(hours, means)), names
        ),
        Panel(
            f"{board.dataset}{of}: quality against copying",
            "share of samples that copy",
            board.protocol,
            list(zip(copied, means)),
            names,
        ),
    )
