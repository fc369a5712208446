"""A recipe: everything that determines one training run. Frozen, typed, hashable, one JSON."""

import hashlib
import json
from functools import cached_property
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from ganray.recipe.base import Spec
from ganray.recipe.combinations import refuse_nonsense
from ganray.recipe.data import DataSpec
from ganray.recipe.discriminators import Discriminator
from ganray.recipe.generators import Generator
from ganray.recipe.initial import Initial
from ganray.recipe.objective import Objective
from ganray.recipe.optimizers import Optimizers
from ganray.recipe.schedule import Budget, Evaluation, Runtime
from ganray.recipe.tricks import Trick

NOT_HASHED = ("runtime",)


class Recipe(Spec):
    """Everything that determines one training run."""

    data: DataSpec
    generator: Generator
    discriminator: Discriminator
    objective: Objective = Objective()
    tricks: tuple[Trick, ...] = ()
    optimizers: Optimizers = Optimizers()
    budget: Budget = Budget()
    initial: Initial | None = None
    evaluation: Evaluation = Evaluation()
    seed: int = Field(default=0, ge=0, lt=2**31)
    runtime: Runtime = Runtime()

    @field_validator("tricks")
    @classmethod
    def _sorted(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        # Tricks act at fixed places in the step, so their order in the file means nothing.
        return tuple(sorted(value, key=lambda trick: str(trick.name)))

    @model_validator(mode="after")
    def _combination(self) -> Self:
        refuse_nonsense(self)
        return self

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON without `runtime` and defaults; 64 hex digits, the same on every machine.

        Defaults are left out so that a field added later leaves old hashes alone; tests pin their values.
        """
        content = self.model_dump(mode="json", exclude=set(NOT_HASHED), exclude_defaults=True)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def trial_id(self, experiment: str) -> str:
        """The same work in the same experiment has the same id anywhere; 12 hex digits."""
        return hashlib.sha256(f"{experiment}\n{self.hash}".encode()).hexdigest()[:12]

    def trick(self, name: str) -> Any | None:
        """The trick of that name, or None where it is absent."""
        return next((t for t in self.tricks if t.name == name), None)
