"""How jobs are shown: a table of all, the state of one."""

import time
from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from ganray.cluster.jobs import shown
from ganray.cluster.jobs_client import Job
from ganray.cluster.status import LINE, STATUS, SweepStatus, read_status
from ganray.errors import ClusterError
from ganray.recipe.messages import nearest
from ganray.trial.folder import Runs

STYLES = {"PENDING": "dim", "RUNNING": "cyan", "SUCCEEDED": "green", "FAILED": "red", "STOPPED": "yellow"}
LAST_LINES = 5


def jobs_table(jobs: Sequence[Job], now_s: float | None = None) -> Table:
    """One row per job."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("job", "status", "experiment", "started", "took", "store"):
        table.add_column(name, no_wrap=True, justify="right" if name == "took" else "left")
    for job in jobs:
        table.add_row(
            job.id,
            Text(job.status.lower() + _code(job), style=STYLES.get(job.status, "")),
            Text(job.experiment),
            _when(job.started_s),
            took(job, now_s),
            Text(job.metadata.get("store", "")),
        )
    return table


def describe(job: Job, log: str, now_s: float | None = None) -> list[str]:
    """A job in a few lines, with the end of its log."""
    lines = [
        f"{job.id}: {job.status.lower()}{_code(job)}, began {_when(job.started_s)}, took {took(job, now_s)}",
        f"experiment {job.experiment}, runs {job.metadata.get('runs', '?')}, store {job.metadata.get('store', '?')}",
    ]
    if job.exit_code is None and job.status == "FAILED" and job.message:
        lines.append(job.message.strip())
    return lines + [f"  {line}" for line in [line for line in shown(log) if line.strip()][-LAST_LINES:]]


def newest_status(log: str) -> SweepStatus | None:
    """The last status that the sweep printed; None where it printed none."""
    for line in reversed(log.splitlines()):
        if line.startswith(f"{LINE} "):
            try:
                return SweepStatus.from_json(line.removeprefix(f"{LINE} "))
            except ClusterError:  # the job ended in the middle of the line
                continue
    return None


def sweep_status(experiment: str, runs: str) -> SweepStatus:
    """The status of a sweep by its files. ClusterError, with the sweeps that are there, where there is none."""
    place = Runs.at(runs)
    found = read_status(place, experiment)
    if found is not None:
        return found
    known = [] if place.is_remote else sorted(path.parent.name for path in place.folder.glob(f"*/{STATUS}"))
    there = nearest(experiment, known) if known else "no sweep has left one there; name another place with --runs"
    raise ClusterError(f"there is no {place.place(f'{experiment}/{STATUS}')}; {there}")


def took(job: Job, now_s: float | None = None) -> str:
    """`2 h 05 min`, `3 min 10 s`, `12 s`."""
    if job.started_s is None:
        return "-"
    seconds = max(0, round((job.ended_s or now_s or time.time()) - job.started_s))
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
    return f"{seconds // 60} min {seconds % 60:02} s" if seconds >= 60 else f"{seconds} s"


def _when(seconds: float | None) -> str:
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def _code(job: Job) -> str:
    return f" ({job.exit_code})" if job.exit_code else ""
