"""Leaderboards as text: for the terminal (rich), markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ganray.report.cells import NOTHING, Row, duration, markdown, natural_width, number, plus_minus, table
from ganray.report.leaderboard import Entry, Group, Leaderboard, by_recipe
from ganray.report.recipes import Value, show

ID_LENGTH = 8
_NUMERIC = ("#", "best", "@ kimg", "final", "KID", "kimg", "time", "seed", "mean", "95 % interval", "seeds")
_SEEDS = "By recipe, over the completed seeds:"


def to_rich(board: Leaderboard, width: int = 100) -> RenderableType:
    """The ranking, the means over seeds where there are several, and the notes, for a terminal of that width."""
    parts: list[RenderableType] = [_title(board), "", _fitting(lambda wide: _entries(board, wide), width), ""]
    if _repeated(board):
        parts += [Text(_SEEDS), "", _fitting(lambda wide: _groups(board, wide), width), ""]
    parts += [Padding(Text(f"• {note}"), (0, 0, 0, 1)) for note in _notes(board)]
    return Stack(*parts)


def to_markdown(board: Leaderboard) -> str:
    """The same as GitHub's tables."""
    lines = [f"### {_title(board).plain}", "", *markdown(_entries(board, True), _NUMERIC)]
    if _repeated(board):
        lines += ["", _SEEDS, "", *markdown(_groups(board, True), _NUMERIC)]
    notes = [f"- {note}" for note in _notes(board)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def to_csv(board: Leaderboard) -> str:
    """One line per trial at full precision; the recipe's differing fields under their full paths."""
    out = io.StringIO()
    records = _records(board)
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def to_json(board: Leaderboard) -> str:
    """Ranking, means over seeds and notes at full precision."""
    content = {
        "experiment": board.experiment,
        "protocol": board.protocol,
        "extractor": board.extractor,
        "show": board.show,
        "trials": _records(board),
        "by_recipe": [asdict(group) for group in by_recipe(board)],
        "notes": list(board.notes),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _records(board: Leaderboard) -> list[dict[str, Any]]:
    records = []
    for entry in board.entries:
        record = asdict(entry)
        recipe = record.pop("recipe")
        del record["identity"]
        records.append({**record, "protocol": board.protocol, **recipe})
    return records


def _title(board: Leaderboard) -> Text:
    text = Text.assemble((board.experiment, "bold"))
    if board.protocol:
        text.append(f" under {board.protocol}", style="cyan")
        text.append(f": lower is better, ranked by the {board.show} checkpoint")
    return text


def _notes(board: Leaderboard) -> list[str]:
    reasons = [f"{e.trial_id[:ID_LENGTH]} {e.status}: {e.diagnosis}" for e in board.entries if e.diagnosis]
    single = len(board.entries) > 1 and not _repeated(board)
    luck = ["1 seed per recipe: small differences may be luck"] if single else []
    return [*board.notes, *luck, *reasons]


def _repeated(board: Leaderboard) -> bool:
    return any(group.n_trials > 1 for group in by_recipe(board))


def _fitting(rows: Callable[[bool], Sequence[Row]], width: int) -> Table:
    """A column per differing field where that fits into the width; else all of them in one that wraps."""
    wide = table(rows(True), _NUMERIC)
    return wide if natural_width(wide) <= width else table(rows(False), _NUMERIC, wrapped=("recipe",))


def _entries(board: Leaderboard, wide: bool) -> list[Row]:
    rows = [_entry(board, entry, wide) for entry in board.entries]
    dull = set() if any(e.kid is not None for e in board.entries) else {"KID"}
    if len({e.seed for e in board.entries}) == 1:
        dull.add("seed")
    if not any(e.takeovers for e in board.entries):
        dull.add("pbt")
    return [{name: cell for name, cell in row.items() if name not in dull} for row in rows]


def _entry(board: Leaderboard, entry: Entry, wide: bool) -> Row:
    row = {
        "#": NOTHING if entry.rank is None else str(entry.rank),
        "trial": entry.trial_id[:ID_LENGTH],
        "status": entry.status,
        "best": number(entry.best),
        "@ kimg": number(entry.best_kimg),
        "final": number(entry.final),
        "KID": plus_minus(entry.kid, entry.kid_stderr),
        "kimg": number(entry.kimg),
        "time": duration(entry.device_s),
        "seed": str(entry.seed),
        "pbt": f"{entry.takeovers} taken over" if entry.takeovers else NOTHING,
        **_fields(board, entry.recipe, wide),
    }
    if not wide:
        if entry.takeovers:
            row["recipe"] = f"pbt ({row['pbt']})  {row.get('recipe', '')}".rstrip()
        del row["pbt"]
        # The recipe needs the room: how far a trial came is said where it did not complete.
        reached = row.pop("kimg")
        row["status"] += "" if entry.status == "completed" else f" @{reached}"
        if len({e.seed for e in board.entries}) > 1:
            row["recipe"] = "  ".join(filter(None, [row.get("recipe", ""), f"seed={row.pop('seed')}"]))
    return row


def _groups(board: Leaderboard, wide: bool) -> list[Row]:
    return [
        {
            "#": NOTHING if group.rank is None else str(group.rank),
            "mean": number(group.mean),
            "95 % interval": NOTHING if group.low is None else f"{number(group.low)} to {number(group.high)}",
            "seeds": _count(group),
            "time": duration(group.device_s),
            **_fields(board, group.recipe, wide),
        }
        for group in by_recipe(board)
    ]


def _count(group: Group) -> str:
    n = len(group.values)
    return f"{n} seed{'' if n == 1 else 's'}" + ("" if n == group.n_trials else f" of {group.n_trials}")


def _fields(board: Leaderboard, recipe: dict[str, Value], wide: bool) -> Row:
    if wide:
        return {label: show(recipe[path]) for path, label in board.labels.items()}
    return {"recipe": recipe_words(board, recipe)} if board.labels else {}


def recipe_words(board: Leaderboard, recipe: dict[str, Value]) -> str:
    """The differing fields of one recipe in a line: `hinge  discriminator=dcgan  flips`."""
    return words([(path, label, recipe[path]) for path, label in board.labels.items()])


def words(fields: Sequence[tuple[str, str, Value]]) -> str:
    """(path, label, value) of what a recipe has, in a line; the loss and a bare trick need no label."""
    texts = []
    for path, label, value in fields:
        if value is True:
            texts.append(label)
        elif value is not None:
            texts.append(show(value) if path == "objective.loss.name" else f"{label}={show(value)}")
    return "  ".join(texts)
