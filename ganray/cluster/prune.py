"""Records in the store that the scheduler stopped a trial. The worker only sees that it was told to stop."""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

from ray import tune

from ganray.errors import StoreError
from ganray.store.schema import now
from ganray.store.store import Store
from ganray.trial.stored import stored

LOG = logging.getLogger(__name__)
PAUSE_S = 60.0


class PrunedRows(tune.Callback):
    """Marks trials `pruned` as Tune ends them early; not those that the end of the sweep breaks off.

    Where the store does not answer they are marked later: a sweep must not end for it.
    """

    def __init__(self, store: Store, experiment: str, is_over: Callable[[], bool] = lambda: False) -> None:
        self.store, self.experiment, self.is_over = store, experiment, is_over
        self._unmarked: list[str] = []
        self._not_before = 0.0

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore a sweep; ours is resumed from the study and the store.
        return {}

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result or {}
        if result.get("status") == "running" and not self.is_over():
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
