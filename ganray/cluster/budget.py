"""When a sweep ends before its trials are done: time, device-hours, a good enough value, or an interruption."""

import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ray import tune

from ganray.errors import RecipeError
from ganray.recipe.experiment import Experiment
from ganray.recipe.messages import nearest
from ganray.store.store import Store


@dataclass(frozen=True)
class Goal:
    """A value that is good enough: `fid_5k_train<30`."""

    protocol: str
    below: float

    def __str__(self) -> str:
        return f"{self.protocol}<{self.below:g}"

    @classmethod
    def parse(cls, text: str, protocols: Iterable[str]) -> "Goal":
        """Raises RecipeError where it is no `PROTOCOL<VALUE`, or of a protocol that the trials are not scored under."""
        match = re.fullmatch(r"\s*([\w.-]+)\s*<\s*([-+.\deE]+)\s*", text)
        try:
            goal = cls(match[1], float(match[2])) if match else None
        except ValueError:
            goal = None
        if goal is None or not math.isfinite(goal.below):
            raise RecipeError(f"--until {text}: write it as PROTOCOL<VALUE, for example 'fid_5k_train<30'")
        known = list(protocols)
        if goal.protocol not in known:
            raise RecipeError(
                f"--until {text}: the trials are not scored under {goal.protocol} (evaluation.protocols); "
                f"{nearest(goal.protocol, known)}"
            )
        return goal


class Budget(tune.Stopper):
    """Ends the sweep within one report of reaching a limit; every trial stays resumable.

    Device-hours are those of the whole sweep, earlier runs included: seconds of training and evaluation, times workers.
    """

    def __init__(
        self,
        *,
        deadline: float | None = None,
        device_hours: float | None = None,
        goal: Goal | None = None,
        spent: Mapping[str, float] | None = None,
    ) -> None:
        """`deadline`: on time.monotonic's clock. `spent`: device seconds of each trial, by our id, before this run."""
        self.deadline, self.device_hours, self.goal = deadline, device_hours, goal
        self.reason: str | None = None
        """Why the sweep ends early; None while it goes on."""
        self.is_reached = False
        """Whether it was one of the limits; else somebody broke the sweep off."""
        self._spent = dict(spent or {})

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles what it was given to restore a sweep; ours is resumed from the study and the store.
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        ours = result["trial"]
        self._spent[ours] = max(self._spent.get(ours, 0.0), result.get("wall_s", 0.0) * result.get("workers", 1))
        if self.device_hours is not None and self.device_s >= self.device_hours * 3600:
            self._reach(f"{self.device_hours:g} device-hours are spent")
        value = result.get(self.goal.protocol) if self.goal else None
        if self.goal and value is not None and value < self.goal.below:
            self._reach(f"trial {ours} has reached {self.goal}")
        return False

    def stop_all(self) -> bool:
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self._reach("time is up")
        return self.is_over

    @property
    def is_over(self) -> bool:
        """Whether trials that end now are broken off, not finished."""
        return self.reason is not None

    @property
    def device_s(self) -> float:
        """Device seconds of the whole sweep."""
        return sum(self._spent.values())

    def stop(self, reason: str) -> None:
        """Break the sweep off; the first reason counts."""
        self.reason = self.reason or reason

    def _reach(self, limit: str) -> None:
        self.is_reached = self.is_reached or self.reason is None
        self.stop(limit)


def spent_before(experiment: Experiment, store: Store) -> dict[str, float]:
    """Device seconds of each of this sweep's trials, as the store knows them."""
    rows = store.trials(experiment.name, columns=["trial_id", "device_s"]).to_pylist()
    return {row["trial_id"]: row["device_s"] or 0.0 for row in rows}
