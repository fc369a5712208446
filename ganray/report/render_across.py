"""The ranking of a data set's recipes as text: for the terminal (rich), markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ganray.report import render_choices as choices
from ganray.report.across import Across, Section, Standing, told_apart
from ganray.report.across_analysis import Analysis, View, fronts
from ganray.report.cells import NOTHING, Row, duration, markdown, natural_width, number, plus_minus, table
from ganray.report.recipes import show
from ganray.report.render import words

_NUMERIC = ("#", "mean", "95 % interval", "95 %", "seeds", "final", "@ kimg", "device time", "time", "KID", "copied")
_KID_DIGITS = 3
_WRAPPED = ("recipe", "value", "choice")
_COST, _COPYING, _BOTH = "cost", "copying", "both"


@dataclass(frozen=True)
class _Block:
    """A heading, one table in a wide and a narrow form, and notes below it."""

    title: str
    wide: Sequence[Row]
    narrow: Sequence[Row]
    numeric: Sequence[str]
    notes: Sequence[str]


def to_rich(shown: View, width: int = 100) -> RenderableType:
    """All that was asked for, for a terminal of that width."""
    parts: list[RenderableType] = [Text(_title(shown.board), style="bold"), Text()]
    for block in _blocks(shown):
        parts += [Text(block.title), Text()] if block.title else []
        parts += [_fitting(block, width), Text()] if block.wide else []
        parts += [_bullet(note) for note in block.notes]
        parts += [Text()] if block.notes else []
    return Stack(*parts, *(_bullet(note) for note in shown.board.notes))


def to_markdown(shown: View) -> str:
    """The same as GitHub's tables."""
    lines = [f"### {_title(shown.board)}", ""]
    for block in _blocks(shown):
        lines += [block.title, ""] if block.title else []
        lines += [*markdown(block.wide, block.numeric), ""] if block.wide else []
        lines += [f"- {note}" for note in block.notes]
        lines += [""] if block.notes else []
    return "\n".join([*lines, *(f"- {note}" for note in shown.board.notes)]).rstrip() + "\n"


def to_csv(shown: View) -> str:
    """One line per recipe at full precision; what tells the recipes apart under its full paths."""
    records = [record for section in shown.board.sections for record in _records(shown, section)]
    out = io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _joined(value) for name, value in record.items()} for record in records)
    return out.getvalue()


