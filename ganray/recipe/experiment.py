"""An experiment file: a recipe whose values may be distributions, plus `name`, `preset`, `search`, `resources`."""

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ganray.errors import RecipeError
from ganray.recipe import space as space_
from ganray.recipe.definition import definition_hash
from ganray.recipe.design import designed
from ganray.recipe.distributions import distribution_fault
from ganray.recipe.layers import Override, layered, parse_override, preset_of
from ganray.recipe.messages import Loc, dotted, explain, nearest
from ganray.recipe.population import population_faults, step_fault
from ganray.recipe.presets import PRESETS, load_preset
from ganray.recipe.recipe import Recipe
from ganray.recipe.refusals.training import judged_by_itself
from ganray.recipe.schedule import Evaluation
from ganray.recipe.schedulers import Asha, Pbt
from ganray.recipe.settings import Resources, Search, Settings
from ganray.recipe.source import Source, read_yaml

__all__ = ["Asha", "Experiment", "Resources", "Search", "Settings", "load_experiment"]


@dataclass(frozen=True)
class Experiment:
    """A loaded experiment file: its settings and the space of its recipes."""

    source: Source
    settings: Settings
    space: dict[str, Any]
    overrides: tuple[Override, ...] = ()

    @property
    def name(self) -> str:
        return self.settings.name

    def draw(self, suggest: space_.Suggest) -> Recipe:
        """One recipe. Raises RecipeError where the combination drawn makes no sense."""
        drawn = space_.draw(self.space, suggest)
        try:
            return Recipe.model_validate(drawn.value)
        except ValidationError as error:
            raise RecipeError("\n".join(self._explain(error, drawn))) from None

    def sample(self, seed: int = 0) -> Recipe:
        """One recipe drawn at random, or of the design."""
        if self.design is not None:
            return self.fixed(self.design[seed % len(self.design)])
        return self.draw(space_.RandomSuggest(random.Random(seed)))

    def fixed(self, params: space_.Params) -> Recipe:
        """The recipe of these parameters, as a sampler proposed them. Raises RecipeError where they do not fit."""
        return self.draw(space_.FixedSuggest(params))

    def the_recipe(self) -> Recipe:
        """The one recipe of a file without distributions. Raises RecipeError where there is a choice left."""
        if not self.is_search:
            return self.sample()
        first = next(space_.open_paths(self.space))
        node: Any = self.space
        for key in first:
            node = node[key]
        example = json.dumps(space_.draw(node, space_.FixedSuggest({})).value)
        raise RecipeError(
            f"{self.place(first)}: this command trains one recipe, and the file leaves open: {self._open_keys()}. "
            f"Give each a value, for example --set '{dotted(first)}={example}', "
            f"or run `ganray sweep {self.source.path}`"
        )

    @cached_property
    def is_search(self) -> bool:
        return space_.holds_distribution(self.space)

    @cached_property
    def design(self) -> list[space_.Params] | None:
        """The list of recipes that the sampler prescribes; None where it searches."""
        search = self.settings.search
        if search.sampler not in ("grid", "one_at_a_time"):
            return None
        return designed(self.space, search.sampler, search.seeds_per_switch)

    @property
    def trials(self) -> int:
        """How many trials the file asks for."""
        return self.settings.search.trials if self.design is None else len(self.design)

    @cached_property
    def metric(self) -> str:
        """The protocol that trials are compared by."""
        return self.settings.search.metric or self.sample().evaluation.protocols[0]

    @cached_property
    def definition_hash(self) -> str:
        """What the experiment is: its space and its metric, but not where, how fast or how long it is searched."""
        return definition_hash(self.space, self.metric)

    @cached_property
    def protocols(self) -> tuple[str, ...]:
        """Every protocol that a recipe of the space is scored by."""
        names: dict[str, None] = {}
        for drawn in space_.representatives({"evaluation": self.space.get("evaluation", {})}):
            names |= dict.fromkeys(Evaluation.model_validate(drawn.value["evaluation"]).protocols)
        return tuple(names)

    def params_of(self, recipe: Recipe | Mapping[str, Any]) -> space_.Params:
        """The parameters that draw this recipe: what Optuna is told to try first.

        A mapping may leave out whatever the space fixes. Raises RecipeError where it lies outside the space.
        """
        wanted = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe
        for params in space_.parameters_of(self.space, wanted):
            if _agrees(wanted, self.fixed(params).model_dump(mode="json")):
                return params
        raise RecipeError(f"{self.source.path}: the recipe {dict(wanted)!r} does not lie in this file's space")

    def start_params(self) -> list[space_.Params]:
        """What is tried first: the design, or `search.start_from`. Raises RecipeError naming the entry at fault."""
        if self.design is not None:
            return list(self.design)
        found = []
        for i, entry in enumerate(self.settings.search.start_from):
            try:
                found.append(self.params_of(entry))
            except RecipeError as error:
                path = ("search", "start_from", i)
                raise RecipeError(
                    f"{self.place(path)}: {dotted(path)} must give a value that the file allows for each of: "
                    f"{self._open_keys() or 'nothing, the file has no distribution'} ({error})"
                ) from None
        return found

    def check(self, draws: int = 300) -> None:
        """Every option, every bound, and the combinations of options are valid. Raises RecipeError with the reasons.

        Spaces of up to `draws` combinations are tried in full; of larger ones, so many at random. Of a design, its
        own recipes alone.
        """
        if self.design is not None:
            self._refuse_any(space_.draw(self.space, space_.FixedSuggest(params)) for params in self.design)
            return
        self._refuse_population()
        rng = space_.RandomSuggest(random.Random(0))
        at_random = (space_.draw(self.space, rng) for _ in range(draws if self.is_search else 0))
        self._refuse_any(chain(space_.representatives(self.space), islice(space_.combinations(self.space), draws)))
        self._refuse_any(at_random)
        self.start_params()

    def _refuse_population(self) -> None:
        """A space in which no population can be trained, where the scheduler is to train one."""
        if not isinstance(self.settings.search.scheduler, Pbt):
            return
        lines = [
            f"{self.place(path)}: {dotted(path)}: {reason}"
            for path, reason in population_faults(self.space, self.settings.search.trials)
        ]
        if not lines and (fault := step_fault(self._valid(space_.representatives(self.space)))):
            lines = [f"{self.place(('tricks',))}: tricks: {fault}"]
        if lines:
            raise RecipeError("\n".join(lines))

    def _valid(self, draws: Iterable[space_.Draw]) -> list[Recipe]:
        return [Recipe.model_validate(drawn.value) for drawn in draws if not self._faults(drawn)]

    def _refuse_any(self, draws: Iterable[space_.Draw]) -> None:
        lines: dict[str, None] = {}
        for drawn in draws:
            lines |= dict.fromkeys(self._faults(drawn))
        if lines:
            raise RecipeError("\n".join(list(lines)[:20]))

    def place(self, path: Loc) -> str:
        """Where a path of the space was set: `FILE:LINE`, the `--set` that did it, or the file with its preset."""
        unwritten = self.source.line(path) is None
        for override in self.overrides:
            within = path[: len(override.path)] == override.path
            around = override.path[: len(path)] == path and (unwritten or override.path[len(path) :] == ("name",))
            if within or (path and around):
                return str(override)
        preset = preset_of(self.source, self.overrides)
        if unwritten and preset in PRESETS and path and path[0] in load_preset(preset):
            return f"{self.source.path} (preset {preset})"
        return self.source.at(path)

    def _open_keys(self) -> str:
        return ", ".join(sorted({dotted(path) for path in space_.open_paths(self.space)}))

    def _faults(self, drawn: space_.Draw) -> list[str]:
        try:
            recipe = Recipe.model_validate(drawn.value)
        except ValidationError as error:
            return self._explain(error, drawn)
        if self.metric not in recipe.evaluation.protocols:
            path = ("search", "metric") if self.settings.search.metric else ("evaluation", "protocols")
            return [
                f"{self.place(path)}: {dotted(path)}: trials are compared by {self.metric}, and a recipe of this file "
                f"is scored by {', '.join(recipe.evaluation.protocols)} alone; have every recipe scored by it"
            ]
        if fault := judged_by_itself(recipe, self.metric):
            where, reason = fault
            return [f"{self.place(drawn.in_space(where))}: {dotted(where)}: {reason}"]
        if scheduler := self.settings.search.scheduler:
            for key, reason in scheduler.faults(recipe):
                at = ("search", "scheduler", key)
                return [f"{self.place(at)}: {dotted(at)}: {reason}"]
        workers, batch = self.settings.resources.workers_per_trial, recipe.budget.batch_size
        if batch % workers:
            path = ("resources", "workers_per_trial")
            return [
                f"{self.place(path)}: {dotted(path)}: {workers} workers cannot share budget.batch_size {batch} evenly"
            ]
        return []

    def _explain(self, error: ValidationError, drawn: space_.Draw) -> list[str]:
        return explain(error, Recipe, lambda path: self.place(drawn.in_space(path)))


