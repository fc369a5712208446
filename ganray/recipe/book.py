"""The recipe book: every component with what its own docstrings say of it."""

import inspect
import json
import re
from dataclasses import dataclass
from typing import Any, get_args

from pydantic_core import PydanticUndefined, to_jsonable_python

from ganray.recipe.base import Spec
from ganray.recipe.discriminators import Discriminator
from ganray.recipe.generators import Generator
from ganray.recipe.objective import Adversarial, Conditioning, SelfSupervision
from ganray.recipe.optimizers import Optimizer, Schedule
from ganray.recipe.penalties import GeneratorLoss, Penalty, WeightPenalty
from ganray.recipe.tricks import Trick

FAMILIES: dict[str, tuple[str, Any]] = {
    "Generators": ("generator", Generator),
    "Discriminators": ("discriminator", Discriminator),
    "Adversarial losses": ("objective.loss", Adversarial),
    "Penalties of the discriminator": ("objective.penalties", Penalty),
    "Further losses of the generator": ("objective.generator_losses", GeneratorLoss),
    "Penalties on weights": ("objective.weight_penalties", WeightPenalty),
    "Self-supervision of the discriminator": ("objective.self_supervision", SelfSupervision),
    "Conditioning on class folders": ("objective.conditioning", Conditioning),
    "Tricks": ("tricks", Trick),
    "Optimizers": ("optimizers.generator and optimizers.discriminator", Optimizer),
    "Learning rate schedules": ("optimizers.schedule", Schedule),
}
"""Family to its place in a recipe and the union of its components."""


LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class Field:
    """One field of a component."""

    name: str
    kind: str
    """Its values in words, `one of ...` for a fixed list."""
    default: str | None
    """As YAML would write it; None where it must be given."""
    text: str


@dataclass(frozen=True)
class Component:
    """One entry of the book."""

    name: str
    family: str
    place: str
    """Where it stands in a recipe."""
    what: str
    """What it does, with its source."""
    advice: str
    """When to use it; may be empty."""
    fields: tuple[Field, ...]


def components() -> list[Component]:
    """Every component of every family, in the book's order."""
    found = []
    for family, (place, union) in FAMILIES.items():
        specs = sorted(members(union), key=lambda spec: name_of(spec))
        found += [_component(spec, family, place) for spec in specs]
    return found


def members(union: Any) -> list[type[Spec]]:
    """The specs of an annotated union."""
    found: list[type[Spec]] = []
    for argument in get_args(union):
        if isinstance(argument, type) and issubclass(argument, Spec):
            found.append(argument)
        elif get_args(argument):
            found += members(argument)
    return found


def name_of(spec: type[Spec]) -> str:
    """What tells the component apart in a recipe."""
    (name,) = get_args(spec.model_fields["name"].annotation)
    return str(name)


def _component(spec: type[Spec], family: str, place: str) -> Component:
    what, _, advice = inspect.cleandoc(spec.__doc__ or "").partition("\n\n")
    fields = tuple(_field(name, info, spec) for name, info in spec.model_fields.items() if name != "name")
    return Component(name_of(spec), family, place, _line(what), _line(advice), fields)


def _field(name: str, info: Any, spec: type[Spec]) -> Field:
    default = None if info.default is PydanticUndefined else _yaml(info.get_default())
    return Field(name, _kind(spec.model_json_schema()["properties"][name]), default, _line(info.description or ""))


def _yaml(value: Any) -> str:
    return json.dumps(to_jsonable_python(value)).replace('"', "")


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        item = schema.get("items")
        return f"list of {_kind(item)}" if isinstance(item, dict) else "[low, high]"
    kind = "true or false" if schema.get("type") == "boolean" else str(schema.get("type", "any value"))
    return " ".join([kind, *(f"{sign} {schema[key]:g}" for key, sign in LIMITS.items() if key in schema)])


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
