"""Ray's callback for Weights & Biases, kept from writing the key into runtime environments, which Ray logs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.integrations.wandb import WandbLoggerCallback, _WandbLoggingActor

KEY_VARIABLE = "WANDB_API_KEY"
MODE_VARIABLE = "WANDB_MODE"


class _Run(_WandbLoggingActor):
    """The actor that talks to the server for one trial; it gets the key in its message, and only there."""

    def __init__(self, *args: Any, key: str | None = None, **options: Any) -> None:
        if key:
            os.environ[KEY_VARIABLE] = key
        super().__init__(*args, **options)


class QuietWandb(WandbLoggerCallback):
    """As Ray's own. `kwargs` are those of `wandb.init`."""

    _logger_actor_cls = _Run

    def setup(self, *args: Any, **info: Any) -> None:
        # Ray asks for a key unless the variable says that none is needed.
        with _variable(MODE_VARIABLE, self.kwargs.get("mode") or os.environ.get(MODE_VARIABLE)):
            super().setup(*args, **info)

    def log_trial_start(self, trial: Any) -> None:
        trial.init_local_path()  # the actor's working directory
        super().log_trial_start(trial)

    def _start_logging_actor(self, trial: Any, exclude_results: list[str], **options: Any) -> None:
        key = os.environ.get(KEY_VARIABLE)
        with _variable(KEY_VARIABLE, None):
            super()._start_logging_actor(trial, exclude_results, key=key, **options)


@contextmanager
def _variable(name: str, value: str | None) -> Iterator[None]:
    """An environment variable set, or without a value unset, for a while."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
