"""By how much the seeds of one recipe differ, learnt from all recipes of an experiment, and what is beyond that."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ganray.report.leaderboard import CONFIDENCE

ENOUGH_SEEDS = 10
"""Seeds beyond the first of each recipe, from which on their spread over all recipes is known well enough."""


@dataclass(frozen=True)
class Spread:
    """The standard deviation of one trial about its recipe's mean, pooled: taken to be the same for all recipes.

    Three trials by themselves know their own spread so badly (t of 2 degrees of freedom is 4.3) that hardly any effect
    would ever be clear. Little is gained by comparing equal seeds, either: over 49 recipes of experiments/hacks.yaml
    the deviation was 30.8 with the seed as a second factor and 31.5 without. The price is the assumption: single
    recipes there had 1 to 97, so the interval of one that spreads more than most is too narrow.
    """

    deviation: float
    freedom: int
    recipes: int

    def half_width(self, variances: float) -> float:
        """Half of Student's interval of a number whose variance is that many times one trial's."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) * self.deviation * math.sqrt(variances)


def pooled(recipes: Iterable[Sequence[float]]) -> Spread | None:
    """The spread within recipes, given each one's distances; None where too few have been repeated."""
    repeated = [values for values in recipes if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if freedom < ENOUGH_SEEDS:
        return None
    squares = sum((x - fmean(values)) ** 2 for values in repeated for x in values)
    return Spread(math.sqrt(squares / freedom), freedom, len(repeated))


def two_sided(mean: float | None, half_width: float | None, freedom: int) -> float | None:
    """Student's p of a mean whose interval is that wide; None without an interval, or where it has no width."""
    if mean is None or not half_width:
        return None
    from scipy.special import stdtr, stdtrit

    standard_error = half_width / float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    return 2 * float(stdtr(freedom, -abs(mean) / standard_error))


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p corrected for the number of comparisons, in their order (Holm 1979): (n - rank + 1) p, never falling."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected
