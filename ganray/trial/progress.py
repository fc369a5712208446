"""The progress bar of one trial: kimg, images per second, losses, last metric."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ganray.training.state import TrainState
from ganray.trial.job import Report


class ProgressBar:
    """Shows readings and evaluations as they come; one line per evaluation where there is no terminal."""

    def __init__(self, budget_kimg: float, console: Console) -> None:
        self.console = console
        self.budget_kimg = budget_kimg
        self.kimg = 0.0
        self._metrics = ""
        self._bar = Progress(
            TextColumn("{task.fields[kimg]:.2f}"),
            BarColumn(),
            TextColumn(f"{budget_kimg:g} kimg"),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=budget_kimg, kimg=0.0, text="starting")

    def __enter__(self) -> "ProgressBar":
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def watch(self, state: TrainState, reading: dict[str, float]) -> None:
        """A reading of the training."""
        losses = {"D": reading.get("loss_d"), "G": reading.get("loss_g")}  # pre-training has neither
        shown = [f"{name} {loss:.3f}" for name, loss in losses.items() if loss is not None]
        text = "  ".join([f"{reading['images_per_s']:.1f} img/s", *shown])
        self._bar.update(self._task, completed=state.kimg, kimg=state.kimg, text=f"{text}  {self._metrics}")

    def tell(self, report: Report) -> bool:
        """An evaluation; training always goes on."""
        self.kimg = report.kimg
        self._bar.update(self._task, completed=report.kimg, kimg=report.kimg)
        found = [finding.name for finding in report.findings if finding.kimg == report.kimg]
        self._metrics = "  ".join([*(f"{name} {value:.2f}" for name, value in report.metrics.items()), *found])
        if not self.console.is_terminal and not self.console.quiet:
            print(f"{report.kimg:.3f} kimg  {self._metrics}", file=sys.stderr, flush=True)
        return True
