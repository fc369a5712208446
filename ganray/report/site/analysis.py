"""What the choices are worth within one ranking, as rows of tables."""

from __future__ import annotations

from dataclasses import dataclass

from ganray.errors import StoreError
from ganray.report.cells import Row
from ganray.report.choices import ENOUGH_TRIALS, sample_of
from ganray.report.importance import importances
from ganray.report.marginal import marginals
from ganray.report.recipes import Flat, identity
from ganray.report.render_choices import effect_rows, effects_notes, importance_notes, importance_rows
from ganray.report.site.collect import Ranking


@dataclass(frozen=True)
class Choices:
    """Importances and marginal effects, each with what a reader must know of it; `shares` are fANOVA's, of 100."""

    n_trials: int
    importances: tuple[Row, ...]
    shares: tuple[float, ...]
    importance_notes: tuple[str, ...]
    effects: tuple[Row, ...]
    effect_notes: tuple[str, ...]


def choices(ranking: Ranking) -> Choices | None:
    """What each choice is worth over the completed trials of a ranking; None where they are too few or all alike."""
    recipes: dict[str, tuple[Flat, list[float]]] = {}
    for each in ranking.ranked:
        if each.score and each.score.best.frechet is not None and each.trial.row.status == "completed":
            flat = each.trial.recipe
            recipes.setdefault(identity(flat), (flat, []))[1].append(each.score.best.frechet)
    if sum(len(values) for _, values in recipes.values()) < ENOUGH_TRIALS:
        return None
    try:
        sample = sample_of([(flat, tuple(values)) for flat, values in recipes.values()])
    except StoreError:
        return None
    important, effects = importances(sample), marginals(sample)
    return Choices(
        n_trials=important.n_trials,
        importances=tuple(importance_rows(important)),
        shares=tuple(round(100 * one.fanova, 1) for one in important.choices),
        importance_notes=tuple(note.partition(": see --effects")[0] for note in importance_notes(important)),
        effects=tuple(effect_rows(effects)),
        effect_notes=tuple(effects_notes(effects)),
    )
