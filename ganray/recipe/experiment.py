"""An experiment file: a recipe whose values may be distributions, plus `name`, `preset`, `search`, `resources`."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from ganray.errors import RecipeError
from ganray.recipe import space as space_
from ganray.recipe.base import Spec
from ganray.recipe.distributions import as_distribution
from ganray.recipe.messages import Loc, dotted, explain, nearest
from ganray.recipe.presets import PRESETS, load_preset
from ganray.recipe.recipe import Recipe
from ganray.recipe.source import Source, merge, parse_value, read_yaml


class Asha(Spec):
    """Asynchronous successive halving (arXiv 1810.05934) on kimg: early stopping of the weaker trials."""

    name: Literal["asha"]
    grace_kimg: float | None = Field(default=None, gt=0)
    """No trial is stopped before this; left out: at the second evaluation."""
    reduction_factor: float = Field(default=3.0, gt=1)


class Search(Spec):
    """How the space is searched."""

    trials: int = Field(default=20, ge=1)
    metric: str | None = None
    """The protocol that trials are compared by; left out: the first of `evaluation.protocols`."""
    sampler: Literal["tpe", "random"] = "tpe"
    seed: int = Field(default=0, ge=0)
    startup_trials: int = Field(default=10, ge=1)
    """Random trials before TPE starts to model the space."""
    scheduler: Asha | None = None
    start_from: tuple[dict[str, Any], ...] = ()
    """Recipes to try first: plain values for everything that the space leaves open."""


class Resources(Spec):
    """What one trial needs."""

    workers_per_trial: int = Field(default=1, ge=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)
    gpus_per_worker: float | None = Field(default=None, ge=0)
    """Fractions allowed; left out: 1 where the cluster has GPUs and `runtime.device` is not cpu, else 0."""
    slots: int | None = Field(default=None, ge=1)
    """Trials side by side; left out: as many as the cluster has room for."""


class Settings(Spec):
    """What an experiment file holds beside the recipe."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    search: Search = Search()
    resources: Resources = Resources()
    runs: str = "runs"
    """Folder of checkpoints, sweep state and the study."""
    store: str | None = None
    """Results store, a path or an fsspec URI; left out: `GANRAY_STORE`, else `store` under `runs`."""


@dataclass(frozen=True)
class Experiment:
    """A loaded experiment file: its settings and the space of its recipes."""

    source: Source
    settings: Settings
    space: dict[str, Any]
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.settings.name

    def draw(self, suggest: space_.Suggest) -> Recipe:
        """One recipe. Raises RecipeError where the combination drawn makes no sense."""
        return self._validated(space_.draw(self.space, suggest))

    def sample(self, seed: int = 0) -> Recipe:
        """One recipe drawn at random."""
        return self.draw(space_.RandomSuggest(random.Random(seed)))

    def fixed(self, params: space_.Params) -> Recipe:
        """The recipe of these parameters, as a sampler proposed them."""
        return self.draw(space_.FixedSuggest(params))

    def the_recipe(self) -> Recipe:
        """The one recipe of a file without distributions. Raises RecipeError where there is a choice left."""
        if self.is_search:
            first = next(iter(_distribution_paths(self.space)))
            raise RecipeError(
                f"{self.source.at(first)}: {dotted(first)} is a distribution, and this command trains one recipe; "
                f"fix it with --set {dotted(first)}=VALUE (or run `ganray sweep {self.source.path}`)"
            )
        return self.sample()

    @cached_property
    def is_search(self) -> bool:
        return space_.holds_distribution(self.space)

    @cached_property
    def metric(self) -> str:
        """The protocol that trials are compared by."""
        return self.settings.search.metric or self.sample().evaluation.protocols[0]

    def params_of(self, recipe: Recipe | Mapping[str, Any]) -> space_.Params:
        """The parameters that draw this recipe: what Optuna is told to try first.

        A mapping may leave out whatever the space fixes. Raises RecipeError where it lies outside the space.
        """
        wanted = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe
        for params in space_.parameters_of(self.space, wanted):
            drawn = self.fixed(params)
            if _agrees(wanted, drawn.model_dump(mode="json")):
                return params
        raise RecipeError(f"{self.source.path}: the recipe {dict(wanted)!r} does not lie in this file's space")

    def start_params(self) -> list[space_.Params]:
        """`search.start_from` as parameters. Raises RecipeError naming the entry that does not fit."""
        found = []
        for i, entry in enumerate(self.settings.search.start_from):
            try:
                found.append(self.params_of(entry))
            except RecipeError as error:
                path = ("search", "start_from", i)
                open_ = ", ".join(sorted({dotted(p) for p in _distribution_paths(self.space)}))
                raise RecipeError(
                    f"{self.source.at(path)}: {dotted(path)} must give a value that the file allows for each of: "
                    f"{open_} ({error})"
                ) from None
        return found

    def check(self, random_draws: int = 200) -> None:
        """Every option, every bound, and random combinations are valid. Raises RecipeError with all the reasons."""
        rng = space_.RandomSuggest(random.Random(0))
        draws: Iterator[space_.Draw] = space_.representatives(self.space)
        lines: list[str] = []
        for drawn in draws:
            lines += [line for line in self._errors(drawn) if line not in lines]
        for _ in range(random_draws if self.is_search and not lines else 0):
            lines += [line for line in self._errors(space_.draw(self.space, rng)) if line not in lines]
        if lines:
            raise RecipeError("\n".join(lines[:20]))
        self.start_params()

    def _errors(self, drawn: space_.Draw) -> list[str]:
        try:
            Recipe.model_validate(drawn.value)
        except ValidationError as error:
            return self._explain(error, Recipe, drawn.value, drawn.origin)
        return []

    def _validated(self, drawn: space_.Draw) -> Recipe:
        try:
            return Recipe.model_validate(drawn.value)
        except ValidationError as error:
            lines = self._explain(error, Recipe, drawn.value, drawn.origin)
            raise RecipeError("\n".join(lines)) from None

    def _explain(self, error: ValidationError, model: type[BaseModel], value: Any, origin: dict[Loc, Loc]) -> list[str]:
        return explain(error, model, value, lambda path: self._place(path, origin))

    def _place(self, path: Loc, origin: dict[Loc, Loc]) -> str:
        for n in range(len(path), 0, -1):
            if path[:n] in origin:
                path = (*origin[path[:n]], *path[n:])
                break
        plain = dotted(path)
        for override in self.overrides:
            if plain.startswith(override) or (plain and override.startswith(f"{plain}.")):
                return f"--set {override}"
        return self.source.at(path)


