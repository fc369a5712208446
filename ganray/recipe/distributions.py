"""Distributions that may stand in place of any value or sub-model of a recipe.

lr: {log_uniform: [1.0e-5, 1.0e-2]}
width: {int: [16, 64]}
objective:
  loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from ganray.recipe.base import Spec

Scalar = str | int | float | bool | None


class Choice(Spec):
    """One of several values or sub-models; a `null` in a list of tricks leaves the trick out."""

    choice: tuple[Any, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        # By ==, for a sampler cannot tell 1 from 1.0 or from true.
        if any(option in self.choice[:i] for i, option in enumerate(self.choice)):
            raise ValueError("an option is there twice")
        if len(set(self.labels())) < len(self.choice):
            raise ValueError(f"two options read alike: {', '.join(map(str, self.labels()))}")
        return self

    def labels(self) -> list[Scalar]:
        """A readable, stable label per option: the scalar itself, or the names inside the sub-model."""
        bare = [o if _is_scalar(o) else "+".join(_names(o)) for o in self.choice]
        return [
            label if _is_scalar(option) or (label and bare.count(label) == 1) else f"{label}#{i}"
            for i, (option, label) in enumerate(zip(self.choice, bare))
        ]


class Uniform(Spec):
    """A float between two bounds, both included."""

    uniform: tuple[float, float]

    @model_validator(mode="after")
    def _order(self) -> Self:
        _check_bounds(self.uniform)
        return self


class LogUniform(Spec):
    """A positive float between two bounds, uniform in its logarithm."""

    log_uniform: tuple[float, float]

    @model_validator(mode="after")
    def _order(self) -> Self:
        _check_bounds(self.log_uniform)
        if self.log_uniform[0] <= 0:
            raise ValueError("the lower bound of log_uniform must be above 0")
        return self


class Int(Spec):
    """An integer between two bounds, both included."""

    int: tuple[int, int]

    @model_validator(mode="after")
    def _order(self) -> Self:
        _check_bounds(self.int)
        return self


Distribution = Choice | Uniform | LogUniform | Int
DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "choice": Choice,
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "int": Int,
}


def as_distribution(node: Any) -> Distribution | None:
    """The distribution that a YAML node describes, or None for a plain value. Raises ValidationError."""
    if isinstance(node, Mapping) and len(node) == 1:
        (key,) = node
        if key in DISTRIBUTIONS:
            return DISTRIBUTIONS[key].model_validate(node)
    return None


def distribution_fault(node: Any) -> str | None:
    """What is wrong with a node that is meant as a distribution; None for a good one and for any other node."""
    meant = [key for key in DISTRIBUTIONS if isinstance(node, Mapping) and key in node]
    if not meant:
        return None
    key = meant[0]
    if len(node) > 1:
        others = ", ".join(repr(str(k)) for k in node if k != key)
        return f"a distribution stands alone in its mapping; take {others} out"
    try:
        as_distribution(node)
    except ValidationError as error:
        detail = error.errors()[0]
        form = "[FIRST, SECOND, ...]" if key == "choice" else "[LOW, HIGH]"
        reason = detail["ctx"]["error"] if detail["type"] == "value_error" else detail["msg"]
        return f"{reason}; write it as {{{key}: {form}}}, got {node!r}"
    return None


def bounds(distribution: Uniform | LogUniform | Int) -> tuple[float, float]:
    """Lower and upper bound of a numeric distribution."""
    match distribution:
        case Uniform():
            return distribution.uniform
        case LogUniform():
            return distribution.log_uniform
        case Int():
            return distribution.int


def _check_bounds(pair: tuple[float, float]) -> None:
    low, high = pair
    if not low < high:
        raise ValueError(f"the lower bound {low} must be below the upper bound {high}")
    if math.isinf(low) or math.isinf(high):
        raise ValueError("bounds must be finite")


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _names(node: Any) -> Iterator[str]:
    """The `name`s inside a sub-model, in order; scalars of a list count as names."""
    if isinstance(node, Mapping):
        if isinstance(node.get("name"), str):
            yield node["name"]
            return
        for value in node.values():
            yield from _names(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from [value] if isinstance(value, str) else _names(value)
