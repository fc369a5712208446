"""What a benchmark is: a grid of methods and data sets under one protocol and budget, declared in a YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from ganray.errors import RecipeError
from ganray.evaluation.protocols import Protocol, get_protocol
from ganray.recipe.base import Spec
from ganray.recipe.data import Resolution
from ganray.recipe.layers import merge
from ganray.recipe.messages import explain, nearest
from ganray.recipe.presets import PRESETS, load_preset
from ganray.recipe.recipe import Recipe
from ganray.recipe.settings import Resources

Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=24)]
"""Short enough for an experiment's name, and without the `:` and `,` that `--cells` uses."""

_OF_THE_BENCHMARK = ("data", "seed", "budget.kimg", "evaluation")


class PublishedIn(Spec):
    """Whose numbers stand beside ours: the rows of published.csv with this paper and variant."""

    paper: str
    variant: str


class Column(Spec):
    """A data set at one size and resolution."""

    dataset: str | None = Field(pattern=r"^(catalog|sample):[a-z0-9][a-z0-9-]*(:[1-9][0-9]*)?$")
    """`catalog:NAME`, `catalog:NAME:N` for its first N images, or `sample:NAME`: the recipe's `data.source`; null:
    nobody shares the set, so there are published numbers only."""
    n: int = Field(ge=2)
    """Training images. Trials that learnt another number of them do not count."""
    also_n: tuple[int, ...] = ()
    """Other numbers of images that sources give for the same set."""
    resolution: Resolution
    label: str
    key: Key | None = None
    """How `--cells` names it; left out: the data set's name."""
    published: str | None = None
    """The data set's name in published.csv."""
    published_n: int | None = Field(default=None, ge=1)
    """Its number of images there, where that is not `n`."""

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        cut = (self.dataset or "").split(":")[2:]
        if cut and int(cut[0]) != self.n:
            raise ValueError(f"{self.dataset} has {cut[0]} images, and n is {self.n}: give the same number twice")
        if self.dataset is None and self.key is None:
            raise ValueError("a column without a data set needs a key")
        return self

    @property
    def name(self) -> str | None:
        """The data set's name; of a part of it the store's column `dataset` has `NAME:N`."""
        return self.dataset.split(":")[1] if self.dataset else None

    @property
    def id(self) -> str:
        """How `--cells` names it."""
        return self.key or self.name or ""

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of images that a trial may have learnt."""
        return (self.n, *self.also_n)


class Method(Spec):
    """A row of the table."""

    key: Key
    """How `--cells` names it."""
    label: str
    recipe: str | dict[str, Any] | None
    """A preset's name, or keys of a recipe (with `preset: NAME` laid below them); null: published only."""
    published: str | None = None
    """The method's name in published.csv."""


@dataclass(frozen=True)
class Cell:
    """One method on one data set."""

    benchmark: Benchmark
    method: Method
    column: Column

    @property
    def name(self) -> str:
        """`METHOD:DATASET`, as `--cells` takes it."""
        return f"{self.method.key}:{self.column.id}"

    @property
    def experiment(self) -> str:
        """What names of experiments that fill this cell begin with."""
        return f"{self.benchmark.name}.{self.method.key}.{self.column.id}"

    @property
    def is_runnable(self) -> bool:
        """Whether GANRay has both the recipe and a data set to fetch."""
        return self.method.recipe is not None and self.column.dataset is not None

    @property
    def command(self) -> str:
        """What fills it."""
        return f"ganray reproduce {self.benchmark.name} --cells {self.name}"

    def tree(self, kimg: float | None = None) -> dict[str, Any]:
        """The recipe as plain keys, without a seed; `kimg` in place of the benchmark's budget.

        Evaluated as often over a shorter budget as over the whole one.
        """
        benchmark, own = self.benchmark, self.method.recipe
        if own is None or self.column.dataset is None:
            what = f"data set for {self.column.label}" if own else f"recipe for {self.method.label}"
            raise RecipeError(f"{benchmark.name}: there is no {what}, only published numbers")
        keys = {"preset": own} if isinstance(own, str) else dict(own)
        preset = keys.pop("preset", None)
        kimg = kimg or benchmark.budget_kimg
        given = {
            "data": {"source": self.column.dataset, "resolution": self.column.resolution},
            "budget": {"kimg": kimg},
            "evaluation": {
                "protocols": [benchmark.protocol],
                "every_kimg": benchmark.every_kimg * min(1.0, kimg / benchmark.budget_kimg),
            },
        }
        below = load_preset(preset) if preset else {}
        tree: dict[str, Any] = merge(merge(merge(below, benchmark.recipe), keys), given)
        return tree

    def recipe(self, seed: int = 0) -> Recipe:
        """The validated recipe. Raises RecipeError where it makes no sense."""
        try:
            return Recipe.model_validate({**self.tree(), "seed": seed})
        except ValidationError as error:
            where = f"{self.benchmark.name}: {self.name}"
            raise RecipeError("\n".join(explain(error, Recipe, lambda _: where))) from None


