"""A comparison of two trials as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ganray.report.cells import NOTHING, Row, duration, number, plus_minus, table
from ganray.report.compare import Comparison, Difference, Metrics
from ganray.report.lookup import Score
from ganray.report.recipes import Value, show
from ganray.report.render import ID_LENGTH

BESIDE = ("precision", "recall", "density", "coverage", "memorised")
"""Columns that are shown of the best evaluation, where it has them."""


def comparison_to_rich(comparison: Comparison) -> RenderableType:
    """Recipe, circumstances, outcomes and metrics, one trial per column."""
    a, b = comparison.a.trial_id[:ID_LENGTH], comparison.b.trial_id[:ID_LENGTH]
    if a == b:
        a, b = comparison.a.trial_id, comparison.b.trial_id
    parts: list[RenderableType] = []
    for heading, differences in (
        ("Recipe", comparison.recipe),
        ("Circumstances", comparison.circumstances),
        ("Outcome", comparison.outcomes),
    ):
        parts.append(Text(heading, style="bold"))
        parts += [_differences(differences, a, b) if differences else Text("the same", style="dim"), ""]
    parts.append(Text("Metrics: of the distances, lower is better", style="bold"))
    rows = [row for metrics in comparison.metrics for row in _metrics(metrics, a, b)]
    parts += [table(rows, (a, b)) if rows else Text("none yet", style="dim"), ""]
    parts += [Padding(Text(f"• {note}"), (0, 0, 0, 1)) for note in comparison.notes]
    return Group(*parts)


def _differences(differences: Sequence[Difference], a: str, b: str) -> RenderableType:
    rows: list[Row] = [{"": d.label, a: _cell(d.path, d.a), b: _cell(d.path, d.b)} for d in differences]
    return table(rows, wrapped=(a, b))


def _cell(path: str, value: Value) -> str:
    if path.endswith("_s") and isinstance(value, float):
        return duration(value)
    if path.endswith("_params") and isinstance(value, int):
        return f"{value:,}"
    if path in ("git_commit", "dataset_fingerprint") and value is not None:
        return str(value)[:12]
    return show(value)


def _metrics(metrics: Metrics, a: str, b: str) -> list[Row]:
    def row(name: str, cell_a: str, cell_b: str) -> Row:
        return {"protocol": metrics.protocol, "": name, a: cell_a, b: cell_b}

    rows = [
        row("best", _best(metrics.a), _best(metrics.b)),
        row("final", _final(metrics.a), _final(metrics.b)),
    ]
    if any(score and score.best.kid is not None for score in (metrics.a, metrics.b)):
        rows.append(row("KID at best", _kid(metrics.a), _kid(metrics.b)))
    for name in BESIDE:
        values = [getattr(score.best, name) if score else None for score in (metrics.a, metrics.b)]
        if any(value is not None for value in values):
            rows.append(row(f"{name} at best", *map(number, values)))
    return rows


def _best(score: Score | None) -> str:
    return f"{number(score.best.frechet)} @ {number(score.best.kimg)} kimg" if score else NOTHING


def _final(score: Score | None) -> str:
    return f"{number(score.final.frechet)} @ {number(score.final.kimg)} kimg" if score else NOTHING


def _kid(score: Score | None) -> str:
    return plus_minus(score.best.kid, score.best.kid_stderr) if score else NOTHING
