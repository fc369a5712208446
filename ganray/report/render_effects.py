"""The effects of switches as text: for the terminal, markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.text import Text

from ganray.report.cells import NOTHING, Row, markdown, number, table
from ganray.report.effects import BASELINE, Effect, Effects

NUMERIC = ("distance", "difference", "95 % interval", "speed", "seeds", "failed")


def effects_to_rich(found: Effects) -> RenderableType:
    """Title, table, what the columns mean, notes."""
    notes = [Text(f" • {note}") for note in _notes(found)]
    return Stack(
        Text(_title(found), style="bold"), Text(), table(_rows(found), NUMERIC, ("switch", "went wrong")), *notes
    )


def effects_to_markdown(found: Effects) -> str:
    """The same as a table of GitHub's."""
    notes = [f"- {note}" for note in _notes(found)]
    return "\n".join([f"### {_title(found)}", "", *markdown(_rows(found), NUMERIC), "", *notes]) + "\n"


def effects_to_csv(found: Effects) -> str:
    """One line per recipe at full precision."""
    out = io.StringIO()
    records = [asdict(effect) for effect in (found.baseline, *found.effects)]
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        joined = {"seeds": " ".join(map(str, record["seeds"])), "diagnoses": ", ".join(record["diagnoses"])}
        writer.writerow(record | joined)
    return out.getvalue()


def effects_to_json(found: Effects) -> str:
    """Everything at full precision."""
    return json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n"


def _title(found: Effects) -> str:
    which = "the last checkpoint" if found.show == "final" else "the best checkpoint"
    return f"{found.experiment}: each switch against the baseline, {which} under {found.protocol}"


def _rows(found: Effects) -> list[Row]:
    return [_row(effect) for effect in (found.baseline, *found.effects)]


def _row(effect: Effect) -> Row:
    is_baseline = effect.change == BASELINE
    interval = f"{_signed(effect.low)} to {_signed(effect.high)}" if effect.low is not None else NOTHING
    if is_baseline and effect.low is not None:
        interval = f"{number(effect.low)} to {number(effect.high)}"
    return {
        "switch": effect.change,
        "distance": number(effect.value),
        "difference": NOTHING if is_baseline else _signed(effect.difference) + (" *" if effect.is_clear else ""),
        "95 % interval": interval,
        "speed": NOTHING if effect.speed is None else f"{effect.speed:.2f}x",
        "seeds": str(len(effect.seeds)),
        "failed": str(effect.failed),
        "went wrong": ", ".join(effect.diagnoses) or NOTHING,
    }


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{'+' if value > 0 else ''}{number(value)}"


def _notes(found: Effects) -> list[str]:
    notes = [
        "difference: distance minus the baseline's of the same seed; below 0 is better, * if its interval excludes 0",
        "speed: images per second over the baseline's; failed: trials that failed or were stopped",
    ]
    if len(found.effects) >= 20:
        chance = round(0.05 * len(found.effects), 1)
        notes.append(f"of {len(found.effects)} switches without any effect, {chance:g} would have a * by chance")
    return [*notes, *found.notes]
