"""Combinations that make no sense are refused, with the reason: the one table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from ganray.recipe.refusals import micro, networks, objective, training
from ganray.recipe.refusals.facts import Fault
from ganray.recipe.refusals.objective import TAKES_LABELS

if TYPE_CHECKING:
    from ganray.recipe.recipe import Recipe

__all__ = ["REFUSALS", "TAKES_LABELS", "Fault", "refuse_nonsense"]

REFUSALS: dict[str, Callable[[Recipe], Iterator[Fault]]] = {
    rule.__name__: rule
    for rule in (
        networks.resolution,
        networks.attention,
        networks.patches,
        networks.halvings,
        networks.hierarchy,
        networks.batch_norm,
        networks.path_length,
        objective.lipschitz,
        objective.clipping,
        objective.labels,
        objective.targets,
        objective.margins,
        objective.energy,
        objective.cutmix,
        objective.pairs,
        objective.conditioning,
        training.augmentations,
        training.waiting,
        training.joining,
        training.replayed_labels,
        training.beginnings,
        training.freezing,
        training.own_judge,
        training.repeated,
        micro.micro_batches,
    )
}
"""Every rule by its name. Its docstring says what it refuses and why; tests/recipe/test_combinations.py shows each."""


def refuse_nonsense(recipe: Recipe) -> None:
    """Raise ValidationError with the place and the reason of everything that cannot be meant together."""
    faults = [fault for rule in REFUSALS.values() for fault in rule(recipe)]
    if faults:
        raise ValidationError.from_exception_data(
            "Recipe",
            [
                {"type": PydanticCustomError("nonsense", "{reason}", {"reason": reason}), "loc": path, "input": None}
                for path, reason in faults
            ],
        )
