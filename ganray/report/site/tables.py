"""The index page's tables and parallel coordinates, as texts with the values that they are sorted by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ganray.report.cells import NOTHING, duration, number, plus_minus
from ganray.report.recipes import Flat, Value, differing, labels, show
from ganray.report.render import words
from ganray.report.site.analysis import Choices, choices
from ganray.report.site.collect import Board, Ranked, Ranking, Seeds, Trial
from ganray.store.schema import EvaluationRow, TrialRow

MOST_FIELDS = 8
"""Fields of the recipe that have a column each; more of them share one."""
MOST_AXES = 9
"""Fields on the parallel coordinates, those with the fewest values first left out."""
FEWEST_LINES = 3
"""Trials that parallel coordinates are worth drawing for."""

METRICS: dict[str, tuple[str, str]] = {
    "precision": ("precision", "share of fakes within the reals' manifold; higher is better"),
    "recall": ("recall", "share of reals within the fakes' manifold; higher is better"),
    "density": ("density", "how many reals' neighbourhoods hold a fake; higher is better"),
    "coverage": ("coverage", "share of reals whose neighbourhood holds a fake; higher is better"),
    "memorised": (
        "memorised",
        "share of fakes nearer to a training image than that image's nearest other; new images have about 0.3 to 0.4",
    ),
}
"""Column of an evaluation to its heading and what it means."""


@dataclass(frozen=True)
class Column:
    """A heading; `hint` says what it is where the name does not."""

    name: str
    is_numeric: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Cell:
    """A text, and the number it is sorted by where it is one."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Line:
    """A trial's line."""

    trial: Trial
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """The lines of one data set."""

    title: str
    lines: tuple[Line, ...]
    axes: dict[str, Any] | None
    """What the parallel coordinates draw."""
    best: tuple[Ranked, ...]
    choices: Choices | None


@dataclass(frozen=True)
class BoardTable:
    """One protocol's table."""

    title: str
    checksum: str
    columns: tuple[Column, ...]
    sections: tuple[Section, ...]


def board_table(board: Board, is_one_experiment: bool, n_best: int = 4) -> BoardTable:
    """The table of a board; columns that have nothing to say are left out."""
    members = [each.trial for ranking in board.rankings for each in ranking.ranked]
    recipes = {trial.row.trial_id: trial.recipe for trial in members}
    paths = tuple(path for path in differing(recipes) if path != "seed")
    names = labels(paths)
    columns, rows = _columns([each for ranking in board.rankings for each in ranking.ranked], names, is_one_experiment)
    filled = iter(rows)
    sections = []
    for ranking in board.rankings:
        lines = tuple(Line(each.trial, tuple(next(filled))) for each in ranking.ranked)
        best = tuple(each for each in ranking.ranked if each.rank is not None)[:n_best]
        sections.append(Section(_title(ranking), lines, _axes(ranking), best, choices(ranking)))
    title = board.protocol or "Not evaluated yet"
    return BoardTable(title, (board.checksum or "")[:12], columns, tuple(sections))


def _title(ranking: Ranking) -> str:
    return (
        f"{ranking.dataset}: {ranking.n_images} images at {ranking.resolution} px "
        f"({ranking.fingerprint[:8] or 'no fingerprint'})"
    )


def _columns(
    ranked: Sequence[Ranked], names: dict[str, str], is_one_experiment: bool
) -> tuple[tuple[Column, ...], list[list[Cell]]]:
    """Headings and one list of cells for each trial."""
    table = {Column(name, is_numeric, hint): cells for name, is_numeric, hint, cells in _all(ranked, names)}
    dull = {"experiment"} if is_one_experiment else set()
    dull |= {"seed"} if len({each.trial.row.seed for each in ranked}) == 1 else set()
    kept = {
        column: cells
        for column, cells in table.items()
        if column.name not in dull and any(cell.text != NOTHING for cell in cells)
    }
    return tuple(kept), [list(cells) for cells in zip(*kept.values())]


