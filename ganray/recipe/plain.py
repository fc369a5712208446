"""Specs as one would write them into a file: without what is the default anyway, and names first."""

from typing import Any

from pydantic import BaseModel

from ganray.recipe.objective import Objective


def as_written(spec: BaseModel | tuple[BaseModel, ...] | None) -> Any:
    """A plain tree that reads back as this spec, as these specs, or as null."""
    if isinstance(spec, tuple):
        return [as_written(item) for item in spec]
    return None if spec is None else _names_first(spec.model_dump(mode="json", exclude_defaults=True))


def objective_as_written(objective: Objective) -> Any:
    """As above, but always with its loss: that is what people look for."""
    return {"loss": as_written(objective.loss), **as_written(objective)}


def _names_first(node: Any) -> Any:
    if isinstance(node, list):
        return [_names_first(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _names_first(node[key]) for key in sorted(node, key=lambda key: key != "name")}
