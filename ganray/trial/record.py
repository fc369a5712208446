"""Turns a trial's state into rows of the store."""

import dataclasses
import io
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads

from ganray.data.grid import image_grid
from ganray.data.images import ImageSet
from ganray.errors import StoreError
from ganray.evaluation.sampling import sample_images
from ganray.evaluation.score import Score
from ganray.recipe.recipe import Recipe
from ganray.store.schema import CurveRow, EvaluationRow, TrialRow, now
from ganray.store.store import Store
from ganray.training.distributed import World
from ganray.training.health import Diagnosis, History, follow
from ganray.training.state import TrainState, count_parameters
from ganray.trial.environment import device_name, git_commit, memory_bytes, versions
from ganray.trial.job import Status, TrialJob
from ganray.trial.overfit import Overfit
from ganray.trial.pairs import picture_of_pairs
from ganray.trial.stored import stored

LOG = logging.getLogger(__name__)
GRID_SEED = 0
CURVES = ("loss_d", "loss_g", "penalty", "reconstruction", "self_supervision", "classification", "auxiliary_g",
          "logits_real", "logits_fake", "grad_norm_d", "grad_norm_g", "images_per_s")  # fmt: skip


class Recorder:
    """Writes one trial's rows, and keeps what they say of its health. Used by the main worker alone."""

    def __init__(
        self, job: TrialJob, state: TrainState, images: ImageSet, again: bool = False, notes: tuple[Diagnosis, ...] = ()
    ) -> None:
        """`again`: an earlier attempt may have left rows, although there is no checkpoint of it.

        `notes`: findings from outside of the trial's curves.
        """
        self.job, self.state, self.images, self.again, self.notes = job, state, images, again, notes
        self.store = Store(job.store)
        self.checkpoint_uri = job.files.checkpoint_uri
        self.created_at = datetime.fromtimestamp(state.started_at_s, UTC)
        self._written_at = self.created_at
        self.findings = notes
        self._readings: list[Mapping[str, Any]] = []
        self._evaluations: list[Mapping[str, Any]] = []
        self._curves: list[CurveRow] = []

    def remember(self) -> None:
        """What the store knows of this trial up to its checkpoint: a resumed trial has a past."""
        if self.state.step == 0 and not self.again:
            return
        experiment, trial_id = self.job.experiment, self.job.trial_id
        until = pads.field("kimg") <= self.state.kimg
        try:
            if known := stored(self.store, experiment, trial_id):
                # The rows of this attempt are the newer ones, also where the clock was put back since.
                self._written_at = max(self._written_at, known.updated_at)
            self._readings += self.store.curves(experiment, trial_id=trial_id, where=until).to_pylist()
            self._evaluations += self.store.evaluations(experiment, trial_id=trial_id, where=until).to_pylist()
        except StoreError as error:
            LOG.warning("going on without a look at this trial's past: %s", error)
        self.findings = (*self.notes, *follow(self.history))

    @property
    def history(self) -> History:
        """The trial's course so far."""
        return History.of(self.state.recipe, self._readings, self._evaluations)

    def doomed_by(self) -> Diagnosis | None:
        """The finding of this very moment that the experiment's file ends trials for."""
        wanted = (f for f in self.findings if f.name in self.job.prune_on and f.kimg == self.state.kimg)
        return next(wanted, None)

    def trial(self, status: Status, diagnosis: str | None = None) -> None:
        """Append the trial's row as it is now."""
        state = self.state
        state.tick()
        # The newest row counts, also where the clock was put back in between.
        self._written_at = max(now(), self._written_at + timedelta(microseconds=1))
        self.store.put_trial(
            TrialRow(
                **_of_recipe(self.job),
                dataset=self.images.name,
                dataset_fingerprint=self.images.fingerprint,
                n_images=len(self.images.images),
                world_size=state.world.size,
                device=device_name(state.world.device),
                versions=versions(),
                git_commit=git_commit(),
                status=status,
                diagnosis=diagnosis,
                diagnoses=tuple(finding.to_json() for finding in self.findings),
                kimg=state.kimg,
                wall_s=state.wall_s,
                device_s=state.wall_s * state.world.size,
                generator_params=count_parameters(state.generator),
                discriminator_params=count_parameters(state.discriminator),
                checkpoint_uri=self.checkpoint_uri,
                skipped_files=tuple(bad.name for bad in self.images.skipped),
                lineage=state.lineage or None,
                created_at=self.created_at,
                updated_at=self._written_at,
            )
        )

    def failed(self, diagnosis: str, fatal: Diagnosis | None) -> None:
        """Append the trial's row with why it ended, and the points of the curves that were not written yet."""
        past = (*self.notes, *follow(self.history, now=True))
        self.findings = (*past, fatal) if fatal else past
        self.trial("failed", diagnosis)
        self.flush_curves()

    def status(self) -> Status | None:
        """What the store says of this trial; None where it has no row or does not answer."""
        try:
            row = stored(self.store, self.job.experiment, self.job.trial_id)
        except StoreError as error:
            LOG.warning("%s", error)
            return None
        return row.status if row else None

    def curve(self, reading: dict[str, float]) -> None:
        """Keep a point of the training curves; written with the next evaluation."""
        self._readings.append({"kimg": self.state.kimg, **reading})
        self._curves.append(
            CurveRow(
                trial_id=self.job.trial_id,
                experiment=self.job.experiment,
                kimg=self.state.kimg,
                memory_bytes=memory_bytes(self.state.world.device),
                **{name: reading.get(name) for name in CURVES},  # type: ignore[arg-type]
            )
        )

    def flush_curves(self) -> None:
        if self._curves:
            self.store.put_curves(self._curves)
            self._curves = []

    def evaluation(self, scores: list[Score], overfit: Overfit) -> None:
        """Append one row per protocol, with the pictures that belong to it, and look for what is wrong.

        The pairs are found in the features of the first protocol, and only its row has them.
        """
        grid_uri, pairs_uri = self._grid(), self._pairs(scores[0])
        self.state.tick()
        for score in scores:
            row = EvaluationRow(
                trial_id=self.job.trial_id,
                experiment=self.job.experiment,
                kimg=self.state.kimg,
                protocol=score.protocol,
                extractor=score.extractor,
                extractor_checksum=score.extractor_checksum,
                n_fake=score.n_fake,
                n_real=score.n_real,
                frechet=score.frechet,
                kid=score.kid,
                kid_stderr=score.kid_stderr,
                precision=score.precision,
                recall=score.recall,
                density=score.density,
                coverage=score.coverage,
                memorised=score.memorised,
                diversity=score.diversity,
                overfit=overfit.lost,
                sure_of_reals=overfit.sure,
                seconds=score.seconds,
                device_s=self.state.wall_s * self.state.world.size,
                grid_uri=grid_uri,
                pairs_uri=pairs_uri if score is scores[0] else None,
                checkpoint_uri=self.checkpoint_uri,
            )
            self.store.put_evaluation(row)
            self._evaluations.append(row.to_dict())
        self.findings = (*self.notes, *follow(self.history))

    def _grid(self) -> str:
        """Samples of the same latents at each evaluation, side by side."""
        recipe, device = self.state.recipe, self.state.world.device
        columns = grid_columns(recipe.data.resolution)
        generator, n_classes = self.state.sampling_generator, len(self.state.classes)
        samples = sample_images(generator, recipe.generator, columns**2, GRID_SEED, device, n_classes=n_classes)
        png = io.BytesIO()
        image_grid(samples.cpu(), columns).save(png, "PNG")
        return self._artifact(f"grid-{self.state.images_shown:09d}.png", png.getvalue())

    def _pairs(self, score: Score) -> str:
        """The most copied fakes, each beside its nearest training image."""
        picture = picture_of_pairs(self.state, self.images, score.pairs)
        return self._artifact(f"pairs-{self.state.images_shown:09d}.png", picture)

    def _artifact(self, name: str, content: bytes) -> str:
        return self.store.put_artifact(self.job.experiment, self.job.trial_id, name, content)


