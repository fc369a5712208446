"""Designed experiments: instead of a search, a list of recipes that follows from the space.

`grid` runs every combination. `one_at_a_time` runs the baseline, which is the first option of every choice, and each
recipe that differs from it by one option of one choice: what is each switch worth? Both cross everything with every
`seed` that the file offers, so that an effect comes with its spread; switches may take fewer seeds than the baseline.
"""

import itertools
from typing import Any

from ganray.errors import RecipeError
from ganray.recipe import space as space_
from ganray.recipe.distributions import Scalar

SEED = "seed"

MOST = 10_000
"""Recipes of a grid. More are a search, or a mistake, and nobody waits for them to be listed."""


def designed(space: Any, design: str, seeds_per_switch: int | None = None) -> list[space_.Params]:
    """The parameters of every recipe of the design, the baseline first.

    Raises RecipeError for ranges of floats, for a grid of more than MOST recipes, and for more seeds per switch than
    there are.
    """
    if space_.continuous(space):
        raise RecipeError(
            f"search.sampler {design} runs a list of recipes, and the file holds a range (uniform or log_uniform); "
            f"write it as a choice"
        )
    if design == "grid":
        if (size := space_.size(space)) > MOST:
            raise RecipeError(
                f"search.sampler grid runs every combination, and this space has {size:,} of them, but a grid holds "
                f"at most {MOST:,}: take one_at_a_time, random or tpe, or fewer choices"
            )
        return _grid(space)
    baseline = _complete(space, {})
    seeds = _options(space, {}).get(SEED, ())
    changed = [
        _complete(space, {name: option})
        for name, options in _options(space, {}).items()
        for option in options[1:]
        if name != SEED
    ]
    if seeds_per_switch is not None and seeds_per_switch > len(seeds):
        raise RecipeError(
            f"search.seeds_per_switch is {seeds_per_switch}, and `seed` offers {len(seeds)}: "
            f"write seed: {{choice: [0, 1, ...]}}"
        )
    if not seeds:
        return [baseline, *changed]
    of_baseline = [{**baseline, SEED: seed} for seed in seeds]
    return of_baseline + [
        {**params, SEED: seed} for params, seed in itertools.product(changed, seeds[:seeds_per_switch])
    ]


def _grid(space: Any) -> list[space_.Params]:
    found: list[space_.Params] = []
    todo: list[space_.Params] = [{}]
    while todo:
        params = todo.pop(0)
        options = _options(space, params)
        open_name = next((name for name in options if name not in params), None)
        if open_name is None:
            found.append(params)
        else:
            todo = [{**params, open_name: option} for option in options[open_name]] + todo
    return found


def _options(space: Any, params: space_.Params) -> dict[str, tuple[Scalar, ...]]:
    """The choices met on the way, what they offer, the first being the default; integers as their values."""
    suggest = _Listing(params)
    space_.draw(space, suggest)
    return suggest.options


def _complete(space: Any, params: space_.Params) -> space_.Params:
    """These parameters, and the first option of everything else that they open."""
    return {name: params.get(name, options[0]) for name, options in _options(space, params).items()}


class _Listing(space_.FixedSuggest):
    """Records integers as choices too."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        self.options[name] = tuple(range(low, high + 1))
        return int(self.params.get(name, low))  # type: ignore[arg-type]
