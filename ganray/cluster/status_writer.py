"""Keeps RUNS/EXPERIMENT/status.json up to date from Tune's events, so that a sweep can be watched from anywhere."""

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ray import tune

from ganray.cluster.live import ENDED, Line, LiveTable, brief
from ganray.cluster.status import JOB_VARIABLE, LINE, LINES_VARIABLE, STATUS, RunningTrial, SweepStatus
from ganray.errors import StoreError
from ganray.store.store import Store
from ganray.trial.folder import Runs

LOG = logging.getLogger(__name__)
EVERY_S = 2.0
LINE_EVERY_S = 10.0
SEND_EVERY_S = 60.0
SLOT_STATES = ("busy", "idle", "lost")
"""idle: its last trial has ended, and the next has not reported yet. lost: its actor died; another one replaces it."""


@dataclass(frozen=True)
class Past:
    """What earlier runs of a sweep did. Without arguments: nothing."""

    completed: int = 0
    pruned: int = 0
    failed: int = 0
    device_s: float = 0.0
    """Of all its trials, those that had not ended included."""
    best_trial: str | None = None
    best_value: float = math.inf
    best_kimg: float | None = None

    @classmethod
    def of(cls, store: Store, experiment: str, metric: str) -> "Past":
        """What the store says of it. StoreError where it cannot be read."""
        trials = store.trials(experiment, columns=["status", "device_s"])
        statuses = trials["status"].to_pylist()
        scores = store.evaluations(experiment, columns=["trial_id", "kimg", "protocol", "frechet"]).to_pylist()
        finite = [s for s in scores if s["protocol"] == metric and s["frechet"] is not None]
        best = min((s for s in finite if math.isfinite(s["frechet"])), key=lambda s: s["frechet"], default=None)
        return cls(
            completed=statuses.count("completed"),
            pruned=statuses.count("pruned"),
            failed=statuses.count("failed"),
            device_s=sum(trials["device_s"].to_pylist()),
            best_trial=best["trial_id"] if best else None,
            best_value=best["frechet"] if best else math.inf,
            best_kimg=best["kimg"] if best else None,
        )


