"""How much of the differences between trials each choice accounts for: Optuna's evaluators fed from the store."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ganray.report.choices import ABSENT, NOT_APPLICABLE, Choice, Sample

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.importance import BaseImportanceEvaluator

MOST_TRIALS = 500
"""fANOVA's forest takes seconds for that many and grows faster than their number."""

TREES = 32
"""Half of Optuna's default and twice as fast: over 500 trials of five choices no share moved by more than 0.1 %."""

TOP_TRIALS = 5
"""PED-ANOVA compares the best tenth with all; below this number of trials in that tenth it takes more of them."""

_LOG_FROM = 10.0


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Shares of 1 over all choices, largest first by fANOVA; `path` as in a flattened recipe."""

    path: str
    label: str
    n_levels: int
    fanova: float
    ped_anova: float


@dataclass(frozen=True, kw_only=True)
class Importances:
    """`n_trials` stand behind fANOVA; PED-ANOVA asks what sets the best `top_share` of them apart."""

    n_trials: int
    n_left_out: int
    top_share: float
    choices: tuple[Importance, ...]


def importances(sample: Sample) -> Importances:
    """fANOVA (Hutter et al., ICML 2014) and PED-ANOVA (arXiv 2304.10255) over a sample's trials.

    fANOVA: of the variance over the whole space that single choices explain, the part of each; what only several of
    them together explain is left out. PED-ANOVA: how differently the best trials choose. A parameter that some recipes
    do not have is cut into levels with one for its absence in fANOVA, which wants every parameter in every trial;
    PED-ANOVA knows such parameters.
    """
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    trials = [(i, value) for i, values in enumerate(sample.values) for value in values]
    kept = trials
    if len(trials) > MOST_TRIALS:
        drawn = np.random.default_rng(0).choice(len(trials), MOST_TRIALS, replace=False)
        kept = [trials[i] for i in sorted(drawn)]
    share = max(0.1, min(0.5, TOP_TRIALS / len(kept)))
    fanova = _evaluate(sample, kept, FanovaImportanceEvaluator(n_trees=TREES, seed=0), whole=True)
    ped = _evaluate(sample, kept, PedAnovaImportanceEvaluator(target_quantile=share), whole=False)
    found = [
        Importance(
            path=choice.path,
            label=choice.label,
            n_levels=len(choice.levels),
            fanova=float(fanova.get(choice.path, 0.0)),
            ped_anova=float(ped.get(choice.path, 0.0)),
        )
        for choice in sample.choices
    ]
    return Importances(
        n_trials=len(kept),
        n_left_out=len(trials) - len(kept),
        top_share=share,
        choices=tuple(sorted(found, key=lambda one: (-one.fanova, one.path))),
    )


def _evaluate(
    sample: Sample, trials: list[tuple[int, float]], evaluator: BaseImportanceEvaluator, *, whole: bool
) -> Mapping[str, float]:
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        distributions = {choice.path: _distribution(choice, whole) for choice in sample.choices}
        rows = []
        for recipe, value in trials:
            params = {c.path: p for c in sample.choices if (p := _param(c, recipe, whole)) is not None}
            own = {path: distributions[path] for path in params}
            rows.append(optuna.trial.create_trial(value=value, params=params, distributions=own))
        study.add_trials(rows)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of values that one trial alone has: the table says how many values there are
            return optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _distribution(choice: Choice, whole: bool) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if choice.numbers is not None:
        low, high = float(choice.numbers.min()), float(choice.numbers.max())
        return FloatDistribution(low, high, log=low > 0 and high / low >= _LOG_FROM)
    extra = (ABSENT,) if whole and ABSENT not in choice.levels and _is_conditional(choice) else ()
    return CategoricalDistribution((*choice.levels, *extra))


def _is_conditional(choice: Choice) -> bool:
    return bool((choice.codes == NOT_APPLICABLE).any())


def _param(choice: Choice, recipe: int, whole: bool) -> Any:
    if choice.numbers is not None:
        return float(choice.numbers[recipe])
    code = int(choice.codes[recipe])
    if code == NOT_APPLICABLE:
        return ABSENT if whole else None
    return choice.levels[code]