def load_experiment(path: str | Path, overrides: Sequence[str] = (), *, check: bool = True) -> Experiment:
    """Read an experiment file, lay it over its preset, apply `--set key=value` overrides, validate all of it.

    Raises RecipeError with one line per fault, each with file, line and the nearest valid name.
    """
    source = read_yaml(Path(path))
    parsed = tuple(parse_override(text) for text in overrides)
    tree = layered(source, parsed)
    tree.setdefault("name", Path(path).stem)
    settings_tree = {key: tree.pop(key) for key in list(tree) if key in Settings.model_fields}
    bare = Experiment(source, Settings(name="unchecked"), tree, parsed)
    _refuse_unknown(bare)
    try:
        settings = Settings.model_validate(settings_tree)
    except ValidationError as error:
        raise RecipeError("\n".join(explain(error, Settings, bare.place))) from None
    experiment = Experiment(source, settings, tree, parsed)
    if check:
        _check_distributions(experiment)
        experiment.check()
    return experiment


def _refuse_unknown(experiment: Experiment) -> None:
    known = sorted({*Settings.model_fields, *Recipe.model_fields, "preset"})
    lines = [
        f"{experiment.place((key,))}: unknown key {key!r}; {nearest(key, known)}"
        for key in experiment.space
        if key not in Recipe.model_fields
    ]
    if lines:
        raise RecipeError("\n".join(lines))


def _check_distributions(experiment: Experiment) -> None:
    """A malformed distribution is named with its line before anything is drawn from it."""
    lines = [
        f"{experiment.place(path)}: {dotted(path)}: {fault}"
        for path, node in space_.nodes(experiment.space)
        if (fault := distribution_fault(node))
    ]
    if lines:
        raise RecipeError("\n".join(lines))


def _agrees(wanted: Any, drawn: Any) -> bool:
    """Whether every value that is wanted was drawn; components in a list agree in any order."""
    if isinstance(wanted, Mapping):
        return isinstance(drawn, Mapping) and all(k in drawn and _agrees(v, drawn[k]) for k, v in wanted.items())
    if not isinstance(wanted, list | tuple):
        return bool(wanted == drawn)
    if not isinstance(drawn, list | tuple) or len(wanted) != len(drawn):
        return False
    rest = list(drawn)
    for item in wanted:
        candidates: Iterator[Any] = (d for d in rest[: None if isinstance(item, Mapping) else 1] if _agrees(item, d))
        match = next(candidates, None)
        if match is None:
            return False
        rest.remove(match)
    return True
