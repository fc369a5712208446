"""A sweep's numbers for Prometheus, through Ray's own metrics: each node's port has them, beside Ray's own."""

import time
from typing import Any

from ray import tune
from ray.util.metrics import Counter, Gauge

from ganray.cluster.status import SweepStatus
from ganray.cluster.status_writer import SLOT_STATES, StatusWriter

EVERY_S = 5.0


class SweepMetrics(tune.Callback):
    """Sets the metrics from the status that the writer knows; give it to Tune after the writer. Workers need nothing.

    Prometheus sees them as ray_ganray_...: Ray puts its name before each.
    """

    def __init__(self, writer: StatusWriter) -> None:
        self.writer = writer
        self._not_before = 0.0
        self._counted_s = 0.0
        self._speeds: set[str] = set()
        """Trials whose speed is not zero."""
        self.images = _gauge("images_per_second", "Training speed of each running trial.", "trial")
        self.slot_state = _gauge("slot_state", "1 for the state that a slot is in, else 0.", "slot", "state")
        self.slots = _gauge("slots", "Slots that there are now.")
        self.utilisation = _gauge("slot_utilisation", "Share of slot time spent training or evaluating, 0 to 1.")
        self.best = _gauge("best_metric", "The best value of the metric so far; lower is better.", "metric")
        self.trials = _gauge("trials", "Trials of the whole sweep by status.", "status")
        self.eta = _gauge("eta_seconds", "Estimate of the seconds until the sweep ends.")
        self.device_seconds = Counter("ganray_device_seconds_total", "Device seconds of the whole sweep.",
                                      tag_keys=("experiment",))  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore a sweep; ours is resumed from the study and the store.
        return {}

    def setup(self, *args: Any, **info: Any) -> None:
        self.publish()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() >= self._not_before:
            self.publish()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.publish()

    def publish(self) -> None:
        """Set all of them to what they are now."""
        self._not_before = time.monotonic() + EVERY_S
        status = self.writer.status()
        tags = {"experiment": status.experiment}
        self._publish_speeds(status, tags)
        for slot, state in self.writer.slot_states.items():
            for name in SLOT_STATES:
                self.slot_state.set(float(name == state), {**tags, "slot": slot, "state": name})
        for name in ("completed", "pruned", "failed", "running"):
            self.trials.set(getattr(status, name), {**tags, "status": name})
        self.slots.set(status.slots, tags)
        if status.best_value is not None:
            self.best.set(status.best_value, {**tags, "metric": status.metric})
        if status.utilisation is not None:
            self.utilisation.set(status.utilisation, tags)
        if status.eta_s is not None:
            self.eta.set(status.eta_s, tags)
        spent_s = status.device_hours * 3600
        if spent_s > self._counted_s:
            self.device_seconds.inc(spent_s - self._counted_s, tags)
            self._counted_s = spent_s

    def _publish_speeds(self, status: SweepStatus, tags: dict[str, str]) -> None:
        speeds = {t.trial_id: t.images_per_s for t in status.trials_running if t.trial_id and t.images_per_s}
        for trial_id in self._speeds - speeds.keys():  # Ray cannot take a series back
            self.images.set(0.0, {**tags, "trial": trial_id})
        for trial_id, images_per_s in speeds.items():
            self.images.set(images_per_s, {**tags, "trial": trial_id})
        self._speeds = set(speeds)


def _gauge(name: str, text: str, *tags: str) -> Gauge:
    return Gauge(f"ganray_{name}", text, tag_keys=("experiment", *tags))
