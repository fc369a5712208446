"""An experiment's tree in layers: a preset, the file laid over it, `--set key=value` laid over both."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ganray.errors import RecipeError
from ganray.recipe.distributions import DISTRIBUTIONS
from ganray.recipe.messages import Loc, dotted, nearest
from ganray.recipe.presets import PRESETS, load_preset
from ganray.recipe.source import Source, parse_value

PRESET = ("preset",)

_STEP = r"[^.\[\]]+(?:\[\d+\])*"
_KEY = re.compile(rf"{_STEP}(?:\.{_STEP})*")


@dataclass(frozen=True)
class Override:
    """One `--set key=value`."""

    path: Loc
    value: Any

    def __str__(self) -> str:
        return f"--set {dotted(self.path)}"


def parse_override(text: str) -> Override:
    """`tricks[1].decay=0.9` as a path and a YAML value. Raises RecipeError."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not _KEY.fullmatch(key):
        raise RecipeError(f"--set {text}: write it as key=value, for example --set budget.kimg=10")
    steps = [int(m[1]) if m[1] else m[2] for m in re.finditer(r"\[(\d+)\]|([^.\[\]]+)", key)]
    try:
        return Override(tuple(steps), parse_value(value))
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or error
        raise RecipeError(f"--set {text}: {value!r} is not a YAML value: {reason}") from None


def preset_of(source: Source, overrides: Sequence[Override]) -> Any:
    """The preset that is asked for, by `--set` or by the file; None where there is none."""
    asked = [override.value for override in overrides if override.path == PRESET]
    return asked[-1] if asked else source.tree.get("preset")


def layered(source: Source, overrides: Sequence[Override]) -> dict[str, Any]:
    """The file over its preset, and the overrides over both. Raises RecipeError."""
    tree = {key: value for key, value in source.tree.items() if key != "preset"}
    preset = preset_of(source, overrides)
    if preset is not None:
        if preset not in PRESETS:
            place = "--set preset" if preset != source.tree.get("preset") else source.at(PRESET)
            raise RecipeError(f"{place}: unknown preset {preset!r}; {nearest(preset, PRESETS)}")
        tree = merge(load_preset(preset), tree)
    # Outer keys first and `name` before its siblings, so that the order on the command line does not matter.
    for override in sorted(overrides, key=lambda o: (len(o.path), o.path[-1] != "name")):
        if override.path != PRESET:
            tree = _put(tree, override.path, (), override)
    return tree


def merge(base: Any, over: Any) -> Any:
    """`over` on top of `base`: mappings merge key by key, unless they `name` different things; the rest replaces."""
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    if "name" in base and "name" in over and over["name"] != base["name"]:
        return dict(over)
    if _is_distribution(base) or _is_distribution(over):
        return dict(over)
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def _put(node: Any, path: Loc, done: Loc, override: Override) -> Any:
    """`node` with the override's value at `path`; what is not on the way is shared, not copied."""
    if not path:
        return merge(node, override.value)
    key, *rest = path
    if isinstance(key, int):
        if not isinstance(node, list) or key >= len(node):
            length = f"has {len(node)} items" if isinstance(node, list) else "is no list"
            raise RecipeError(f"{override}: {dotted(done)} {length}; set all of it: --set '{dotted(done)}=[...]'")
        return [*node[:key], _put(node[key], tuple(rest), (*done, key), override), *node[key + 1 :]]
    if _is_distribution(node):
        raise RecipeError(
            f"{override}: {dotted(done)} is a distribution; set all of it: --set '{dotted(done)}={{...}}'"
        )
    mapping = node if isinstance(node, Mapping) else {}
    if done and key == "name" and not rest and mapping.get("name") not in (None, override.value):
        return {"name": override.value}  # another component: the keys of the old one mean nothing to it
    return {**mapping, key: _put(mapping.get(key), tuple(rest), (*done, key), override)}


def _is_distribution(node: Any) -> bool:
    return isinstance(node, Mapping) and any(key in node for key in DISTRIBUTIONS)
