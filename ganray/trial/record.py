"""Turns a trial's state into rows of the store."""

import io
from datetime import UTC, datetime

from ganray.data.grid import image_grid
from ganray.data.images import ImageSet
from ganray.evaluation.sampling import sample_images
from ganray.evaluation.score import Score
from ganray.store.schema import CurveRow, EvaluationRow, TrialRow
from ganray.store.store import Store
from ganray.training.state import TrainState, count_parameters
from ganray.trial.environment import device_name, git_commit, memory_bytes, versions
from ganray.trial.job import CHECKPOINT, Status, TrialJob

GRID_SEED = 0
CURVES = ("loss_d", "loss_g", "penalty", "reconstruction", "logits_real", "logits_fake",
          "grad_norm_d", "grad_norm_g", "images_per_s")  # fmt: skip


class Recorder:
    """Writes one trial's rows. Used by the main worker alone."""

    def __init__(self, job: TrialJob, state: TrainState, images: ImageSet) -> None:
        self.job, self.state, self.images = job, state, images
        self.store = Store(job.store)
        self.checkpoint_uri = str(job.folder / CHECKPOINT)
        self.created_at = datetime.fromtimestamp(state.started_at_s, UTC)
        self._curves: list[CurveRow] = []

    def trial(self, status: Status, diagnosis: str | None = None) -> None:
        """Append the trial's row as it is now."""
        recipe, state = self.job.recipe, self.state
        state.tick()
        augment = recipe.trick("diffaugment")
        self.store.put_trial(
            TrialRow(
                trial_id=self.job.trial_id,
                experiment=self.job.experiment,
                recipe_json=recipe.model_dump_json(),
                recipe_hash=recipe.hash,
                dataset=self.images.name,
                dataset_fingerprint=self.images.fingerprint,
                n_images=len(self.images.images),
                resolution=recipe.data.resolution,
                generator=recipe.generator.name,
                discriminator=recipe.discriminator.name,
                loss=recipe.objective.loss.name,
                penalties=tuple(p.name for p in recipe.objective.penalties),
                augment=",".join(augment.policy) if augment else None,
                tricks=tuple(t.name for t in recipe.tricks),
                seed=recipe.seed,
                budget_kimg=recipe.budget.kimg,
                batch_size=recipe.budget.batch_size,
                world_size=state.world.size,
                device=device_name(state.world.device),
                versions=versions(),
                git_commit=git_commit(),
                status=status,
                diagnosis=diagnosis,
                kimg=state.kimg,
                wall_s=state.wall_s,
                device_s=state.wall_s * state.world.size,
                generator_params=count_parameters(state.generator),
                discriminator_params=count_parameters(state.discriminator),
                checkpoint_uri=self.checkpoint_uri,
                skipped_files=tuple(bad.name for bad in self.images.skipped),
                created_at=self.created_at,
            )
        )

    def status(self) -> Status | None:
        """What the store says of this trial; None where it has no row."""
        rows = self.store.trials(self.job.experiment).select(["trial_id", "status"]).to_pylist()
        found: list[Status] = [row["status"] for row in rows if row["trial_id"] == self.job.trial_id]
        return found[0] if found else None

    def curve(self, reading: dict[str, float]) -> None:
        """Keep a point of the training curves; written with the next evaluation."""
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

    def evaluation(self, scores: list[Score]) -> None:
        """Append one row per protocol, with the sample grid that belongs to it."""
        grid_uri = self._grid()
        for score in scores:
            self.store.put_evaluation(
                EvaluationRow(
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
                    seconds=score.seconds,
                    grid_uri=grid_uri,
                    checkpoint_uri=self.checkpoint_uri,
                )
            )

    def _grid(self) -> str:
        """Samples of the same latents at each evaluation, side by side."""
        recipe, device = self.job.recipe, self.state.world.device
        columns = grid_columns(recipe.data.resolution)
        generator = self.state.sampling_generator
        samples = sample_images(generator, recipe.generator.latent_dim, columns**2, GRID_SEED, device)
        png = io.BytesIO()
        image_grid(samples.cpu(), columns).save(png, "PNG")
        name = f"grid-{self.state.images_shown:09d}.png"
        return self.store.put_artifact(self.job.experiment, self.job.trial_id, name, png.getvalue())


def grid_columns(resolution: int) -> int:
    """Columns (and rows) of a sample grid that stays near a thousand pixels wide."""
    return max(2, min(8, 1024 // resolution))
