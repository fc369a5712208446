"""What was found wrong with a trial, turned into an experiment file that tries the remedies one at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ganray.errors import StoreError
from ganray.recipe.experiment import load_experiment
from ganray.recipe.messages import explain
from ganray.recipe.plain import as_written, objective_as_written
from ganray.recipe.recipe import Recipe
from ganray.recipe.schedule import Runtime
from ganray.training.health import Add, OfBudget, Scale, Set, Try

TRIES = 8
"""Remedies in one file: each costs a trial."""

SUFFIX = "-remedies"

Tree = dict[str, Any]


@dataclass(frozen=True)
class Option:
    """One remedy that this recipe can take."""

    why: str
    section: str
    """The recipe's key that it changes."""
    value: Any
    """That section, changed."""


@dataclass(frozen=True)
class Remedies:
    """The remedies of a trial as an experiment."""

    name: str
    recipe: Recipe
    options: tuple[Option, ...]
    left_out: tuple[str, ...]
    """What was not put in, each with the reason."""

    @property
    def tree(self) -> Tree:
        """The experiment file: the trial's recipe, and a choice where a remedy changes it."""
        plain = plain_tree(self.recipe)
        space = {key: plain.get(key) for key in dict.fromkeys([*plain, *(o.section for o in self.options)])}
        for key in dict.fromkeys(option.section for option in self.options):
            changed = [option.value for option in self.options if option.section == key]
            space[key] = {"choice": [plain.get(key, _default(key)), *changed]}
        return {"name": self.name, **space, "search": {"sampler": "one_at_a_time"}}

    def to_yaml(self) -> str:
        """The file's text; above each option the reason for it."""
        lines = [
            f"# The recipe of trial {self.name.removesuffix(SUFFIX)}, and {len(self.options)} remedies, one at a time.",
            f"#   ganray sweep THIS_FILE      and then: ganray effects {self.name}",
        ]
        for key, value in self.tree.items():
            options = [o for o in self.options if o.section == key]
            if not options:
                lines.append(f"{key}: {_flow(value)}")
                continue
            lines += [f"{key}:", "  choice:", f"    - {_flow(value['choice'][0])}  # as it was"]
            for option in options:
                lines += [f"    # {option.why}", f"    - {_flow(option.value)}"]
        return "\n".join(lines) + "\n"


def write(remedies: Remedies, path: Path) -> None:
    """Write the file and read it as `ganray validate` does. StoreError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(remedies.to_yaml(), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}; choose another file") from error
    load_experiment(path)


def remedies(trial_id: str, recipe: Recipe, tries: Iterable[Try]) -> Remedies:
    """Those of the tries that this recipe can take, the first TRIES of them; none is in twice.

    StoreError where there is not one.
    """
    plain = plain_tree(recipe)
    options: list[Option] = []
    left_out: dict[str, None] = {}
    for attempt in {attempt.why: attempt for attempt in tries}.values():
        section = attempt.changes[0].path[0]
        value = _changed(recipe, plain.get(section, _default(section)), attempt)
        if value is None or any(o.section == section and o.value == value for o in options):
            continue
        if fault := _fault({**plain, section: value}):
            left_out[f"{attempt.why}: {fault}"] = None
        elif len(options) == TRIES:
            left_out[f"{attempt.why}: {TRIES} are enough for one experiment"] = None
        else:
            options.append(Option(attempt.why, section, value))
    if not options:
        reasons = "; ".join(left_out) or "the recipe has all of the advised already"
        raise StoreError(f"no remedy fits the recipe of trial {trial_id}: {reasons}")
    return Remedies(trial_id + SUFFIX, recipe, tuple(options), tuple(left_out))


def plain_tree(recipe: Recipe) -> Tree:
    """The recipe as one would write it: without its defaults, but for the loss, and without speed settings."""
    tree: Tree = as_written(recipe)
    tree.pop("runtime", None)
    if recipe.runtime.device != Runtime().device:
        tree["runtime"] = {"device": recipe.runtime.device}
    tree["objective"] = objective_as_written(recipe.objective)
    return {key: tree[key] for key in Recipe.model_fields if key in tree}


def _default(section: str) -> Any:
    return [] if section == "tricks" else {}


def _changed(recipe: Recipe, section: Any, attempt: Try) -> Any:
    """The section with the changes; None where they would change nothing, or one has no place in this recipe."""
    whole = {attempt.changes[0].path[0]: copy.deepcopy(section)}
    full = recipe.model_dump(mode="json")
    is_changed = False
    for change in attempt.changes:
        current = _at(full, change.path)
        if current is _ABSENT:
            return None
        value = _new_value(change, current, _at(whole, change.path), recipe.budget.kimg)
        if value is not _ABSENT:
            is_changed = True
            _put(whole, change.path, value)
    return whole[attempt.changes[0].path[0]] if is_changed else None


_ABSENT = object()


def _new_value(change: Set | Scale | Add, current: Any, written: Any, budget_kimg: float) -> Any:
    """What comes in place of the current value, `written` being how the file has it; _ABSENT where nothing changes."""
    match change:
        case Set(_, value):
            if isinstance(value, Mapping) and isinstance(current, Mapping):
                # Another network keeps the width: the trial is to cost about the same.
                width = {"width": current["width"]} if "width" in current else {}
                return _ABSENT if value.get("name") == current.get("name") else {**value, **width}
            return _ABSENT if value == current else value
        case Scale(_, factor):
            return round(current * factor) if isinstance(current, int) else _rounded(current * factor)
        case Add(_, component):
            if any(element["name"] == component["name"] for element in current):
                return _ABSENT
            shares = {k: _rounded(v.share * budget_kimg) for k, v in component.items() if isinstance(v, OfBudget)}
            return [*(written if isinstance(written, list) else []), {**component, **shares}]


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _at(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(tree, Mapping) or key not in tree:
            return _ABSENT
        tree = tree[key]
    return tree


def _put(tree: Tree, path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _fault(tree: Tree) -> str | None:
    """Why this recipe is refused; None where it is not."""
    try:
        Recipe.model_validate(tree)
    except ValidationError as error:
        return explain(error, Recipe, lambda path: "")[0].removeprefix(": ")
    return None


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()
