"""Runs one of Ray's logger callbacks so that it can neither hold up nor end a sweep."""

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.logger import TBXLoggerCallback
from ray.tune.result import AUTO_RESULT_KEYS

from ganray.errors import GanrayError, StoreError
from ganray.recipe.experiment import Experiment
from ganray.recipe.secrets import masked
from ganray.trial.folder import Runs
from ganray.trial.member import FIRST, OURS

LOG = logging.getLogger(__name__)
SETUP_PAUSE_S = 60.0
"""How long a server that did not answer is left alone."""
GOODBYE_S = 60.0
"""How long the end of a sweep waits for what the loggers have not sent yet."""


class LoggedTrial:
    """What Ray's loggers see of a trial of Tune: our id and our names, and nothing but plain parameters."""

    def __init__(self, trial: Any, experiment: Experiment, folder: Path, logger: str) -> None:
        params = {key: value for key, value in trial.config.items() if key not in OURS}
        self.config = self.evaluated_params = {plain_key(key): _plain_value(value) for key, value in params.items()}
        self.trial_id = _identity(experiment, trial.config.get(FIRST, params)) or trial.trial_id
        self.experiment_dir_name = experiment.name
        self.local_experiment_path = str(folder)
        own = folder / logger
        self.local_path = self.path = str(own / self.trial_id if logger == "tensorboard" else own)
        self.checkpoint = None
        self.is_started = False
        self._node = trial.get_ray_actor_ip()

    def __str__(self) -> str:
        return self.trial_id

    def init_local_path(self) -> None:
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def get_ray_actor_ip(self) -> str | None:
        return self._node


class DetachedLogger(tune.Callback):
    """One of Ray's logger callbacks, in a thread of its own: a slow server does not hold up the sweep.

    A fault is logged once, and the sweep goes on; what could not be logged is lost to that logger alone.
    """

    def __init__(self, name: str, inner: Any, runs: Runs, experiment: Experiment) -> None:
        self.name, self.inner, self.runs, self.experiment = name, inner, runs, experiment
        self.lost = 0
        """Events that the logger did not take."""
        self._seen: dict[str, LoggedTrial] = {}
        self._failed: set[str] = set()
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"logger-{name}", daemon=True)
        self._is_set_up = False
        self._not_before = 0.0

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore a sweep; ours is resumed from the study and the store.
        return {}

    def setup(self, *args: Any, **info: Any) -> None:
        self._thread.start()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        seen = self._view(trial)
        # A trial that was paused, or whose slot died, goes on in the run that it has.
        self._events.put(lambda: None if seen.is_started else self._start(seen))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        seen, numbers = self._view(trial), loggable(result)
        if result.get("status") == "failed":
            self._failed.add(seen.trial_id)
        self._events.put(lambda: self._result(iteration, seen, numbers))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial, False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial, True)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        if not self._thread.is_alive():
            return
        self._events.put(lambda: self.inner.on_experiment_end([]))
        self._events.put(None)
        self._thread.join(GOODBYE_S)
        waiting = self.lost + self._events.qsize()
        if self._thread.is_alive() or waiting:
            LOG.warning("%s has not got everything: %d event(s) are missing there; the store has all", self.name,
                        waiting)  # fmt: skip

    def _view(self, trial: Any) -> LoggedTrial:
        if trial.trial_id not in self._seen:
            folder = self.runs.folder / self.experiment.name
            self._seen[trial.trial_id] = LoggedTrial(trial, self.experiment, folder, self.name)
        return self._seen[trial.trial_id]

    def _start(self, seen: LoggedTrial) -> None:
        self.inner.log_trial_start(seen)
        seen.is_started = True

    def _result(self, iteration: int, seen: LoggedTrial, numbers: dict[str, Any]) -> None:
        if not seen.is_started:  # the server was down at its start
            self._start(seen)
        self.inner.log_trial_result(iteration, seen, numbers)

    def _end(self, trial: Any, failed: bool) -> None:
        seen = self._view(trial)
        failed = failed or seen.trial_id in self._failed

        def end() -> None:
            if seen.is_started:
                self.inner.log_trial_end(seen, failed)
                seen.is_started = False
                self._send(seen)

        self._events.put(end)

    def _send(self, seen: LoggedTrial) -> None:
        """TensorBoard's files go to where the runs are; the others send theirs themselves."""
        if self.runs.is_remote and isinstance(self.inner, TBXLoggerCallback):
            for file in Path(seen.local_path).iterdir():
                try:
                    self.runs.send(str(file.relative_to(self.runs.folder)), 0.0)
                except StoreError as error:
                    self._complain(error)

    def _run(self) -> None:
        while (act := self._events.get()) is not None:
            if not self._is_set_up and time.monotonic() >= self._not_before:
                self._is_set_up = self._took(self.inner.setup)
                self._not_before = time.monotonic() + SETUP_PAUSE_S
            if not (self._is_set_up and self._took(act)):
                self.lost += 1

    def _took(self, act: Callable[[], Any]) -> bool:
        """Whether that went well. A logger may raise whatever its package and network know."""
        try:
            act()
        except Exception as error:
            self._complain(error)
            return False
        return True

    def _complain(self, error: Exception) -> None:
        level = logging.DEBUG if self.lost else logging.WARNING
        LOG.log(level, "the logger %s failed, the sweep goes on: %s: %s", self.name, type(error).__name__,
                masked(str(error)))  # fmt: skip


def loggable(result: dict[str, Any]) -> dict[str, Any]:
    """The finite numbers of a result, without Tune's own; steps are images shown."""
    numbers = {
        key: float(value)
        for key, value in result.items()
        if key not in AUTO_RESULT_KEYS and _is_number(value) and math.isfinite(value)
    }
    images = round(1000 * result["kimg"])
    # Ray's loggers take one of these as the step; a step of a resumed trial must go on where it was.
    return {**numbers, "timesteps_total": images, "training_iteration": images}


def plain_key(path: str) -> str:
    """A parameter's name as every tracker takes it: `tricks[2].name` is `tricks.2.name`."""
    return path.replace("[", ".").replace("]", "")


def _plain_value(value: Any) -> Any:
    if value is None:
        return "none"
    return value if isinstance(value, str | bool | int | float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _identity(experiment: Experiment, params: dict[str, Any]) -> str | None:
    try:
        return experiment.fixed(params).trial_id(experiment.name)
    except GanrayError:  # parameters that make no sense together: the trial itself will say so
        return None
