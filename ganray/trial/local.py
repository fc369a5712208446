"""Trains one recipe without Ray: in this process, or in the workers that torchrun started."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from ganray.errors import RecipeError, TrainingError
from ganray.recipe.experiment import Experiment
from ganray.recipe.recipe import Recipe
from ganray.store.location import store_uri
from ganray.store.store import Store
from ganray.training.distributed import World, torchrun_world
from ganray.trial.job import CHECKPOINT, Outcome, TrialJob
from ganray.trial.progress import ProgressBar
from ganray.trial.run import run_trial, start_afresh


def train_locally(experiment: Experiment, recipe: Recipe, *, resume: bool, fid_weights: Path | None) -> Outcome:
    """Train to the end, or to Ctrl-C. Raises TrainingError with the diagnosis where the trial fails."""
    job = make_job(experiment, recipe, fid_weights)
    with torchrun_world(recipe.runtime.device) as world:
        check_batch(recipe, world.size)
        if world.is_main:
            prepare_folder(job, resume)
            Store(job.store).check_writable()
        world.barrier()
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
    runs = Path(experiment.settings.runs).absolute()
    store = Store(store_uri(experiment.settings.store, runs))
    return TrialJob(recipe, experiment.name, runs, store.uri, fid_weights)


def prepare_folder(job: TrialJob, resume: bool) -> None:
    """Begin afresh, or check that there is something to resume. Raises RecipeError where there is not."""
    checkpoint = job.folder / CHECKPOINT
    if not resume:
        start_afresh(job)
    elif not checkpoint.exists():
        raise RecipeError(f"no checkpoint of this recipe at {checkpoint}; leave --resume out to begin afresh")


def check_batch(recipe: Recipe, workers: int) -> None:
    """Raises RecipeError where the batch cannot be split over the workers."""
    if recipe.budget.batch_size % workers:
        raise RecipeError(f"budget.batch_size {recipe.budget.batch_size} cannot be split over {workers} workers")


def say_outcome(job: TrialJob, outcome: Outcome, console: Console) -> None:
    """Print where things are and what to type next. Raises TrainingError where the trial failed."""
    checkpoint = job.folder / CHECKPOINT
    if outcome.status == "failed":
        kept = f"; the checkpoint before it is kept: {checkpoint}" if checkpoint.exists() else ""
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
    """The first Ctrl-C asks for a pause at the next step; the second one ends at once."""
    event = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
