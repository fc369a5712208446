"""A member of a population: a trial that may take over another's weights and recipe, and go on from there.

It keeps its id, which is that of the recipe it began with, its seed, its seconds and its own random numbers. What it
trains with now stands in its checkpoint, whose recipe and lineage are the truth: rows and a resumed job follow them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganray.recipe.recipe import Recipe

MEMBER, FIRST = "member", "first"
"""Keys of a member's Tune config beside its parameters: the Member, and the parameters that it began with."""

OURS = ("slot", MEMBER, FIRST)
"""What a Tune config holds beside the parameters."""


@dataclass(frozen=True)
class Exploit:
    """One take-over."""

    kimg: float
    donor: str
    """The other's trial_id."""
    changed: Mapping[str, tuple[Any, Any]]
    """Parameters that differ from the other's: its value, and the member's from now on."""
    params: Mapping[str, Any]
    """All parameters of the space from now on."""

    def to_json(self) -> str:
        changed = {name: list(values) for name, values in self.changed.items()}
        record = {"kimg": self.kimg, "from": self.donor, "changed": changed, "params": dict(self.params)}
        return json.dumps(record, sort_keys=True)


@dataclass(frozen=True)
class Member:
    """What a job says beside the recipe that the trial began with."""

    recipe: Recipe
    """What it trains with from now on; its checkpoint, where there is one, knows better."""
    every_kimg: float
    """From one round of taking over to the next."""
    generation: int = 0
    """The last round in which it was judged."""
    exploit: Exploit | None = None
    """To be done before it goes on."""

    def is_due(self, kimg: float) -> bool:
        """Whether a trial that is so far has come to the next round."""
        return int(kimg / self.every_kimg + 1e-6) > self.generation
