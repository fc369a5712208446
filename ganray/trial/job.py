"""What a worker is told to do, and what comes of it. Plain data, so that it travels between processes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ganray.errors import RecipeError
from ganray.recipe.recipe import Recipe
from ganray.training.health import Diagnosis

CHECKPOINT = "checkpoint.pt"
"""Name of the newest checkpoint in a trial's folder."""

LOCK = "lock"
"""Name of the file that whoever trains the trial holds."""

Status = Literal["running", "completed", "pruned", "failed"]


@dataclass(frozen=True)
class TrialJob:
    """One recipe to train, where its files go, and which store it is recorded in."""

    recipe: Recipe
    experiment: str
    runs: Path
    store: str
    fid_weights: Path | None = None
    prune_on: tuple[str, ...] = ()
    """Diagnoses that end the trial as `pruned`, at the evaluation that finds them."""

    @property
    def trial_id(self) -> str:
        return self.recipe.trial_id(self.experiment)

    @property
    def folder(self) -> Path:
        """Checkpoint, lock and error text of this trial."""
        return trial_folder(self.runs, self.experiment, self.trial_id)


def trial_folder(runs: Path, experiment: str, trial_id: str) -> Path:
    """Where a trial's own files lie."""
    return runs / experiment / "trials" / trial_id


def check_batch(recipe: Recipe, workers: int) -> None:
    """Raises RecipeError where the batch cannot be split over the workers."""
    if recipe.budget.batch_size % workers:
        raise RecipeError(f"budget.batch_size {recipe.budget.batch_size} cannot be split over {workers} workers")


@dataclass(frozen=True)
class Report:
    """One evaluation, as it is told to whoever watches."""

    trial_id: str
    kimg: float
    metrics: dict[str, float]
    """Protocol name to value."""
    reading: dict[str, float] = field(default_factory=dict)
    """Losses, gradient norms, images per second since the last one."""
    wall_s: float = 0.0
    status: Status = "running"
    """`pruned` and `completed` are the last report of a trial."""
    findings: tuple[Diagnosis, ...] = ()
    """What is or was wrong so far."""

    @property
    def done(self) -> bool:
        return self.status != "running"


Tell = Callable[[Report], bool]
"""Called on the main worker after each evaluation; returns whether the trial is to go on."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. `running` means paused: it can be resumed."""

    trial_id: str
    status: Status
    kimg: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    diagnosis: str | None = None
    wall_s: float = 0.0
