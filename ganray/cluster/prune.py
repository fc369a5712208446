"""Records in the store that the scheduler stopped a trial. The worker only sees that it was told to stop."""

import dataclasses
import time
from typing import Any

from ray import tune

from ganray.store.schema import now
from ganray.store.store import Store
from ganray.trial.stored import stored


class PrunedRows(tune.Callback):
    """Marks trials `pruned` as Tune ends them early; not those that the deadline ends, which can be resumed."""

    def __init__(self, store: Store, experiment: str, deadline: float | None) -> None:
        self.store, self.experiment, self.deadline = store, experiment, deadline

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result or {}
        time_is_up = self.deadline is not None and time.monotonic() >= self.deadline
        if result.get("status") == "running" and not time_is_up:
            mark_pruned(self.store, self.experiment, result["trial"])


def mark_pruned(store: Store, experiment: str, trial_id: str) -> None:
    """Append the trial's newest row with the status `pruned`."""
    row = stored(store, experiment, trial_id)
    if row and row.status == "running":
        store.put_trial(dataclasses.replace(row, status="pruned", updated_at=now()))