class StatusWriter(tune.Callback):
    """Writes the status every two seconds; give it to Tune after the table that it reads.

    `slots`: how many there are now. `device_s`: device seconds of the whole sweep; left out: those of `past` and the
    time that slots were held since.
    """

    def __init__(
        self,
        table: LiveTable,
        runs: Runs,
        experiment: str,
        *,
        store: str,
        slots: Callable[[], int],
        slots_wanted: Callable[[], int],
        workers_per_slot: int = 1,
        past: Past | None = None,
        device_s: Callable[[], float] | None = None,
    ) -> None:
        self.table, self.runs, self.experiment, self.store = table, runs, experiment, store
        self.slots, self.slots_wanted, self.workers_per_slot = slots, slots_wanted, workers_per_slot
        self.past = past or Past()
        self.state, self.note = "starting", ""
        self._device_s = device_s
        self._held_s = 0.0
        self._started_at = datetime.now(UTC)
        self._ticked = time.monotonic()
        self._slot_times: dict[str, tuple[float, float]] = {}
        """busy_s and slot_s of each slot that there ever was, as it last told."""
        self._times_before = (0.0, 0.0)
        """The same of workers whose slot started others since: their clocks begin anew."""
        self.slot_states: dict[str, str] = {}
        """One of SLOT_STATES for each slot that has told anything."""
        self._slot_of: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._heard: dict[str, float] = {}
        self._best_kimg: dict[str, tuple[float, float]] = {}
        """Value and kimg of each of Tune's trials."""
        self._due = dict.fromkeys(("write", "line", "send"), -math.inf)
        self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore a sweep; ours is resumed from the study and the store.
        return {}

    def setup(self, *args: Any, **info: Any) -> None:
        self.publish()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if self.state == "starting":
            self.state = "running"
        key, value = trial.trial_id, result.get(self.table.metric, math.inf)
        self._heard[key] = time.monotonic()
        if math.isfinite(value) and value < self._best_kimg.get(key, (math.inf, 0.0))[0]:
            self._best_kimg[key] = (value, result["kimg"])
        if result.get("node"):
            self._nodes[key] = str(result["node"])
        if result.get("slot") is not None:
            slot = self._slot_of[key] = str(result["slot"])
            self.slot_states[slot] = "idle" if result["done"] else "busy"
            if "busy_s" in result and "slot_s" in result:
                self._note_times(slot, result["busy_s"], result["slot_s"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._leave_slot(trial, "idle")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._leave_slot(trial, "lost")

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.publish()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.finish()

    def stopping(self, note: str) -> None:
        """The sweep is about to end, for the reason in `note`."""
        self.state, self.note = "stopping", note
        self.publish(now=True)

    def finish(self, note: str | None = None) -> None:
        """The sweep has ended. May be called again."""
        self.state = "ended"
        self.note = self.note if note is None else note
        self.publish(now=True)

    def publish(self, now: bool = False) -> None:
        """Write, send and print the status where it is time to; a failure is logged once and harms nothing."""
        at = time.monotonic()
        self._held_s += (at - self._ticked) * self.slots() * self.workers_per_slot
        self._ticked = at
        if not self._is_due("write", EVERY_S, now):
            return
        text = self.status().to_json()
        try:
            self._write(text)
            if self.runs.is_remote and self._is_due("send", SEND_EVERY_S, now):
                self.runs.send(f"{self.experiment}/{STATUS}", 0.0)
        except (OSError, StoreError) as error:
            (LOG.debug if self._warned else LOG.warning)("the sweep's status is not written: %s", error)
            self._warned = True
        if os.environ.get(LINES_VARIABLE) == "1" and self._is_due("line", LINE_EVERY_S, now):
            print(f"{LINE} {text}", flush=True)

    def status(self) -> SweepStatus:
        """The sweep as it is now."""
        table, past = self.table, self.past
        lines = list(table.lines.values())
        counts = {name: sum(line.status == name for line in lines) for name in ENDED}
        active = {key: line for key, line in table.lines.items() if line.status not in ENDED}
        best_trial, best_value, best_kimg = self._best()
        slots, is_over = self.slots(), self.state == "ended"
        return SweepStatus(
            experiment=self.experiment,
            state=self.state,
            metric=table.metric,
            started_at=self._started_at,
            updated_at=datetime.now(UTC),
            trials=table.trials,
            ended=table.done_before + sum(counts.values()),
            completed=past.completed + counts["completed"],
            pruned=past.pruned + counts["pruned"],
            failed=past.failed + counts["failed"],
            running=0 if is_over else len(active),
            best_trial=best_trial,
            best_value=best_value if math.isfinite(best_value) else None,
            best_kimg=best_kimg,
            slots=slots,
            slots_wanted=self.slots_wanted(),
            workers_per_slot=self.workers_per_slot,
            utilisation=self.utilisation,
            device_hours=(self._device_s() if self._device_s else past.device_s + self._held_s) / 3600,
            images_per_s=0.0 if is_over else sum(line.images_per_s or 0.0 for line in active.values()),
            eta_s=None if is_over else self._eta_s(slots),
            store=self.store,
            runs=self.runs.uri,
            job_id=os.environ.get(JOB_VARIABLE),
            note=self.note or table.note,
            trials_running=() if is_over else tuple(self._running(key, line) for key, line in active.items()),
        )

    @property
    def utilisation(self) -> float | None:
        """Share of slot time in training or evaluation; None before any slot has told."""
        times = [self._times_before, *self._slot_times.values()]
        held_s = sum(slot_s for _, slot_s in times)
        return min(1.0, sum(busy_s for busy_s, _ in times) / held_s) if held_s > 0 else None

    def _note_times(self, slot: str, busy_s: float, slot_s: float) -> None:
        was_busy_s, was_s = self._slot_times.get(slot, (0.0, 0.0))
        if slot_s < was_s:
            self._times_before = (self._times_before[0] + was_busy_s, self._times_before[1] + was_s)
        self._slot_times[slot] = (busy_s, slot_s)

    def _leave_slot(self, trial: Any, state: str) -> None:
        if slot := self._slot_of.pop(trial.trial_id, None):
            self.slot_states[slot] = state

    def _best(self) -> tuple[str | None, float, float | None]:
        """Id, value and kimg of the best evaluation of the whole sweep."""
        best = self.table.best
        if best is None or best.best >= self.past.best_value:
            return self.past.best_trial, self.past.best_value, self.past.best_kimg
        key = next(key for key, line in self.table.lines.items() if line is best)
        return best.trial_id, best.best, self._best_kimg.get(key, (0.0, None))[1]

    def _running(self, key: str, line: Line) -> RunningTrial:
        return RunningTrial(
            number=line.number,
            trial_id=line.trial_id,
            kimg=line.kimg,
            budget_kimg=self.table.budget_kimg,
            value=line.metric if math.isfinite(line.metric) else None,
            images_per_s=line.images_per_s,
            node=self._nodes.get(key),
            recipe=brief(line.params),
        )

    def _eta_s(self, slots: int) -> float | None:
        table = self.table
        lines = list(table.lines.values())
        ended = [(line.kimg, line.wall_s) for line in lines if line.status in ENDED]
        at = time.monotonic()
        running = [
            (line.kimg, line.wall_s, at - self._heard[key] if key in self._heard else 0.0)
            for key, line in table.lines.items()
            if line.status not in ENDED
        ]
        waiting = table.trials - table.done_before - len(lines)
        eta_s = estimate_s(ended, running, max(0, waiting), slots, table.budget_kimg)
        if eta_s is not None and self.utilisation:
            eta_s /= self.utilisation
        if table.deadline is not None:
            left_s = max(0.0, table.deadline - at)
            eta_s = left_s if eta_s is None else min(eta_s, left_s)
        return eta_s

    def _is_due(self, what: str, every_s: float, now: bool) -> bool:
        at = time.monotonic()
        if not now and at - self._due[what] < every_s:
            return False
        self._due[what] = at
        return True

    def _write(self, text: str) -> None:
        """Whole or not at all: a reader never sees half a status."""
        target = self.runs.folder / self.experiment / STATUS
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{STATUS}.{os.getpid()}.tmp")
        temporary.write_text(text)
        os.replace(temporary, target)


def estimate_s(
    ended: Sequence[tuple[float, float]],
    running: Sequence[tuple[float, float, float]],
    waiting: int,
    slots: int,
    budget_kimg: float,
) -> float | None:
    """Seconds of training until all trials have ended; None where no trial has come any way yet.

    ended: (kimg, seconds) of each trial. running: the same, and the seconds since its last report. A trial is
    expected to come as far as those that have ended (so pruning counts); one that is further, to its budget.
    """
    kimg = sum(trial[0] for trial in (*ended, *running))
    if kimg <= 0 or slots < 1:
        return None
    s_per_kimg = sum(trial[1] for trial in (*ended, *running)) / kimg
    usual_kimg = sum(trial[0] for trial in ended) / len(ended) if ended else budget_kimg
    left_s = [
        max(0.0, s_per_kimg * ((usual_kimg if done_kimg < usual_kimg else budget_kimg) - done_kimg) - since_s)
        for done_kimg, _, since_s in running
    ]
    left_s += [s_per_kimg * usual_kimg] * waiting
    return max(sum(left_s) / slots, max(left_s, default=0.0))
