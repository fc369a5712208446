"""Trains one recipe without Ray: in this process, or in the workers that torchrun started."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from ganray.errors import GanrayError, RecipeError, TrainingError
from ganray.recipe.experiment import Experiment
from ganray.recipe.recipe import Recipe
from ganray.store.location import store_uri
from ganray.store.store import Store
from ganray.training.distributed import World, torchrun_world
from ganray.trial import attempts
from ganray.trial.folder import Runs
from ganray.trial.job import CHECKPOINT, Outcome, TrialJob, check_batch
from ganray.trial.mirror import PREVIOUS, Mirror
from ganray.trial.progress import ProgressBar
from ganray.trial.run import run_trial, start_afresh

ECHO_S = 1.0
"""Two interrupts within this time are one Ctrl-C: torchrun passes on what the terminal has sent already."""


def train_locally(
    experiment: Experiment, recipe: Recipe, *, resume: bool, fresh: bool = False, fid_weights: Path | None
) -> Outcome:
    """Train to the end, or to Ctrl-C. Raises TrainingError with the diagnosis where the trial fails."""
    job = make_job(experiment, recipe, fid_weights)
    with torchrun_world(recipe.runtime.device) as world:
        try:
            check_batch(recipe, world.size)
            world.on_main(lambda: prepare_folder(job, resume=resume, fresh=fresh))
            world.on_main(Store(job.store).check_writable)
        except GanrayError:
            if world.is_main:
                raise
            raise SystemExit(2) from None  # the main worker says why
        return _train(job, world)


def _train(job: TrialJob, world: World) -> Outcome:
    console = Console(quiet=not world.is_main, stderr=True)
    with pausable() as paused, ProgressBar(job.recipe.budget.kimg, console) as bar:
        outcome = run_trial(job, world, bar.tell, watch=bar.watch, pause=paused.is_set)
    if world.is_main:
        say_outcome(job, outcome, console)
    if outcome.status == "running":
        raise SystemExit(130)
    return outcome


def make_job(experiment: Experiment, recipe: Recipe, fid_weights: Path | None) -> TrialJob:
    """The trial of this recipe, its folder and store made absolute."""
    runs = Runs.at(experiment.settings.runs)
    store = Store(store_uri(experiment.settings.store, runs.uri))
    stall_s = 60 * experiment.settings.resources.stall_minutes
    return TrialJob(recipe, experiment.name, runs.uri, store.uri, fid_weights, stall_s=stall_s)


def prepare_folder(job: TrialJob, *, resume: bool, fresh: bool) -> None:
    """Begin, resume, or begin afresh; hours of training are deleted only where one asks for it.

    What has died again and again may be begun anew by hand.

    Raises RecipeError where there is nothing to resume, or where a checkpoint is there and nobody said what to do.
    """
    if fresh:
        start_afresh(job)
        return
    files = job.files
    exists = any((files.folder / name).exists() for name in (CHECKPOINT, PREVIOUS))
    if files.runs.is_remote:
        exists = any(files.runs.exists(f"{files.relative}/{name}") for name in (CHECKPOINT, PREVIOUS)) or exists
    if resume and not exists:
        raise RecipeError(f"no checkpoint of this recipe at {files.checkpoint_uri}; leave --resume out to begin")
    if exists and not resume:
        raise RecipeError(
            f"{files.checkpoint_uri} holds an earlier training of this recipe; go on from it with --resume, "
            f"or delete it and begin again with --fresh"
        )
    attempts.end(files.folder)
    Mirror(files).send_attempts()


def say_outcome(job: TrialJob, outcome: Outcome, console: Console) -> None:
    """Print where things are and what to type next. Raises TrainingError where the trial failed."""
    checkpoint = job.files.checkpoint_uri
    if outcome.status == "failed":
        kept = f"; the checkpoint before it is kept: {checkpoint}" if job.files.checkpoint.exists() else ""
        raise TrainingError(f"trial {outcome.trial_id} failed at {outcome.kimg:g} kimg: {outcome.diagnosis}{kept}")
    if outcome.status == "running":
        console.print(f"paused at {outcome.kimg:g} kimg; go on with the same command and --resume", highlight=False)
        return
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in outcome.metrics.items())
    console.print(
        f"[bold]{numbers}[/] at {outcome.kimg:g} kimg, {outcome.wall_s:.0f} s", highlight=False, soft_wrap=True
    )
    console.print(f"ganray sample {checkpoint} -o samples.png", highlight=False, soft_wrap=True)


@contextmanager
def pausable() -> Iterator[threading.Event]:
    """The first Ctrl-C asks for a pause at the next step; a second one, a second later, ends at once."""
    event = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    asked_s = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked_s
        if not event.is_set():
            asked_s = time.monotonic()
            event.set()
        elif time.monotonic() - asked_s > ECHO_S:
            signal.signal(signal.SIGINT, before)
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, ask)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
