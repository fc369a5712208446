"""Records in the store that the scheduler stopped a trial. The worker only sees that it was told to stop."""

import time
from typing import Any

from ray import tune

from ganray.store.store import Store


class PrunedRows(tune.Callback):
    """Marks trials `pruned` as Tune ends them early; not those that the deadline ends, which can be resumed."""

    def __init__(self, store: Store, experiment: str, deadline: float | None) -> None:
        self.store, self.experiment, self.deadline = store, experiment, deadline

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        from ganray.cluster.sweep import mark_pruned

        result = trial.last_result or {}
        time_is_up = self.deadline is not None and time.monotonic() >= self.deadline
        if result.get("status") == "running" and not time_is_up:
            mark_pruned(self.store, self.experiment, result["trial"])