def _all(ranked: Sequence[Ranked], names: dict[str, str]) -> Iterable[tuple[str, bool, str, list[Cell]]]:
    best = [each.score.best if each.score else None for each in ranked]
    final = [each.score.final if each.score else None for each in ranked]
    rows = [each.trial.row for each in ranked]
    yield "#", True, "rank within the data set", [_numeric(each.rank) for each in ranked]
    yield "experiment", False, "", [Cell(row.experiment) for row in rows]
    yield "status", False, "", [Cell(row.status) for row in rows]
    yield "went wrong", False, "what was found while it trained", [Cell(_troubles(row)) for row in rows]
    yield "best", True, "Fréchet distance of the best checkpoint; lower is better", _metric(best, "frechet")
    yield "@ kimg", True, "where the best checkpoint was", _metric(best, "kimg")
    yield "final", True, "Fréchet distance of the last checkpoint; lower is better", _metric(final, "frechet")
    kid = [Cell(plus_minus(row.kid, row.kid_stderr), row.kid) if row else Cell(NOTHING) for row in best]
    yield "KID", True, "kernel distance of the best checkpoint with its standard error; lower is better", kid
    yield "memorised", True, METRICS["memorised"][1], [_share(row, "memorised") for row in best]
    if len(names) <= MOST_FIELDS:
        for path, label in names.items():
            yield label, _is_number(path, ranked), path, [_field(each.trial.recipe.get(path)) for each in ranked]
    else:
        recipes = [words([(path, label, each.trial.recipe.get(path)) for path, label in names.items()])
                   for each in ranked]  # fmt: skip
        yield "recipe", False, "what the recipes differ in", [Cell(text or NOTHING) for text in recipes]
    for column in ("precision", "recall", "density", "coverage"):
        yield METRICS[column][0], True, METRICS[column][1], [_share(row, column) for row in best]
    yield "kimg", True, "thousands of real images shown", [_numeric(row.kimg) for row in rows]
    yield "time", True, "seconds times the devices used", [Cell(duration(row.device_s), row.device_s) for row in rows]
    yield "seed", True, "", [Cell(str(row.seed), float(row.seed)) for row in rows]


def _troubles(row: TrialRow) -> str:
    """Names of what was found; of an older trial, what its reason begins with."""
    found = [name for text in row.diagnoses or () if (name := _name_in(text))]
    return ", ".join(found) or (row.diagnosis or NOTHING).partition(":")[0]


def _name_in(diagnosis: str) -> str | None:
    try:
        return str(json.loads(diagnosis)["name"])
    except (ValueError, KeyError, TypeError):
        return None


def _metric(rows: Sequence[EvaluationRow | None], column: str) -> list[Cell]:
    return [_numeric(getattr(row, column) if row else None) for row in rows]


def _share(row: EvaluationRow | None, column: str) -> Cell:
    value = getattr(row, column) if row else None
    return Cell(share(value), value)


def share(value: float | None) -> str:
    """A share to the third digit: more would be noise of a few hundred samples."""
    return NOTHING if value is None else f"{value:.3f}"


def _numeric(value: float | None) -> Cell:
    return Cell(number(value), None if value is None else float(value))


def _field(value: Value) -> Cell:
    return Cell(show(value), float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None)


def _is_number(path: str, ranked: Sequence[Ranked]) -> bool:
    values = [value for each in ranked if (value := each.trial.recipe.get(path)) is not None]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _axes(ranking: Ranking) -> dict[str, Any] | None:
    """Fields that differ within the data set and the distance; None where too few trials were scored."""
    scored = [each for each in ranking.ranked if each.rank is not None and each.score]
    recipes: dict[str, Flat] = {each.trial.row.trial_id: each.trial.recipe for each in scored}
    paths = [path for path in differing(recipes) if path != "seed"] if len(scored) >= FEWEST_LINES else []
    if not paths:
        return None
    names = labels(paths)
    most = sorted(paths, key=lambda path: -len({repr(flat.get(path)) for flat in recipes.values()}))[:MOST_AXES]
    shown = [path for path in paths if path in most]
    axes = [{"label": names[path], "numeric": _is_number(path, scored)} for path in shown]
    lines = [
        {
            "slug": each.trial.slug,
            "id": each.trial.row.trial_id,
            "values": [_point(each.trial.recipe.get(path)) for path in shown],
            "distance": each.score.best.frechet if each.score else None,
            "text": number(each.score.best.frechet if each.score else None),
        }
        for each in scored
    ]
    return {"axes": axes, "lines": lines}


def _point(value: Value) -> str | float | None:
    return value if isinstance(value, float | int) and not isinstance(value, bool) else show(value)


@dataclass(frozen=True)
class SeedsTable:
    """Means over seeds of one experiment under one protocol."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def seeds_table(seeds: Seeds) -> SeedsTable:
    """The means with their intervals."""
    names = list(seeds.board.labels.items())
    columns = [Column("#", True), Column("mean", True), Column("95 % interval", True), Column("seeds", True)]
    columns += [Column("time", True), Column("recipe")]
    rows = []
    for group in seeds.groups:
        interval = NOTHING if group.low is None else f"{number(group.low)} to {number(group.high)}"
        n, total = len(group.values), group.n_trials
        recipe = words([(path, label, group.recipe.get(path)) for path, label in names])
        cells = [_numeric(group.rank), _numeric(group.mean), Cell(interval, group.low)]
        cells += [Cell(str(n) if n == total else f"{n} of {total}", float(n)), Cell(duration(group.device_s))]
        rows.append((*cells, Cell(recipe or NOTHING)))
    return SeedsTable(f"{seeds.board.experiment} under {seeds.board.protocol}", tuple(columns), tuple(rows))
