"""Records in the store that the scheduler stopped a trial. The worker only sees that it was told to stop."""

import dataclasses
import logging
import time
from typing import Any

from ray import tune

from ganray.errors import StoreError
from ganray.store.schema import now
from ganray.store.store import Store
from ganray.trial.stored import stored

LOG = logging.getLogger(__name__)
PAUSE_S = 60.0


class PrunedRows(tune.Callback):
    """Marks trials `pruned` as Tune ends them early; not those that the deadline ends, which can be resumed.

    Where the store does not answer they are marked later: a sweep must not end for it.
    """

    def __init__(self, store: Store, experiment: str, deadline: float | None) -> None:
        self.store, self.experiment, self.deadline = store, experiment, deadline
        self._unmarked: list[str] = []
        self._not_before = 0.0

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result or {}
        time_is_up = self.deadline is not None and time.monotonic() >= self.deadline
        if result.get("status") == "running" and not time_is_up:
            self._unmarked.append(result["trial"])
            self.mark()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.mark()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self._not_before = 0.0
        self.mark()

    def mark(self) -> None:
        """Mark what waits, unless the store has failed just now."""
        try:
            while self._unmarked and time.monotonic() >= self._not_before:
                mark_pruned(self.store, self.experiment, self._unmarked[0])
                self._unmarked.pop(0)
        except StoreError as error:
            LOG.warning("%d pruned trial(s) are marked later: %s", len(self._unmarked), error)
            self._not_before = time.monotonic() + PAUSE_S


def mark_pruned(store: Store, experiment: str, trial_id: str) -> None:
    """Append the trial's newest row with the status `pruned`."""
    row = stored(store, experiment, trial_id)
    if row and row.status == "running":
        store.put_trial(dataclasses.replace(row, status="pruned", updated_at=now()))