def to_json(shown: View) -> str:
    """Everything at full precision."""
    board = shown.board
    content = {
        "dataset": board.dataset,
        "protocol": board.protocol,
        "filter": asdict(board.filter),
        "sections": [
            {
                **{name: value for name, value in asdict(section).items() if name != "rows"},
                "recipes": _records(shown, section),
                **({"fronts": _front_ranks(section)} if shown.lists_fronts else {}),
                **{name: value for name, value in asdict(analysis).items() if value is not None},
            }
            for section, analysis in zip(board.sections, shown.analyses)
        ],
        "notes": list(board.notes),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _front_ranks(section: Section) -> dict[str, list[int]]:
    cost, memory = fronts(section)
    return {"cost": [row.rank for row in cost], "copying": [row.rank for row in memory]}


def _records(shown: View, section: Section) -> list[dict[str, Any]]:
    rows, _ = shown.rows(section)
    records = []
    for row in rows:
        record = asdict(row)
        recipe = record.pop("recipe")
        del record["recipe_json"]
        extra = {
            "dataset": shown.board.dataset,
            "fingerprint": section.fingerprint,
            "protocol": shown.board.protocol,
            "extractor": section.extractor,
        }
        records.append({**record, **extra, **recipe})
    return records


def _joined(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else value


def _title(board: Across) -> str:
    budget = ""
    if board.filter.at_kimg is not None:
        budget = f", best checkpoint up to {board.filter.at_kimg:g} kimg"
    elif board.filter.at_device_hours is not None:
        budget = f", best checkpoint within {board.filter.at_device_hours:g} device-hours"
    return f"{board.dataset} under {board.protocol}: lower is better{budget or ', best checkpoint of each trial'}"


def _blocks(shown: View) -> Iterator[_Block]:
    several = len(shown.board.sections) > 1
    for section, analysis in zip(shown.board.sections, shown.analyses):
        title = f"{section.n_images} images of {section.resolution} px, fingerprint {section.fingerprint[:12]}:"
        yield _ranking(shown, section, title if several else "")
        if shown.lists_fronts:
            cost, memory = fronts(section)
            yield _front("Front of quality against device time:", cost, section.rows[: shown.top], "time")
            yield _front("Front of quality against copying:", memory, section.rows[: shown.top], "copied")
        yield from _analysis(analysis)


def _ranking(shown: View, section: Section, title: str) -> _Block:
    rows, labels = shown.rows(section)
    notes = list(section.notes)
    if len(section.rows) > len(rows):
        notes.insert(0, f"{len(rows)} of {len(section.rows)} recipes are shown; --top N shows more")
    if any(row.on_cost_front or row.on_memory_front for row in rows):
        notes.append(
            f"front: no other recipe is better at no more device time ({_COST}), or without copying more ({_COPYING})"
        )
    if not rows:
        notes.insert(0, "nothing ranks")
    wide = _worth([_row(row, labels, wide=True) for row in rows])
    narrow = _worth([_row(row, labels, wide=False) for row in rows])
    return _Block(title, wide, narrow, _NUMERIC, notes)


def _front(title: str, rows: Sequence[Standing], beside: Sequence[Standing], against: str) -> _Block:
    told, labels = told_apart([*rows, *beside])
    lines = []
    for row in sorted(told[: len(rows)], key=lambda row: row.rank):
        cells = _row(row, labels, wide=False)
        lines.append({name: cells[name] for name in ("#", "mean", against, "recipe")})
    return _Block(title, lines, lines, _NUMERIC, [] if rows else ["no recipe has both numbers"])


def _analysis(analysis: Analysis) -> Iterator[_Block]:
    if analysis.refused:
        yield _Block("What each choice is worth:", [], [], (), [analysis.refused])
    if found := analysis.importances:
        rows = choices.importance_rows(found)
        yield _Block(choices.importance_title(found), rows, rows, choices.NUMERIC, choices.importance_notes(found))
    if effects := analysis.effects:
        rows = choices.effect_rows(effects)
        yield _Block(choices.effects_title(effects), rows, rows, choices.NUMERIC, choices.effects_notes(effects))


def _row(row: Standing, labels: dict[str, str], wide: bool) -> Row:
    cells = {
        "#": str(row.rank),
        "mean": number(row.mean),
        "95 % interval": NOTHING if row.low is None else f"{number(row.low)} to {number(row.high)}",
        "seeds": _count(row),
        "final": number(row.final),
        "@ kimg": number(row.kimg),
        "device time": ("~" if row.is_estimated else "") + duration(row.device_s),
        "KID": plus_minus(row.kid, row.kid_stderr),
        "copied": NOTHING if row.memorised is None else f"{100 * row.memorised:.0f} %",
        "front": _mark(row),
        "status": row.status,
    }
    if wide:
        fields = {label: show(row.recipe[path]) for path, label in labels.items()}
        return {**cells, **fields, "experiments": ", ".join(row.experiments)}
    # The recipe needs the room.
    del cells["final"]
    cells["95 % interval"] = NOTHING if row.high is None else f"± {number(row.high - row.mean)}"
    cells["KID"] = number(row.kid if row.kid is None else round(row.kid, _KID_DIGITS))
    shorter = {"95 % interval": "95 %", "device time": "time"}
    cells = {shorter.get(name, name): cell for name, cell in cells.items()}
    recipe = words([(path, label, row.recipe[path]) for path, label in labels.items()])
    return {**cells, "recipe": f"{recipe}  ({', '.join(row.experiments)})".strip()}


def _count(row: Standing) -> str:
    n = len(row.trial_ids)
    return str(len(row.seeds)) if n == row.n_trials == len(row.seeds) else f"{len(row.seeds)} ({n} of {row.n_trials})"


def _mark(row: Standing) -> str:
    if row.on_cost_front and row.on_memory_front:
        return _BOTH
    return _COST if row.on_cost_front else _COPYING if row.on_memory_front else ""


def _worth(rows: list[Row]) -> list[Row]:
    """Without the columns that have nothing to say."""
    dull = {
        name for name in ("95 % interval", "95 %", "KID", "copied") if all(row.get(name) == NOTHING for row in rows)
    }
    dull |= {"front"} if not any(row["front"] for row in rows) else set()
    dull |= {"status"} if all(row["status"] == "completed" for row in rows) else set()
    return [{name: cell for name, cell in row.items() if name not in dull} for row in rows]


def _fitting(block: _Block, width: int) -> Table:
    """A column per differing field where that fits into the width; else all of them in one that wraps."""
    wide = table(block.wide, block.numeric)
    return wide if natural_width(wide) <= width else table(block.narrow, block.numeric, wrapped=_WRAPPED)


def _bullet(note: str) -> RenderableType:
    return Padding(Text(f"• {note}"), (0, 0, 0, 1))
