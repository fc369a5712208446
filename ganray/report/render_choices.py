"""Importances and marginal effects as rows of a table, with what a reader must know of them."""

from __future__ import annotations

import math

from ganray.report.cells import NOTHING, Row, number
from ganray.report.importance import Importances
from ganray.report.marginal import Marginal, Marginals
from ganray.report.render_effects import MANY, probability

NUMERIC = ("fANOVA", "PED-ANOVA", "values", "raw", "adjusted", "95 % interval", "p (Holm)", "recipes")


def importance_rows(found: Importances) -> list[Row]:
    """One per choice, the most important first."""
    return [
        {
            "choice": one.label,
            "fANOVA": _percent(one.fanova),
            "PED-ANOVA": _percent(one.ped_anova),
            "values": str(one.n_levels),
        }
        for one in found.choices
    ]


def importance_title(found: Importances) -> str:
    """With the number of trials that stand behind it."""
    return f"Importance of each choice, from {found.n_trials} trials:"


def importance_notes(found: Importances) -> list[str]:
    """What the shares are, and are not."""
    notes = [
        "fANOVA: of the variance that single choices explain, the part of each, over all values it was given; "
        f"PED-ANOVA: how differently the best {_percent(found.top_share)} of the trials choose",
        "both add up to 100 %, even where no choice matters: see --effects for what is beyond chance",
    ]
    if found.n_left_out:
        notes.append(f"a random {found.n_trials} trials were taken, {found.n_left_out} left out")
    return notes


def effect_rows(found: Marginals) -> list[Row]:
    """One per value of each choice; the value it is compared with stands beside it."""
    return [
        {
            "choice": effect.label,
            "value": f"{effect.level} against {effect.reference}",
            "raw": _signed(effect.raw, effect),
            "adjusted": " ".join(filter(None, (_signed(effect.adjusted, effect), _stars(effect)))),
            "95 % interval": NOTHING
            if effect.low is None
            else f"{_signed(effect.low, effect)} to {_signed(effect.high, effect)}",
            "p (Holm)": NOTHING if effect.p_holm is None else probability(effect.p_holm),
            "recipes": f"{effect.n_recipes} : {effect.n_reference}",
        }
        for effect in found.effects
    ]


def effects_title(found: Marginals) -> str:
    """With the numbers that stand behind it."""
    return f"Marginal effect of each value, from {found.n_trials} trials of {found.n_recipes} recipes:"


def effects_notes(found: Marginals) -> list[str]:
    """How the numbers come about, and what they do not say."""
    notes = [
        "difference in distance against the most frequent value of the choice; below 0 is better; * if the interval "
        "leaves out 0, ** if that remains when corrected for the number of values compared (Holm, p below 0.05)",
        "raw: means of the recipes with either value; adjusted: least squares over all choices together, one "
        "observation per recipe, with Student's interval. It assumes that effects add up",
        "a search picks recipes by what went well before, so this is observation, not an experiment: test a hint "
        "with a design (`search.sampler: one_at_a_time`) and `ganray effects`",
    ]
    if any(effect.adjusted is None for effect in found.effects):
        notes.append(f"{NOTHING} adjusted: it always came together with another choice, so nothing tells them apart")
    if found.spread == "seeds":
        notes.append("too few recipes for a residual: the intervals follow from the spread of seeds within recipes")
    if found.spread is None:
        notes.append("no intervals: too few recipes beyond the number of values, and too few seeds")
    if (n := sum(effect.low is not None for effect in found.effects)) >= MANY:
        notes.append(f"of {n} values without any effect, {0.05 * n:.2g} would have a * by chance")
    return notes


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def _stars(effect: Marginal) -> str:
    return "**" if effect.survives else "*" * effect.is_clear


def _signed(value: float | None, effect: Marginal) -> str:
    """To the second digit of half the interval, with a plus above 0."""
    if value is None:
        return NOTHING
    half = 0.0 if effect.low is None or effect.high is None else (effect.high - effect.low) / 2
    if not half:
        text = number(value)
    else:
        digits = max(0, 1 - math.floor(math.log10(half)))
        text = f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no minus before a zero
    return f"+{text}" if value > 0 and text.strip("0.") else text
