"""The training loop: step, measure, call whatever is due."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from ganray.training.health import check_finite
from ganray.training.state import TrainState
from ganray.training.step import Game, Stats, train_step

PAUSE_STEPS = 4
"""How often several workers ask each other whether to pause; one collective each time."""


@dataclass
class Meter:
    """Means of the steps since the last reading."""

    sums: Stats = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    images: int = 0
    since: float = field(default_factory=time.perf_counter)

    def add(self, stats: Stats, images: int) -> None:
        for name, value in stats.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
            self.counts[name] = self.counts.get(name, 0) + 1
        self.images += images

    def read(self) -> dict[str, float]:
        """Means and images per second; waits for the device and starts afresh."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        elapsed_s = time.perf_counter() - self.since
        means["images_per_s"] = self.images / elapsed_s if elapsed_s > 0 else 0.0
        self.restart()
        return means

    def restart(self) -> None:
        self.sums, self.counts, self.images, self.since = {}, {}, 0, time.perf_counter()


Action = Callable[[TrainState, dict[str, float]], bool]
"""Called with the state and the last reading; returns whether to go on. Every worker must answer alike."""


@dataclass(frozen=True)
class Every:
    """An action each so many thousands of images, and once at the end."""

    kimg: float
    action: Action

    def is_due(self, before: int, state: TrainState) -> bool:
        every = max(1, round(self.kimg * 1000))
        return state.is_done or state.images_shown // every > before // every


class Ending(Enum):
    """Why the loop ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    PAUSED = "paused"


def train(
    state: TrainState, game: Game, images: Tensor, actions: Sequence[Every], pause: Callable[[], bool] = lambda: False
) -> Ending:
    """Train until the budget is spent, an action says stop, or `pause` (Ctrl-C) is asked for on any worker.

    Raises Unhealthy where a loss or gradient is not finite; it is noticed before any action sees the state.
    """
    state.generator.train()
    state.discriminator.train()
    pause_steps = 1 if state.world.size == 1 else PAUSE_STEPS
    meter = Meter()
    while not state.is_done:
        before = state.images_shown
        state.world.pulse.beat("a training step")
        stats = train_step(state, game, images)
        meter.add(stats, state.images_shown - before)
        due = [every.action for every in actions if every.is_due(before, state)]
        if due and not _act(state, due, meter):
            return Ending.STOPPED
        if not state.is_done and state.step % pause_steps == 0 and state.world.any(pause()):
            # A pause is saved over the last checkpoint: never with weights that are no longer finite.
            check_finite(state.world.mean(meter.read()), state.kimg)
            return Ending.PAUSED
    return Ending.COMPLETED


def _act(state: TrainState, due: Sequence[Action], meter: Meter) -> bool:
    """Read the meter and call what is due; returns whether to go on."""
    reading = state.world.mean(meter.read())
    check_finite(reading, state.kimg)
    for action in due:
        if not action(state, reading):
            return False
    meter.restart()  # the actions' time is not training's
    return True


def prepare_device(device: torch.device) -> None:
    """Speed settings that a trial needs, set at its start so that nothing depends on the trial before."""
    torch.backends.cudnn.benchmark = device.type == "cuda"
    torch.backends.cudnn.deterministic = False
    torch.set_float32_matmul_precision("high")
