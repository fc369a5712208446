"""Designed experiments: instead of a search, a list of recipes that follows from the space.

`grid` runs every combination. `one_at_a_time` runs the baseline, which is the first option of every choice, and each
recipe that differs from it by one option of one choice: what is each switch worth? Both cross everything with every
`seed` that the file offers, so that an effect comes with its spread.
"""

import itertools
from typing import Any

from ganray.errors import RecipeError
from ganray.recipe import space as space_
from ganray.recipe.distributions import Scalar

SEED = "seed"


def designed(space: Any, design: str) -> list[space_.Params]:
    """The parameters of every recipe of the design, the baseline first. Raises RecipeError for ranges of floats."""
    if space_.continuous(space):
        raise RecipeError(
            f"search.sampler {design} runs a list of recipes, and the file holds a range (uniform or log_uniform); "
            f"write it as a choice"
        )
    if design == "grid":
        return _grid(space)
    baseline = _complete(space, {})
    seeds = _options(space, {}).get(SEED, ())
    changed = [
        _complete(space, {name: option})
        for name, options in _options(space, {}).items()
        for option in options[1:]
        if name != SEED
    ]
    recipes = [baseline, *changed]
    return [{**params, SEED: seed} for params, seed in itertools.product(recipes, seeds)] if seeds else recipes


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