def record_early_failure(job: TrialJob, world: World, diagnosis: str) -> None:
    """A `failed` row of a trial that ended before its networks were there.

    What an earlier run of the same trial achieved stays in its row; a trial that had ended well stays as it was.
    """
    store = Store(job.store)
    known = stored(store, job.experiment, job.trial_id)
    if known is None:
        known = TrialRow(
            **_of_recipe(job),
            dataset=name_of(job.recipe.data.source),
            dataset_fingerprint="",
            n_images=0,
            world_size=world.size,
            device=device_name(world.device),
            versions=versions(),
            git_commit=git_commit(),
            status="failed",
        )
    if known.status in ("running", "failed"):
        store.put_trial(dataclasses.replace(known, status="failed", diagnosis=diagnosis, updated_at=after(known)))


def after(known: TrialRow) -> datetime:
    """A time to write a trial's next row at: the newest row counts, also where the clock was put back in between."""
    return max(now(), known.updated_at + timedelta(microseconds=1))


def name_of(source: str) -> str:
    """The data set's name as `Source.name` has it, of a source that may not be there."""
    scheme, _, name = source.partition(":")
    if scheme in ("sample", "catalog"):
        return name
    path = Path(source)
    return path.stem if path.suffix.lower() == ".zip" else path.name


def grid_columns(resolution: int) -> int:
    """Columns (and rows) of a sample grid that stays near a thousand pixels wide."""
    return max(2, min(8, 1024 // resolution))


def _of_recipe(job: TrialJob) -> dict[str, Any]:
    """The columns that the recipe alone determines."""
    recipe: Recipe = job.recipe
    augment = recipe.trick("diffaugment")
    return {
        "trial_id": job.trial_id,
        "experiment": job.experiment,
        "definition_hash": job.definition_hash,
        "recipe_json": recipe.model_dump_json(),
        "recipe_hash": recipe.hash,
        "resolution": recipe.data.resolution,
        "generator": recipe.generator.name,
        "discriminator": recipe.discriminator.name,
        "loss": recipe.objective.loss.name,
        "penalties": tuple(p.name for p in recipe.objective.penalties),
        "augment": ",".join(augment.policy) if augment else None,
        "tricks": tuple(t.name for t in recipe.tricks),
        "seed": recipe.seed,
        "budget_kimg": recipe.budget.kimg,
        "batch_size": recipe.budget.batch_size,
    }
