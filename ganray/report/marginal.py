"""What each value of each choice is worth over all recipes of a data set, adjusted for the other choices.

For a designed experiment with a baseline, `ganray.report.effects` compares seed by seed instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ganray.report.choices import Choice, Sample
from ganray.report.effects import ALPHA
from ganray.report.spread import Spread, holm, pooled, two_sided

ENOUGH_FREEDOM = 3
"""Recipes beyond the number of effects, from which on what the model leaves unexplained is known well enough."""

_EXACT = 1e-8

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """One value of a choice against the choice's most frequent one (`reference`).

    `raw`: difference of the mean distances, whatever else differs. `adjusted`: the same from one linear model of all
    choices; below 0 is better; None where the data cannot tell it from another choice. `low` to `high`: Student's
    interval at 95 %. `p_holm`: corrected for all values compared (Holm 1979).
    """

    path: str
    label: str
    level: str
    reference: str
    n_recipes: int
    n_reference: int
    raw: float
    adjusted: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    @property
    def survives(self) -> bool:
        """Whether it remains when one counts how many values were compared."""
        return self.p_holm is not None and self.p_holm < ALPHA


@dataclass(frozen=True, kw_only=True)
class Marginals:
    """The values of all choices, the largest adjusted improvement first within each choice.

    `spread` is what the intervals follow from: `residual` (what the model leaves unexplained between recipes),
    `seeds` (the pooled spread within recipes, where recipes are too few for that), or None: no intervals.
    """

    n_trials: int
    n_recipes: int
    spread: str | None
    deviation: float | None
    freedom: int | None
    effects: tuple[Marginal, ...]


def marginals(sample: Sample) -> Marginals:
    """Ordinary least squares over one-hot coded choices; one observation per recipe, its mean over seeds.

    Recipes, not trials, are the observations: seeds of one recipe share whatever the model does not know of it, so
    they would make the intervals too narrow. Effects that add up are assumed. A parameter counts only among recipes
    that have its sub-model.
    """
    columns = [(c, level) for c in sample.choices for level in range(len(c.levels)) if level != _reference(c)]
    design = np.column_stack([np.ones(len(sample.values)), *(_column(c, level) for c, level in columns)])
    inverse = np.linalg.pinv(design)
    fit = inverse @ sample.means
    estimable = np.abs(inverse @ design - np.eye(design.shape[1])).max(axis=1) < _EXACT
    kind, spread, variances = _spread(sample, design, inverse, sample.means - design @ fit)
    order = {choice.path: i for i, choice in enumerate(sample.choices)}
    found = []
    for j, (choice, level) in enumerate(columns, start=1):
        effect = _marginal(sample, choice, level)
        if estimable[j]:
            half = spread.half_width(float(variances[j])) if spread else None
            adjusted = float(fit[j])
            effect = replace(
                effect,
                adjusted=adjusted,
                low=None if half is None else adjusted - half,
                high=None if half is None else adjusted + half,
                p=two_sided(adjusted, half, spread.freedom) if spread else None,
            )
        found.append(effect)
    return Marginals(
        n_trials=sample.n_trials,
        n_recipes=len(sample.values),
        spread=kind,
        deviation=spread.deviation if spread else None,
        freedom=spread.freedom if spread else None,
        effects=tuple(sorted(_corrected(found), key=lambda e: (order[e.path], e.adjusted is None, e.adjusted or 0.0))),
    )


def _reference(choice: Choice) -> int:
    counts = [int((choice.codes == level).sum()) for level in range(len(choice.levels))]
    return counts.index(max(counts))


def _column(choice: Choice, level: int) -> Matrix:
    return np.where(choice.codes == level, 1.0, 0.0)


def _spread(
    sample: Sample, design: Matrix, inverse: Matrix, residuals: Matrix
) -> tuple[str | None, Spread | None, Matrix]:
    """What is unexplained, and the variance of each estimate in its units.

    Between recipes: that of one recipe's mean. Within them: that of one trial, so a mean over n seeds has 1/n of it.
    """
    freedom = len(residuals) - int(np.linalg.matrix_rank(design))
    if freedom >= ENOUGH_FREEDOM:
        deviation = math.sqrt(float(residuals @ residuals) / freedom)
        return "residual", Spread(deviation, freedom, len(residuals)), (inverse**2).sum(axis=1)
    seeds = np.array([len(values) for values in sample.values])
    within = pooled(sample.values)
    return ("seeds" if within else None), within, (inverse**2 / seeds).sum(axis=1)


def _marginal(sample: Sample, choice: Choice, level: int) -> Marginal:
    means, reference = sample.means, _reference(choice)
    own, base = choice.codes == level, choice.codes == reference
    return Marginal(
        path=choice.path,
        label=choice.label,
        level=choice.levels[level],
        reference=choice.levels[reference],
        n_recipes=int(own.sum()),
        n_reference=int(base.sum()),
        raw=float(means[own].mean() - means[base].mean()),
        adjusted=None,
        low=None,
        high=None,
        p=None,
        p_holm=None,
    )


def _corrected(found: Sequence[Marginal]) -> list[Marginal]:
    corrected = iter(holm([effect.p for effect in found if effect.p is not None]))
    return [effect if effect.p is None else replace(effect, p_holm=next(corrected)) for effect in found]
