"""The effects of switches as text: for the terminal, markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ganray.report.cells import NOTHING, Row, markdown, natural_width, number, table
from ganray.report.effects import BASELINE, Effect, Effects

NUMERIC = ("distance", "difference", "95 % interval", "p (Holm)", "speed", "seeds", "failed")

MANY = 20
"""Intervals, of which by chance one leaves out 0."""

NARROWEST = 26
"""Characters that a switch has to itself, however narrow the terminal is."""


def effects_to_rich(found: Effects, width: int = 100) -> RenderableType:
    """Title, table, what the columns mean, notes, for a terminal of that width."""
    notes = [Padding(Text(f"• {note}"), (0, 0, 0, 1)) for note in _notes(found)]
    return Stack(Text(_title(found), style="bold"), Text(), _table(_rows(found), width), Text(), *notes)


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


def difference(effect: Effect) -> str:
    """`-12`: to the second digit of what is uncertain about it."""
    return _signed(effect.difference, effect)


def interval(effect: Effect, between: str = " to ") -> str:
    """`-20 to -4`; of the baseline without signs; a dash where one seed alone compares."""
    if effect.low is None or effect.high is None:
        return NOTHING
    if effect.change == BASELINE:
        return f"{_rounded(effect.low, effect)}{between}{_rounded(effect.high, effect)}"
    return f"{_signed(effect.low, effect)}{between}{_signed(effect.high, effect)}"


def stars(effect: Effect) -> str:
    """`*` where the interval leaves out 0, `**` where that remains after the correction for many comparisons."""
    return "**" if effect.survives else "*" * effect.is_clear


def probability(p: float) -> str:
    """To two digits after the point; below that, only how small."""
    return "< 0.01" if p < 0.005 else f"{p:.2f}"


def _title(found: Effects) -> str:
    which = "the last checkpoint" if found.show == "final" else "the best checkpoint"
    return f"{found.experiment}: each switch against the baseline, {which} under {found.protocol}"


def _table(rows: list[Row], width: int) -> Table:
    """With a column for what went wrong where that fits; else it stands below the switch."""
    wide = table(rows, NUMERIC)
    if natural_width(wide) <= width:
        return wide
    stacked = [{name: cell for name, cell in row.items() if name != "went wrong"} for row in rows]
    for row, short in zip(rows, stacked):
        if row.get("went wrong", NOTHING) != NOTHING:
            short["switch"] += "".join(f"\n  {trouble}" for trouble in row["went wrong"].split(", "))
    result = table(stacked, NUMERIC, ("switch",))
    result.columns[0].min_width = NARROWEST
    return result


def _rows(found: Effects) -> list[Row]:
    """One per recipe, the baseline first; without the columns that have nothing to say."""
    effects = (found.baseline, *found.effects)
    dull = {"failed"} if not any(effect.failed for effect in effects) else set()
    dull |= {"went wrong"} if not any(effect.diagnoses for effect in effects) else set()
    dull |= {"speed"} if all(effect.speed is None for effect in effects) else set()
    dull |= {"p (Holm)"} if all(effect.p_holm is None for effect in effects) else set()
    return [{name: cell for name, cell in _row(effect).items() if name not in dull} for effect in effects]


def _row(effect: Effect) -> Row:
    return {
        "switch": effect.change,
        "distance": _rounded(effect.value, effect),
        "difference": NOTHING
        if effect.change == BASELINE
        else " ".join(filter(None, (difference(effect), stars(effect)))),
        "95 % interval": interval(effect),
        "p (Holm)": NOTHING if effect.p_holm is None else probability(effect.p_holm),
        "speed": NOTHING if effect.speed is None else f"{effect.speed:.2f}x",
        "seeds": str(len(effect.seeds)),
        "failed": str(effect.failed),
        "went wrong": ", ".join(effect.diagnoses) or NOTHING,
    }


def _rounded(value: float | None, effect: Effect) -> str:
    """To the second digit of half the interval; of its own, where there is none."""
    if not value:
        return number(value)
    half = 0.0 if effect.low is None or effect.high is None else (effect.high - effect.low) / 2
    digits = max(0, 1 - math.floor(math.log10(half or abs(value))))
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no minus before a zero


def _signed(value: float | None, effect: Effect) -> str:
    text = _rounded(value, effect)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.") else text


def _notes(found: Effects) -> list[str]:
    notes = [
        "difference: mean distance minus the baseline's; below 0 is better, * if its interval excludes 0, ** if it "
        "also remains when corrected for the number of recipes compared (Holm, p below 0.05)",
    ]
    if found.baseline.speed is not None:
        notes.append("speed: images per second over the baseline's, each by its fastest seed")
    if any(effect.failed for effect in (found.baseline, *found.effects)):
        notes.append(
            "failed: trials that failed or were stopped by a diagnosis; the distance is of the seeds that completed, "
            "so where some failed, the switch is worse than its number"
        )
    if len(found.effects) > 1:
        notes.append("all differences share the baseline's seeds: their luck moves all of them to the same side")
    if (n := sum(effect.low is not None for effect in found.effects)) >= MANY:
        notes.append(f"of {n} switches without any effect, {0.05 * n:.2g} would have a * by chance")
    return [*notes, *found.notes]