def load_experiment(path: str | Path, overrides: Sequence[str] = (), *, check: bool = True) -> Experiment:
    """Read an experiment file, lay it over its preset, apply `--set key=value` overrides, validate all of it.

    Raises RecipeError with one line per fault, each with file, line and the nearest valid name.
    """
    source = read_yaml(Path(path))
    tree = _over_preset(source)
    keys = []
    for override in overrides:
        keys.append(_apply(tree, override))
    tree.setdefault("name", Path(path).stem)
    _refuse_unknown(tree, source)
    settings_tree = {key: tree.pop(key) for key in list(tree) if key in Settings.model_fields}
    try:
        settings = Settings.model_validate(settings_tree)
    except ValidationError as error:
        lines = explain(error, Settings, settings_tree, lambda p: source.at(p))
        raise RecipeError("\n".join(lines)) from None
    experiment = Experiment(source, settings, tree, tuple(keys))
    if check:
        _check_distributions(experiment)
        experiment.check()
    return experiment


def _over_preset(source: Source) -> dict[str, Any]:
    tree = dict(source.tree)
    preset = tree.pop("preset", None)
    if preset is None:
        return tree
    if preset not in PRESETS:
        raise RecipeError(f"{source.at(['preset'])}: unknown preset {preset!r}; {nearest(str(preset), PRESETS)}")
    return dict(merge(load_preset(preset), tree))


def _apply(tree: dict[str, Any], override: str) -> str:
    """Apply `a.b.c=VALUE` to the tree; return the key."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override}: write it as key=value, for example --set budget.kimg=10")
    *parents, last = key.split(".")
    node = tree
    for parent in parents:
        child = node.get(parent)
        node[parent] = dict(child) if isinstance(child, Mapping) else {}
        node = node[parent]
    try:
        node[last] = parse_value(text)
    except Exception as error:
        raise RecipeError(f"--set {override}: {text!r} is not a YAML value: {error}") from None
    return key


def _refuse_unknown(tree: Mapping[str, Any], source: Source) -> None:
    known = sorted({*Settings.model_fields, *Recipe.model_fields, "preset"})
    lines = [f"{source.at([k])}: unknown key {k!r}; {nearest(str(k), known)}" for k in tree if k not in known]
    if lines:
        raise RecipeError("\n".join(lines))


def _check_distributions(experiment: Experiment) -> None:
    """A malformed distribution is named with its line before anything is drawn from it."""
    lines = []
    for path, node in _nodes(experiment.space, ()):
        try:
            as_distribution(node)
        except ValidationError as error:
            detail = error.errors()[0]
            reason = detail.get("ctx", {}).get("error") or detail["msg"]
            lines.append(f"{experiment.source.at(path)}: {dotted(path)}: {reason}, got {node!r}")
    if lines:
        raise RecipeError("\n".join(lines))


def _nodes(node: Any, path: Loc) -> Iterator[tuple[Loc, Any]]:
    yield path, node
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield from _nodes(child, (*path, key))


def _distribution_paths(space: Any) -> Iterator[Loc]:
    """Paths of the outermost distributions."""
    found: list[Loc] = []
    for path, node in _nodes(space, ()):
        if any(path[: len(f)] == f for f in found):
            continue
        if as_distribution(node) is not None:
            found.append(path)
            yield path


def _agrees(wanted: Any, drawn: Any) -> bool:
    """Whether every value that is wanted was drawn; lists of components agree in any order."""
    if isinstance(wanted, Mapping):
        return isinstance(drawn, Mapping) and all(k in drawn and _agrees(v, drawn[k]) for k, v in wanted.items())
    if isinstance(wanted, list | tuple):
        if not isinstance(drawn, list | tuple) or len(wanted) != len(drawn):
            return False
        rest = list(drawn)
        for item in wanted:
            match = next((d for d in rest if _agrees(item, d)), None)
            if match is None:
                return False
            rest.remove(match)
        return True
    return bool(wanted == drawn)
