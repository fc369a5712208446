"""What stops weak trials early, or lets them go on from better ones. All of it counts in kimg."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ganray.recipe.base import Spec
from ganray.recipe.recipe import Recipe

Fault = tuple[str, str]
"""The scheduler's key at fault, and the reason."""


class Rungs(Spec):
    """What ASHA and HyperBand share: rungs at `grace_kimg`, and each next one `reduction_factor` times as far."""

    grace_kimg: float | None = Field(default=None, gt=0)
    """No trial is stopped before this; left out: at the second evaluation."""
    reduction_factor: float = Field(default=3.0, gt=1)
    """At each rung about one of so many trials goes on."""

    def grace(self, recipe: Recipe) -> float:
        """The first rung in kimg, never beyond the budget."""
        return min(self.grace_kimg or 2 * recipe.evaluation.every_kimg, recipe.budget.kimg)

    def faults(self, recipe: Recipe) -> Iterator[Fault]:
        """What makes no sense with this recipe's budget."""
        budget = recipe.budget.kimg
        if self.grace_kimg is not None and self.grace_kimg >= budget:
            yield (
                "grace_kimg",
                f"no trial would ever be stopped: the grace of {self.grace_kimg:g} kimg is not below budget.kimg "
                f"{budget:g}; lower it, or leave the scheduler out",
            )


class Asha(Rungs):
    """Asynchronous successive halving (arXiv 1810.05934) on kimg: early stopping of the weaker trials."""

    name: Literal["asha"]


class Hyperband(Rungs):
    """Asynchronous HyperBand (arXiv 1810.05934, section 3.2; 1603.06560): ASHA several times over, each time with a
    later first rung.

    For a metric whose early values mislead: trials of a later bracket are given more time before they are judged.
    """

    name: Literal["hyperband"]
    brackets: int = Field(default=3, ge=2, le=8)
    """The first rung of bracket s is at grace_kimg * reduction_factor^s; early brackets get most of the trials."""

    def faults(self, recipe: Recipe) -> Iterator[Fault]:
        yield from super().faults(recipe)
        last = self.grace(recipe) * self.reduction_factor ** (self.brackets - 1)
        if last > recipe.budget.kimg:
            yield (
                "brackets",
                f"the first rung of bracket {self.brackets} would be at {last:g} kimg, beyond budget.kimg "
                f"{recipe.budget.kimg:g}: nothing in it would ever be stopped; take fewer brackets, or lower "
                f"grace_kimg or reduction_factor",
            )


INTERVALS = 3
"""A population needs so many intervals in its budget: two rounds of taking over, and one to train after them."""


class Pbt(Spec):
    """Population based training (arXiv 1711.09846): `search.trials` members train side by side, and at each interval
    the worst take over weights and recipe of the best and change its numbers.

    For schedules of rates and weights that no single recipe has. Its result is the course of a population: no member
    that took over another's weights can be repeated from its recipe alone.
    """

    name: Literal["pbt"]
    every_kimg: float = Field(gt=0)
    """From one round of taking over to the next; a multiple of `evaluation.every_kimg`."""
    quantile: float = Field(default=0.25, gt=0, le=0.5)
    """Share of the members that take over, and share that they take from."""
    perturb: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(0.8, 1.2), min_length=1)
    """Each number is multiplied by one of these, and kept within the bounds of its distribution."""
    resample_probability: float = Field(default=0.25, ge=0, le=1)
    """Or, with this probability, drawn anew from its distribution."""

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if set(self.perturb) == {1.0} and self.resample_probability == 0:
            raise ValueError("perturb [1] without resampling changes nothing; give factors such as [0.8, 1.2]")
        return self

    def generation(self, kimg: float) -> int:
        """How many rounds a trial that is so far has come to."""
        return int(kimg / self.every_kimg + 1e-6)

    def faults(self, recipe: Recipe) -> Iterator[Fault]:
        """What makes no sense with this recipe's budget and evaluations."""
        budget, each = recipe.budget.kimg, recipe.evaluation.every_kimg
        if budget < INTERVALS * self.every_kimg * (1 - 1e-6):
            yield (
                "every_kimg",
                f"budget.kimg {budget:g} has fewer than {INTERVALS} intervals of {self.every_kimg:g}: members would "
                f"take over and hardly train after it; lower every_kimg to {budget / INTERVALS:g} or less",
            )
        if abs(self.every_kimg / each - max(1, round(self.every_kimg / each))) > 1e-6:
            yield (
                "every_kimg",
                f"members are compared where they are evaluated, and {self.every_kimg:g} kimg is no multiple of "
                f"evaluation.every_kimg {each:g}",
            )


Scheduler = Annotated[Asha | Hyperband | Pbt, Field(discriminator="name")]


def sampler_fault(scheduler: Any, sampler: str, prune_on: tuple[str, ...], trials: int) -> str | None:
    """Why this scheduler does not go with the rest of `search`; None where it does."""
    if not isinstance(scheduler, Pbt):
        return None
    if sampler == "tpe":
        return (
            "the scheduler pbt goes with sampler: random, not with tpe, which would be told values of recipes that it "
            "did not propose"
        )
    if sampler != "random":
        return f"the scheduler pbt goes with sampler: random, not with {sampler}: its recipes change as they train"
    if prune_on:
        return "the scheduler pbt goes without prune_on: a member in trouble takes over a better one's weights instead"
    if trials < 2:
        return "the scheduler pbt needs at least 2 trials: they are the members of its population"
    return None
