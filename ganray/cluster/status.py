"""What is known of a sweep from outside: RUNS/EXPERIMENT/status.json, which its driver keeps (status_writer.py).

Light: this module does without Ray and torch.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ganray.errors import ClusterError
from ganray.recipe.uris import is_remote
from ganray.report.cells import NOTHING, duration, number, table
from ganray.trial.folder import Runs

STATUS = "status.json"
LINE = "GANRAY_STATUS"
"""Begins a line of the driver's output that holds a status, where LINES_VARIABLE is 1."""
LINES_VARIABLE = "GANRAY_STATUS_LINES"
JOB_VARIABLE = "GANRAY_JOB_ID"
"""The submission id of the job that the driver runs in."""
STALE_S = 60.0
STALE_REMOTE_S = 180.0
"""A remote status is sent once a minute, so it may be older before the driver is missed."""
_TIMES = ("started_at", "updated_at")


@dataclass(frozen=True)
class RunningTrial:
    """One trial that trains now."""

    number: int
    trial_id: str
    """Empty until its first report."""
    kimg: float = 0.0
    budget_kimg: float = 0.0
    value: float | None = None
    """The metric at its last evaluation."""
    images_per_s: float | None = None
    node: str | None = None
    """IP address."""
    recipe: str = ""
    """What the sampler chose, in a few words."""


@dataclass(frozen=True)
class SweepStatus:
    """A sweep at one time. Counts and device-hours are those of the whole sweep, earlier runs of it included."""

    experiment: str
    state: str
    """starting (no report yet) | running | stopping | ended."""
    metric: str
    started_at: datetime
    """When this run of the sweep began, UTC."""
    updated_at: datetime
    trials: int = 0
    """As many as are asked for."""
    ended: int = 0
    """Completed, pruned or failed."""
    completed: int = 0
    pruned: int = 0
    failed: int = 0
    running: int = 0
    best_trial: str | None = None
    best_value: float | None = None
    best_kimg: float | None = None
    slots: int = 0
    """Now."""
    slots_wanted: int = 0
    workers_per_slot: int = 1
    """Devices (GPUs, or CPU workers) that a slot holds."""
    utilisation: float | None = None
    """0 to 1: share of slot time spent training or evaluating, since each slot's first job."""
    device_hours: float = 0.0
    """Hours of training and evaluation, times workers."""
    images_per_s: float = 0.0
    """Of all running trials together."""
    eta_s: float | None = None
    """Seconds until the sweep ends; None where nothing is known to estimate it from."""
    store: str = ""
    runs: str = ""
    job_id: str | None = None
    note: str = ""
    trials_running: tuple[RunningTrial, ...] = ()

    def to_json(self) -> str:
        """One line of JSON; times in ISO 8601."""
        content = dataclasses.asdict(self)
        for name in _TIMES:
            content[name] = content[name].isoformat()
        return json.dumps(content, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> SweepStatus:
        """The status of such a text; keys of newer versions are ignored. ClusterError where it is none."""
        try:
            content = _known(cls, json.loads(text))
            for name in _TIMES:
                content[name] = datetime.fromisoformat(content[name])
                if content[name].tzinfo is None:
                    raise ValueError(f"{name} has no time zone")
            running = content.get("trials_running", ())
            content["trials_running"] = tuple(RunningTrial(**_known(RunningTrial, item)) for item in running)
            return cls(**content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ClusterError(f"this is no status of a sweep: {error}") from None

    def age_s(self, at: datetime | None = None) -> float:
        """Seconds since the driver wrote it; never negative, whatever the clocks say."""
        return max(0.0, ((at or datetime.now(UTC)) - self.updated_at).total_seconds())

    def is_stale(self, at: datetime | None = None) -> bool:
        """Whether its driver has not been heard of for too long."""
        limit_s = STALE_REMOTE_S if is_remote(self.runs) else STALE_S
        return self.state != "ended" and self.age_s(at) > limit_s

    @property
    def share_done(self) -> float:
        """0 to 1: trials that have ended, and what the running ones have of their budgets."""
        parts = sum(min(1.0, t.kimg / t.budget_kimg) for t in self.trials_running if t.budget_kimg > 0)
        return min(1.0, (self.ended + parts) / self.trials) if self.trials else 0.0

    @property
    def device_hours_expected(self) -> float | None:
        """Of the whole sweep, if the estimate holds and it keeps the slots that it has."""
        if self.state == "ended":
            return self.device_hours
        if self.eta_s is None:
            return None
        busy_slots = min(self.slots, self.trials - self.ended) * (self.utilisation or 1.0)
        return self.device_hours + self.eta_s / 3600 * busy_slots * self.workers_per_slot


def _known(cls: type, content: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(cls)}
    return {key: value for key, value in content.items() if key in names}


def read_status(runs: Runs, experiment: str) -> SweepStatus | None:
    """The last status that the sweep's driver left in its runs; None where there is none.

    StoreError where the runs' URI cannot be reached, ClusterError where the file is no status.
    """
    relative = f"{experiment}/{STATUS}"
    try:
        if runs.is_remote:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / STATUS
                text = copy.read_bytes() if runs.fetch(relative, copy) else None
        else:
            text = (runs.folder / relative).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ClusterError(f"cannot read {runs.place(relative)}: {error.strerror}") from error
    if text is None:
        return None
    try:
        return SweepStatus.from_json(text)
    except ClusterError as error:
        raise ClusterError(f"{runs.place(relative)}: {error}; remove it, its sweep writes it anew") from None


def render_status(status: SweepStatus, price_per_hour: float | None = None) -> RenderableType:
    """A status for the terminal: numbers, progress, slots, device-hours and their price, the running trials."""
    parts: list[RenderableType] = [_headline(status), _bar(status), _facts(status, price_per_hour)]
    if status.trials_running:
        parts += [Text(), table(_rows(status), ("#", "kimg", status.metric, "img/s"), wrapped=("recipe",))]
    if status.note:
        parts += [Text(), Text(status.note, style="dim")]
    if status.is_stale():
        parts += [Text(), _stale(status)]
    return Group(*parts)


def _headline(status: SweepStatus) -> Text:
    style = {"ended": "green", "stopping": "yellow"}.get(status.state, "cyan")
    head = Text.assemble((status.experiment, "bold"), " ", (status.state, style), ": ")
    head.append(f"{status.ended} of {status.trials} trials ended")
    if status.best_value is not None:
        head.append(f", best {status.metric} {number(status.best_value)}", style="bold green")
        at = f" at {number(status.best_kimg)} kimg" if status.best_kimg is not None else ""
        head.append(f" (trial {(status.best_trial or '?')[:8]}{at})")
    return head


def _bar(status: SweepStatus) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=1.0, completed=status.share_done, width=50), f"{status.share_done:.0%}")
    return grid


