"""What a member of a population changes when it takes over another's recipe: numbers of the space, nothing else."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ganray.recipe import space
from ganray.recipe.distributions import Scalar
from ganray.recipe.recipe import Recipe
from ganray.recipe.schedulers import Pbt

CHANGING = ("optimizers", "objective", "tricks")
"""Parts of a recipe that act anew in each step, so that their numbers may change in mid-training."""

FIXED = ("capacity", "layers", "n")
"""Not so among the tricks: `replay.capacity` shapes a buffer, `freeze_d.layers` D's optimizer, and
`discriminator_steps.n` the images of a step, and with them where evaluations fall."""

SHARED = ("data", "budget", "evaluation")
"""What all members have in common: else neither their progress nor their numbers could be compared."""


@dataclass(frozen=True)
class Range:
    """A numeric distribution of the space."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, rng: random.Random) -> float:
        """A value at random, as a sampler draws it."""
        suggest = space.RandomSuggest(rng)
        if self.whole:
            return suggest.suggest_int("", int(self.low), int(self.high))
        return suggest.suggest_float("", self.low, self.high, log=self.log)

    def scaled(self, value: float, factor: float) -> float:
        """The value times the factor, within the bounds."""
        moved = min(max(value * factor, self.low), self.high)
        return round(moved) if self.whole else moved


@dataclass
class _Ranges(space.FixedSuggest):
    """Draws given parameters, and keeps the numeric distributions that it meets."""

    found: dict[str, Range] = field(default_factory=dict)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.found[name] = Range(low, high, log)
        return super().suggest_float(name, low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        self.found[name] = Range(low, high, whole=True)
        return super().suggest_int(name, low, high)


def changeable(tree: Mapping[str, Any], params: space.Params) -> dict[str, Range]:
    """The numbers of these parameters' recipe that may change in mid-training, by their names."""
    ranges = _Ranges(params)
    space.draw(tree, ranges)
    return {name: found for name, found in ranges.found.items() if may_change(name)}


def may_change(name: str) -> bool:
    """Whether a numeric parameter of this name may change in mid-training."""
    part = re.split(r"[.\[]", name)[0]
    words = re.sub(r"\[[^\]]*\]", "", name).split(".")
    return part in CHANGING and not (part == "tricks" and words[-1] in FIXED)


def explore(tree: Mapping[str, Any], params: space.Params, pbt: Pbt, rng: random.Random) -> space.Params:
    """The parameters with each changeable number multiplied by one of `perturb`, or drawn anew."""
    changed: dict[str, Scalar] = {}
    for name, found in changeable(tree, params).items():
        value = params[name]
        assert isinstance(value, int | float)
        fresh = rng.random() < pbt.resample_probability
        changed[name] = found.draw(rng) if fresh else found.scaled(value, rng.choice(pbt.perturb))
    return {**params, **changed}


def own_seed(params: space.Params, member: space.Params) -> space.Params:
    """The parameters with the member's own seed, which it keeps whatever recipe it takes over."""
    rest = {name: value for name, value in params.items() if not _is_seed(name)}
    return {**rest, **{name: value for name, value in member.items() if _is_seed(name)}}


def _is_seed(name: str) -> bool:
    return re.split(r"[.\[]", name)[0] == "seed"


def population_faults(tree: Mapping[str, Any], trials: int) -> Iterator[tuple[space.Path, str]]:
    """Why no population can be trained in this space: path and reason."""
    for key in SHARED:
        if space.holds_distribution(tree.get(key, {})):
            yield (
                next(space.open_paths(tree[key], (key,))),
                f"under the scheduler pbt all members have the same {key}, or they could not take over from each "
                f"other; give it one value",
            )
    if not any(may_change(name) for draw in _settled(tree) for name in draw):
        yield (
            ("search", "scheduler"),
            "pbt changes the numbers that the space draws from ranges (uniform, log_uniform, int) under optimizers, "
            "objective or tricks, and this space has none; give it one, such as "
            "optimizers.generator.lr: {log_uniform: [1e-4, 1e-3]}",
        )
    if not space.continuous(tree) and space.size(tree) < trials:
        yield (
            ("search", "trials"),
            f"a population of {trials} needs so many recipes to begin with, and this space has {space.size(tree)}; "
            f"give it a seed: {{int: [0, 1000000]}}",
        )


def step_fault(recipes: Sequence[Recipe]) -> str | None:
    """Why these members' evaluations do not fall on the same kimg; None where they do."""
    steps = {r.budget.batch_size * (trick.n if (trick := r.trick("discriminator_steps")) else 1) for r in recipes}
    if len(steps) <= 1:
        return None
    return (
        "under the scheduler pbt every member shows the same number of images in a step, or their evaluations fall on "
        f"different kimg; discriminator_steps makes them {', '.join(map(str, sorted(steps)))}"
    )


def _settled(tree: Mapping[str, Any]) -> Iterator[dict[str, Range]]:
    """The numeric distributions met under every option of every choice."""
    todo: list[space.Params] = [{}]
    known: set[tuple[str, Scalar]] = set()
    while todo:
        params = todo.pop()
        ranges = _Ranges(params)
        space.draw(tree, ranges)
        yield ranges.found
        for name, options in ranges.options.items():
            new = [option for option in options if (name, option) not in known]
            known |= {(name, option) for option in new}
            todo += [{**params, name: option} for option in new]
