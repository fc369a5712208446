"""The live table of a sweep: what runs, how far it is, what is best so far. Plain lines where there is no terminal."""

import math
import time
from dataclasses import dataclass
from typing import Any

from ray import tune
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ganray.cluster.budget import Budget
from ganray.recipe.distributions import Scalar
from ganray.trial.member import OURS

ENDED = ("completed", "pruned", "failed")
STYLES = {"running": "cyan", "completed": "green", "pruned": "yellow", "failed": "red", "waiting": "dim"}


@dataclass
class Line:
    """One trial as it is shown."""

    number: int
    trial_id: str
    params: dict[str, Scalar]
    kimg: float = 0.0
    metric: float = math.inf
    best: float = math.inf
    wall_s: float = 0.0
    images_per_s: float | None = None
    status: str = "waiting"
    diagnosis: str | None = None
    """Why it failed."""
    findings: str = ""
    """Names of what is, or was, wrong; the trial may go on."""

    @property
    def trouble(self) -> str:
        """Why it failed, or else what was found."""
        return self.diagnosis or self.findings


class LiveTable(tune.Callback):
    """Follows Tune's events; draws a table on a terminal, prints a line per event elsewhere."""

    def __init__(
        self,
        metric: str,
        budget_kimg: float,
        trials: int,
        console: Console,
        done_before: int = 0,
        budget: Budget | None = None,
    ) -> None:
        self.metric, self.budget_kimg, self.trials, self.console = metric, budget_kimg, trials, console
        self.done_before = done_before
        self.budget = budget or Budget()
        self.lines: dict[str, Line] = {}
        self.started = time.monotonic()
        self.note = "starting the slots (the first start takes about half a minute)"
        self._live: Live | None = None
        self._said_start = False

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore a sweep; ours is resumed from the study, and a terminal has no pickle.
        return {}

    def __enter__(self) -> "LiveTable":
        if self.console.is_terminal:
            self._live = Live(self, console=self.console, refresh_per_second=2, transient=True)
            self._live.__enter__()
        else:
            self.console.print(self.note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.__exit__(None, None, None)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id not in self.lines:
            params = {key: value for key, value in trial.config.items() if key not in OURS}
            self.lines[trial.trial_id] = Line(self.done_before + len(self.lines) + 1, "", params)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        line = self.lines[trial.trial_id]
        self.note = ""
        line.trial_id, line.kimg = result["trial"], result["kimg"]
        line.metric, line.wall_s = result[self.metric], result.get("wall_s", 0.0)
        line.best = min(line.best, line.metric)
        line.images_per_s = result.get("train/images_per_s", line.images_per_s)
        line.status, line.diagnosis = result["status"], result.get("diagnosis")
        line.findings = result.get("diagnoses", line.findings)
        if line.status == "running" and result["done"] and not self.budget.is_over and line.kimg < self.budget_kimg:
            line.status = "pruned"
        if result.get("slot_replaced"):
            self.say(f"slot {result['slot']} on {result['node']} {result['slot_replaced']}")
        self._say(line)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        line = self.lines[trial.trial_id]
        if line.status == "running" and not self.budget.is_over:
            line.status = "pruned"

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        line = self.lines[trial.trial_id]
        line.status, line.diagnosis = "failed", "the slot died; see --verbose"
        self._say(line)

    @property
    def deadline(self) -> float | None:
        """When time is up, on time.monotonic's clock."""
        return self.budget.deadline

    def say(self, text: str) -> None:
        """A line for the user that stays: above the table on a terminal."""
        self.console.print(text, style="yellow", highlight=False, soft_wrap=True, markup=False)

    @property
    def best(self) -> Line | None:
        """The trial with the smallest metric so far."""
        scored = [line for line in self.lines.values() if math.isfinite(line.best)]
        return min(scored, key=lambda line: line.best, default=None)

    def _say(self, line: Line) -> None:
        if self._live:
            return
        best = self.best
        best_text = f"best {best.best:.2f} (trial {best.number})" if best else ""
        text = f"trial {line.number}/{self.trials} {line.trial_id}  {line.status:9}  {line.kimg:.2f} kimg"
        text += f"  {self.metric} {line.metric:.2f}  {best_text}" if math.isfinite(line.metric) else ""
        self.console.print(text + (f"  {line.trouble}" if line.trouble else ""), highlight=False, soft_wrap=True)

    def __rich__(self) -> Group:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name, justify in (("#", "right"), ("trial", "left"), ("status", "left"), ("kimg", "right"),
                              (self.metric, "right"), ("img/s", "right"), ("recipe", "left")):  # fmt: skip
            table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
        best = self.best
        for line in self._shown():
            metric = f"{line.metric:.2f}" if math.isfinite(line.metric) else "-"
            speed = f"{line.images_per_s:.1f}" if line.images_per_s else "-"
            table.add_row(
                f"{line.number}{'*' if best is line else ''}",
                line.trial_id or "...",
                Text(line.status, style=STYLES[line.status]),
                f"{line.kimg:.2f} / {self.budget_kimg:g}",
                Text(metric, style="bold green" if best is line else ""),
                speed,
                _last_cell(line),
            )
        ended = self.done_before + sum(line.status in ENDED for line in self.lines.values())
        head = f"{ended} of {self.trials} trials ended, {time.monotonic() - self.started:.0f} s"
        if best:
            head += f", best {self.metric} {best.best:.2f} (trial {best.number})"
        return Group(Text(head, style="bold"), table, Text(self.note, style="dim"))

    def _shown(self) -> list[Line]:
        room = max(5, self.console.height - 6)
        running = [line for line in self.lines.values() if line.status in ("waiting", "running")]
        ended = [line for line in self.lines.values() if line not in running]
        best_first = sorted(ended, key=lambda line: line.best)[: max(1, room - len(running))]
        return sorted(best_first + running, key=lambda line: line.number)


def _last_cell(line: Line) -> Text:
    """Why it failed; or what was found, and the recipe."""
    if line.diagnosis:
        return Text(line.diagnosis)
    found = (f"{line.findings}  ", "yellow") if line.findings else ""
    return Text.assemble(found, brief(line.params))


def brief(params: dict[str, Scalar]) -> str:
    """Parameters in a few words: the last part of each path and its value."""
    words = []
    for name, value in params.items():
        if value is None:
            continue
        tail = name.split(".")[-1].split("]")[-1] or name.split("[")[0]
        words.append(
            f"{tail}={value:.3g}" if isinstance(value, float) else str(value) if "[" in tail else f"{tail}={value}"
        )
    return " ".join(words)
