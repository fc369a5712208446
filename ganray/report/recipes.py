"""What tells recipes apart: flat paths, the paths that differ, and short labels for them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ganray.errors import StoreError
from ganray.recipe.recipe import Recipe

Value = str | int | float | bool | None
Flat = dict[str, Value]

NOT_MEANING = ("seed", "runtime")
"""Parts of a recipe that do not change what it is: repeats, and the machine's affairs."""


def flatten(recipe_json: str, trial_id: str) -> Flat:
    """Path to value, in the recipe's order. StoreError where the JSON is damaged.

    A sub-model is at `PATH.name` with its name, an unnamed one at `PATH` with True. Elements of a list of
    sub-models are told apart by their names: `tricks.flips` is True, `tricks.ema.decay` is 0.999.
    """
    try:
        recipe = _with_defaults(json.loads(recipe_json))
        return {path: value for key, node in recipe.items() for path, value in _walk(key, node)}
    except (ValueError, AttributeError, TypeError) as error:
        raise StoreError(f"the recipe of trial {trial_id} is no valid JSON object ({error})") from error


def _with_defaults(recipe: Any) -> Any:
    """What this GANRay makes of a recipe: an older row lacks fields that have a default today."""
    try:
        return Recipe.model_validate(recipe).model_dump(mode="json")
    except ValidationError:
        return recipe  # of a newer GANRay, or cut short: shown as it is


def not_default(recipe_json: str) -> set[str]:
    """The paths, as in `flatten`, of what a recipe does not leave at its defaults; all of one that is not known."""
    recipe = json.loads(recipe_json)
    with contextlib.suppress(ValidationError):
        recipe = Recipe.model_validate(recipe).model_dump(mode="json", exclude_defaults=True)
    return {path for key, node in recipe.items() for path, _ in _walk(key, node)}


def _walk(path: str, node: Any) -> Iterable[tuple[str, Value]]:
    if isinstance(node, dict):
        name = node.get("name")
        yield (f"{path}.name", name) if name is not None else (path, True)
        for key, value in node.items():
            if key != "name":
                yield from _walk(f"{path}.{key}", value)
    elif isinstance(node, list) and node and all(isinstance(e, dict) and "name" in e for e in node):
        for element in node:
            rest = {key: value for key, value in element.items() if key != "name"}
            yield from _walk(f"{path}.{element['name']}", rest)
    elif isinstance(node, list):
        # An empty list has nothing to show: the elements that others have speak for themselves.
        if node:
            yield path, ",".join(str(e) for e in node)
    else:
        yield path, node


def differing(recipes: Mapping[str, Flat]) -> tuple[str, ...]:
    """The paths worth a column: those whose value is not the same in all recipes and not implied by another.

    A parameter that only follows from the choice of its sub-model (least squares has targets, hinge has none)
    is left out, and so is the mere presence of a sub-model whose parameters are shown.
    """
    paths = list(dict.fromkeys(path for flat in recipes.values() for path in flat))
    markers = {p for p in paths if any(f.get(p) is True or p.endswith(".name") for f in recipes.values())}
    shown = [p for p in paths if not p.startswith("runtime") and _varies(p, recipes.values(), markers)]
    return tuple(p for p in shown if not _implied(p, shown, recipes.values()))


def _varies(path: str, recipes: Iterable[Flat], markers: set[str]) -> bool:
    parents = [m for m in sorted(markers) if m != path and path.startswith(m.removesuffix(".name") + ".")]
    seen: dict[tuple[Value, ...], set[str]] = {}
    for flat in recipes:
        seen.setdefault(tuple(flat.get(p) for p in parents), set()).add(repr(flat.get(path)))
    return any(len(values) > 1 for values in seen.values())


def _implied(path: str, shown: Sequence[str], recipes: Iterable[Flat]) -> bool:
    presence_only = all(flat.get(path) in (True, None) for flat in recipes)
    return presence_only and any(other.startswith(f"{path}.") for other in shown)


def labels(paths: Sequence[str]) -> dict[str, str]:
    """Path to the shortest name that people recognise: `objective.loss.name` is `loss`, `tricks.ema` is `ema`.

    A parameter keeps its sub-model (`generator.width`), and the only one shown of a trick or a penalty goes by
    its name (`tricks.diffaugment.policy` is `diffaugment`). Where two would be the same, both get longer.
    The networks go by the field's letters, G and D.
    """
    cut = {path: _cut(path, paths) for path in paths}
    length = {path: 1 if path.endswith(".name") or _is_element(cut[path]) else 2 for path in paths}
    while True:
        names = {path: ".".join(cut[path].split(".")[-length[path] :]) for path in paths}
        clash = [p for p in paths if list(names.values()).count(names[p]) > 1 and names[p] != cut[p]]
        if not clash:
            return {path: _letters(name) for path, name in names.items()}
        for path in clash:
            length[path] += 1


def short(path: str) -> str:
    """One path on its own in the words of `labels`: `D.norm`, `loss`, `replay`, `ema.decay`."""
    for place in _NAMED_LISTS:
        if path.startswith(f"{place}."):
            return path.removeprefix(f"{place}.")
    return _letters(path.removesuffix(".name").removeprefix("objective."))


def _letters(name: str) -> str:
    return ".".join({"generator": "G", "discriminator": "D"}.get(part, part) for part in name.split("."))


_NAMED_LISTS = (
    "tricks",
    "objective.penalties",
    "objective.generator_losses",
    "objective.weight_penalties",
    "objective.self_supervision",
)


def _cut(path: str, paths: Sequence[str]) -> str:
    """The path without its end where the end says nothing that the rest does not."""
    for element in (path.rsplit(".", n)[0] for n in range(1, path.count(".") + 1)):
        if _is_element(element) and sum(p == element or p.startswith(f"{element}.") for p in paths) == 1:
            return element
    return path.removesuffix(".name")


def _is_element(path: str) -> bool:
    return path.rpartition(".")[0] in _NAMED_LISTS


def show(value: Value) -> str:
    """A value as a table's cell shows it."""
    if value is True:
        return "yes"
    if value is None or value is False:
        return "–" if value is None else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def identity(flat: Flat) -> str:
    """The same for all trials that differ by their seed or their runtime only."""
    kept = {path: value for path, value in flat.items() if path.split(".")[0] not in NOT_MEANING}
    return json.dumps(kept, sort_keys=True)
