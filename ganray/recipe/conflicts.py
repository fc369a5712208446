"""What each component is refused beside: found by asking the rules themselves, so that no list of it can drift.

Every component, and every variant of it with one field changed, is put into a plain recipe together with each other
component and with a few settings of the recipe. A refusal counts against both if exchanging either would lift it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Any

from pydantic import ValidationError

from ganray.recipe import book
from ganray.recipe.base import Spec
from ganray.recipe.combinations import REFUSALS
from ganray.recipe.initial import Initial
from ganray.recipe.recipe import Recipe
from ganray.recipe.schedule import Budget, Evaluation

LISTS = (
    "tricks",
    "objective.penalties",
    "objective.generator_losses",
    "objective.weight_penalties",
    "objective.self_supervision",
)
SLOTS = ("generator", "discriminator", "objective.loss")
"""Places that every recipe fills."""
NETWORKS = ("generator", "discriminator")

Fault = tuple[str, str, str]
"""Name of the rule, place in the recipe without the numbers of list items, reason."""


@dataclass(frozen=True)
class Setting:
    """One thing that a recipe says."""

    place: str
    name: str
    """The component's; empty for a setting of the recipe."""
    value: Any = field(compare=False)
    change: str = ""
    """The field that is not at its default, `norm: batch`."""

    @property
    def label(self) -> str:
        """As people call it: `r1`, `discriminator dcgan (norm: batch)`, `data.labels: folders`."""
        name = f"{self.place} {self.name}" if self.place in NETWORKS else self.name or self.place
        return name + (f" ({self.change})" if self.name and self.change else f": {self.change}" if self.change else "")


RESOLUTIONS = tuple(Setting("data.resolution", "", side, str(side)) for side in (32, 128, 256, 512, 1024))
SETTINGS = (
    Setting("data.labels", "", "folders", "folders"),
    Setting("evaluation", "", Evaluation(protocols=("fd_lite0_1k_train",)), "{protocols: [fd_lite0_1k_train]}"),
    Setting("budget", "", Budget(kimg=1), "{kimg: 1}"),
    Setting("initial", "", Initial(checkpoint="checkpoint.pt"), "{checkpoint: ...}"),
)
"""What else a recipe may say, as far as rules look at it."""


@dataclass(frozen=True)
class Conflict:
    """What one rule refuses of a component."""

    rule: str
    """Its name in `REFUSALS`."""
    what: str
    """What the rule refuses, in its own words."""
    own: str
    """The field of the component that it is about, `norm: batch`; empty for the component as it is by default."""
    beside: tuple[str, ...]
    """Labels of what it is refused beside; empty where the component needs something that a plain recipe lacks."""
    reason: str
    """One refusal as a user reads it, with the remedy."""


def conflicts(component: book.Component) -> list[Conflict]:
    """Everything that the rules refuse of one component, in the order of the table of rules."""
    found: dict[Fault, tuple[str, list[Setting]]] = {}
    own = _variants()[component.place, component.name]
    for setting in own:
        for other in _others(setting):
            for fault in sorted(_between(setting, other)):
                found.setdefault(fault, (setting.change, []))[1].append(other)
    for setting in (*own, *_two_fields_changed(own)):
        for fault in sorted(_alone(setting)):
            found.setdefault(fault, (setting.change, []))
    return _merged(found)


def _merged(found: dict[Fault, tuple[str, list[Setting]]]) -> list[Conflict]:
    """One entry per rule, own field and kind of reason, however many values and partners it is about."""
    groups: dict[tuple[str, str, str], list[tuple[str, str, list[Setting]]]] = {}
    for (rule, _, reason), (change, others) in found.items():
        fields = re.sub(r": [^,]*", "", change)
        groups.setdefault((rule, fields, _gist(reason)), []).append((change, reason, others))
    order = list(REFUSALS)
    return [
        Conflict(rule, REFUSALS[rule].__doc__ or "", entries[0][0], _labels(entries), entries[0][1])
        for (rule, _, _), entries in sorted(groups.items(), key=lambda item: order.index(item[0][0]))
    ]


def _gist(reason: str) -> str:
    """The reason without numbers and names, which differ from partner to partner."""
    names = "|".join(sorted({name for _, name in _variants()}, key=len, reverse=True))
    return re.sub(rf"\b({names})\b|\d+", "*", reason)


def _labels(entries: list[tuple[str, str, list[Setting]]]) -> tuple[str, ...]:
    """Of all partners; variants of one that is refused as it is by default go without saying."""
    others = list(dict.fromkeys(other for _, _, others in entries for other in others))
    whole = {(other.place, other.name) for other in others if other.name and not other.change}
    return tuple(other.label for other in others if not other.change or (other.place, other.name) not in whole)


@cache
def _alone(setting: Setting) -> frozenset[Fault]:
    """Refusals of a setting in a plain recipe, which something else in its place would not meet."""
    return _faults(setting) - _intersection(_faults(*_present(instead)) for instead in _alternatives(setting))


@cache
def _needs(setting: Setting) -> frozenset[Fault]:
    """Those that something added to the recipe would lift: no fault of what is there already."""
    alone = _alone(setting)
    if not alone:
        return alone
    added = [v[0] for (place, _), v in _variants().items() if place not in SLOTS]
    lifted = [alone - _faults(setting, other) for other in (*added, *SETTINGS) if not _excludes(setting, other)]
    return frozenset().union(*lifted)