def _facts(status: SweepStatus, price_per_hour: float | None) -> Table:
    grid = Table.grid(padding=(0, 2))
    counts = (f"{getattr(status, name)} {name}" for name in ("completed", "pruned", "failed", "running"))
    grid.add_row("trials", ", ".join(counts))
    busy = "" if status.utilisation is None else f", {status.utilisation:.1%} of their time in training or evaluation"
    grid.add_row("slots", f"{status.slots} of {status.slots_wanted}, {status.workers_per_slot} worker(s) each{busy}")
    grid.add_row("speed", f"{number(status.images_per_s)} images/s" if status.images_per_s else NOTHING)
    grid.add_row("time", _time(status))
    expected = status.device_hours_expected
    grid.add_row("device-hours", _so_far(status, f"{status.device_hours:.2f}", expected, ".2f"))
    if price_per_hour is not None:
        total = None if expected is None else expected * price_per_hour
        cost = _so_far(status, f"{status.device_hours * price_per_hour:,.2f}", total, ",.2f")
        grid.add_row("cost", f"{cost} (at {price_per_hour:g} per device-hour)")
    grid.add_row("results", Text(status.store, overflow="fold"))
    if status.job_id:
        grid.add_row("job", status.job_id)
    return grid


def _time(status: SweepStatus) -> str:
    text = duration((status.updated_at - status.started_at).total_seconds())
    if status.state == "ended":
        return f"{text}, ended {status.updated_at.astimezone():%Y-%m-%d %H:%M}"
    if status.eta_s is None:
        return f"{text} so far, the end cannot be estimated yet"
    end = (status.updated_at + timedelta(seconds=status.eta_s)).astimezone()
    return f"{text} so far, about {duration(status.eta_s)} left, until {end:%Y-%m-%d %H:%M}"


def _so_far(status: SweepStatus, now: str, expected: float | None, form: str) -> str:
    if status.state == "ended":
        return now
    return f"{now} so far" + (f", about {expected:{form}} in the end" if expected is not None else "")


def _rows(status: SweepStatus) -> list[dict[str, str]]:
    return [
        {
            "#": str(trial.number),
            "trial": trial.trial_id[:8] or "...",
            "kimg": f"{number(trial.kimg)} / {number(trial.budget_kimg)}",
            status.metric: number(trial.value),
            "img/s": number(trial.images_per_s),
            "node": trial.node or NOTHING,
            "recipe": trial.recipe,
        }
        for trial in status.trials_running
    ]


def _stale(status: SweepStatus) -> Text:
    return Text(
        f"the driver has not been heard of for {duration(status.age_s())}: it may be dead; `ganray resume "
        f"{status.experiment}` goes on with the sweep, nothing is lost",
        style="bold yellow",
    )