class Benchmark(Spec):
    """A table: methods by data sets, one protocol, one budget."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=24)
    title: str
    source: str
    """Where the table comes from."""
    protocol: str
    budget_kimg: float = Field(gt=0)
    every_kimg: float = Field(gt=0)
    notes: tuple[str, ...] = ()
    """What a reader must know before believing the comparison."""
    published: PublishedIn | None = None
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Keys of a recipe that all methods share, over their presets and under their own keys."""
    resources: Resources = Resources()
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    methods: Annotated[tuple[Method, ...], Field(min_length=1)]

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, value: str) -> str:
        try:
            return get_protocol(value).name
        except RecipeError as error:
            raise ValueError(str(error).partition(": ")[2]) from None

    @field_validator("methods")
    @classmethod
    def _known_presets(cls, value: tuple[Method, ...]) -> tuple[Method, ...]:
        for method in value:
            preset = method.recipe.get("preset") if isinstance(method.recipe, dict) else method.recipe
            if preset is not None and preset not in PRESETS:
                raise ValueError(f"{method.key}: unknown preset {preset!r}; {nearest(preset, PRESETS)}")
        return value

    @model_validator(mode="after")
    def _sound(self) -> Benchmark:
        _refuse_twice("columns", [column.id for column in self.columns])
        _refuse_twice("columns", [f"{c.dataset} at {c.resolution} px" for c in self.columns if c.dataset])
        _refuse_twice("methods", [method.key for method in self.methods])
        self._refuse_what_is_given()
        for cell in self.cells:
            if cell.is_runnable:
                try:
                    cell.recipe()
                except RecipeError as error:
                    raise ValueError(str(error).removeprefix(f"{self.name}: ")) from None
        return self

    def _refuse_what_is_given(self) -> None:
        """Data, seed, budget and protocol belong to the grid: in a recipe they would be overruled in silence."""
        for where, keys in (("recipe", self.recipe), *((m.key, m.recipe) for m in self.methods)):
            if not isinstance(keys, dict):
                continue
            budget = keys.get("budget")
            given = {*keys, *(f"budget.{key}" for key in (budget if isinstance(budget, dict) else ()))}
            if clash := [key for key in _OF_THE_BENCHMARK if key in given]:
                raise ValueError(f"{where}: the benchmark itself gives {', '.join(clash)}; leave it out of the recipe")

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every method on every data set, in the table's order."""
        return tuple(Cell(self, method, column) for method in self.methods for column in self.columns)

    @property
    def metric(self) -> Protocol:
        """The protocol itself."""
        return get_protocol(self.protocol)

    @property
    def runnable(self) -> tuple[Cell, ...]:
        """The cells that can be filled."""
        return tuple(cell for cell in self.cells if cell.is_runnable)


def _refuse_twice(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what}: {', '.join(twice)} is there twice; give each a `key` of its own")
