"""What a worker is told to do, and what comes of it. Plain data, so that it travels between processes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ganray.errors import RecipeError
from ganray.recipe.recipe import Recipe
from ganray.training.health import Diagnosis
from ganray.trial.folder import Runs
from ganray.trial.member import Member

CHECKPOINT = "checkpoint.pt"
"""Name of the newest checkpoint in a trial's folder."""

TAKEN = "taken.pt"
"""Name of another member's checkpoint in a trial's folder, until it is taken over."""

LOCK = "lock"
"""Name of the file that whoever trains the trial holds."""

Status = Literal["running", "completed", "pruned", "failed"]


@dataclass(frozen=True)
class TrialJob:
    """One recipe to train, where its files go, and which store it is recorded in."""

    recipe: Recipe
    experiment: str
    runs: Path | str
    """A folder or an fsspec URI."""
    store: str
    fid_weights: Path | None = None
    prune_on: tuple[str, ...] = ()
    """Diagnoses that end the trial as `pruned`, at the evaluation that finds them."""
    definition_hash: str | None = None
    """What the sweep is that asks for this trial; None where no sweep does."""
    member: Member | None = None
    """What a member of a population trains with now; None where no other trial's weights may be taken over."""
    stall_s: float = 900.0
    """After so long without a sign of progress the trial hangs: its workers are ended."""

    @property
    def trial_id(self) -> str:
        return self.recipe.trial_id(self.experiment)

    @property
    def files(self) -> "TrialFiles":
        """Where checkpoint, lock and error text of this trial lie."""
        return TrialFiles(Runs.at(self.runs), f"{self.experiment}/trials/{self.trial_id}")

    @property
    def folder(self) -> Path:
        """These files on this machine."""
        return self.files.folder


@dataclass(frozen=True)
class TrialFiles:
    """A trial's own folder, below the runs."""

    runs: Runs
    relative: str

    @property
    def folder(self) -> Path:
        """The folder on this machine; where the runs are a URI, the working copies."""
        return self.runs.folder / self.relative

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint on this machine."""
        return self.folder / CHECKPOINT

    @property
    def checkpoint_uri(self) -> str:
        """The newest checkpoint as rows name it."""
        return self.runs.place(f"{self.relative}/{CHECKPOINT}")


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