@cache
def _between(setting: Setting, other: Setting) -> frozenset[Fault]:
    """Refusals of the two together that exchanging either, or taking it away, would lift."""
    both = _faults(setting, other)
    if not both:
        return both
    without = _intersection(_faults(*_present(instead), other) for instead in _alternatives(setting))
    without |= _intersection(_faults(setting, *_present(instead)) for instead in _alternatives(other))
    return both - without - _needs(setting) - _needs(other)


def _others(setting: Setting) -> Iterator[Setting]:
    """What it is tried beside: everything where it is itself at its defaults, else every component as it is."""
    for variants in _variants().values():
        if not _excludes(setting, variants[0]):
            yield from variants[:1] if setting.change else variants
    yield from SETTINGS if setting.change else (*RESOLUTIONS, *SETTINGS)


def _alternatives(setting: Setting) -> list[Setting | None]:
    """What could stand there instead: its own defaults, other components of that place, or nothing."""
    default = _variants()[setting.place, setting.name][:1] if setting.name and setting.change else []
    if setting.place not in SLOTS:
        return [None, *default]
    return [*default, *(v[0] for (place, name), v in _variants().items() if place == setting.place and v[0] != setting)]


def _two_fields_changed(own: tuple[Setting, ...]) -> Iterator[Setting]:
    """Where one change alone would not be refused."""
    for a, b in combinations([setting for setting in own if setting.change], 2):
        (field_a, _, _), (field_b, _, _) = a.change.partition(":"), b.change.partition(":")
        value = a.value.model_copy(update={field_b: getattr(b.value, field_b)})
        both = Setting(a.place, a.name, value, f"{a.change}, {b.change}")
        rules = {rule for rule, _, _ in _faults(a) | _faults(b)}
        if field_a != field_b and {rule for rule, _, _ in _faults(both)} - rules:
            yield both


def _intersection(faults: Iterator[frozenset[Fault]]) -> frozenset[Fault]:
    first, *rest = list(faults)
    return first.intersection(*rest)


def _present(setting: Setting | None) -> tuple[Setting, ...]:
    return () if setting is None else (setting,)


def _excludes(a: Setting, b: Setting) -> bool:
    """Whether a recipe has room for one of them only."""
    return a.place == b.place and (a.place not in LISTS or a.name == b.name)


@cache
def _variants() -> dict[tuple[str, str], tuple[Setting, ...]]:
    """Place and name of every component to its settings: as it is by default, then with one field changed."""
    return {
        (place, name): tuple(_settings(place, name, spec))
        for place, union in book.FAMILIES.values()
        for spec in sorted(book.members(union), key=book.name_of)
        for name in (book.name_of(spec),)
    }


def _settings(place: str, name: str, spec: type[Spec]) -> Iterator[Setting]:
    yield Setting(place, name, spec.model_validate({"name": name}))
    for key, schema in spec.model_json_schema()["properties"].items():
        for value in _values(schema) if key != "name" else ():
            try:
                changed = spec.model_validate({"name": name, key: value})
            except ValidationError:
                continue  # it does not go with the other defaults
            yield Setting(place, name, changed, f"{key}: {_yaml(value)}")


def _values(schema: dict[str, Any]) -> list[Any]:
    """A few values that are not the default: all names, both ends of a range, the next number where there is none."""
    default: Any = schema.get("default")
    kind = schema.get("type")
    if "enum" in schema:
        found = list(schema["enum"])
    elif kind == "boolean":
        found = [not default]
    elif kind in ("integer", "number"):
        open_ended = not schema.keys() & {"maximum", "exclusiveMaximum", "exclusiveMinimum"}
        found = [schema[end] for end in ("minimum", "maximum") if end in schema]
        found += [default + 1] if open_ended else []
    elif kind == "array":
        found = [[item] for item in schema.get("items", {}).get("enum", ())]
    else:
        options = schema.get("anyOf", ())
        found = [None] * any(option.get("type") == "null" for option in options)
        found += [value for option in options if "maximum" in option for value in _values(option)]
    return [value for value in found if value != default]


def _yaml(value: Any) -> str:
    return json.dumps(value).replace('"', "")


def _faults(*settings: Setting) -> frozenset[Fault]:
    """What the rules say of a plain recipe with these settings."""
    return _faults_of(frozenset(settings))


@cache
def _faults_of(settings: frozenset[Setting]) -> frozenset[Fault]:
    recipe = _recipe(settings)
    return frozenset(
        (name, ".".join(part for part in path if isinstance(part, str)), reason)
        for name, rule in REFUSALS.items()
        for path, reason in rule(recipe)
    )


def _recipe(settings: Collection[Setting]) -> Recipe:
    """A plain recipe with these settings, unchecked: DCGAN at 64 px, the hinge, FID."""
    parts: dict[str, Any] = {}
    for setting in settings:
        for place in setting.place.split(" and "):
            parts[place] = (*parts.get(place, ()), setting.value) if place in LISTS else setting.value
    plain = _plain()
    for place in ("data", "objective", "optimizers"):
        below = {
            path.removeprefix(f"{place}."): parts.pop(path) for path in list(parts) if path.startswith(f"{place}.")
        }
        if below:
            parts[place] = getattr(plain, place).model_copy(update=below)
    return plain.model_copy(update=parts)


@cache
def _plain() -> Recipe:
    data, dcgan = {"source": "images", "resolution": 64}, {"name": "dcgan"}
    return Recipe.model_validate({"data": data, "generator": dcgan, "discriminator": dcgan})
