"""Keeps the study at the runs' URI up to date while a sweep goes on, so that any machine can go on with it."""

import logging
import time
from typing import Any

from ray import tune

from ganray.cluster.claim import MANIFEST, STUDY
from ganray.errors import StoreError
from ganray.store.remote import RETRY_S
from ganray.store.spool import SpooledFiles
from ganray.store.store import Store
from ganray.trial.folder import Runs

LOG = logging.getLogger(__name__)
PAUSE_S = 60.0
"""How long a URI that failed is not tried again: the sweep must not wait for a time-out at each trial."""


class StudyBackup(tune.Callback):
    """Copies the study after each trial that ends. A failure is logged, and made good later."""

    def __init__(self, runs: Runs, experiment: str) -> None:
        self.runs, self.experiment = runs, experiment
        self._due = self.runs.is_remote
        self._not_before = 0.0

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._due = self.runs.is_remote

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._due = self.runs.is_remote

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        # Not at once: Tune tells its callbacks of a trial's end before it tells the search.
        if self._due and time.monotonic() >= self._not_before:
            try:
                send_state(self.experiment, self.runs, 0.0)
                self._due = False
            except StoreError as error:
                LOG.warning("the study stays on this machine for now: %s", error)
                self._not_before = time.monotonic() + PAUSE_S


def send_state(experiment: str, runs: Runs, patience_s: float) -> None:
    """Copy manifest and study to the runs' URI. StoreError where that fails."""
    for name in (MANIFEST, STUDY):
        if runs.is_remote and (runs.folder / experiment / name).exists():
            runs.send(f"{experiment}/{name}", patience_s)


def send_what_waits(experiment: str, runs: Runs, store: Store) -> list[str]:
    """What an outage has kept on this machine goes to its place; return a sentence for each thing that cannot."""
    from ganray.trial.mirror import send_waiting

    left = []
    if fault := drain(store):
        left.append(f"rows stay on this machine until `ganray store drain`: {fault}")
    if not runs.is_remote:
        return left
    waiting = send_waiting(runs)
    if waiting:
        left.append(
            f"{waiting} checkpoint(s) wait in {runs.folder} for {runs.uri}; the next --resume on this machine "
            f"sends them"
        )
    try:
        send_state(experiment, runs, 0.0 if waiting else RETRY_S)
    except StoreError as error:
        left.append(f"the study's last state stays on this machine: {error}")
    return left


def drain(store: Store) -> StoreError | None:
    """Bring this machine's spooled rows to a remote store; what went wrong where that fails."""
    if isinstance(store.files, SpooledFiles):
        try:
            for _ in store.files.drain():
                pass
        except StoreError as error:
            return error
    return None
