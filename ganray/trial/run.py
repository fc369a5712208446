"""Trains, evaluates and records one trial; resumes where its checkpoint left off."""

import contextlib
import shutil
import traceback
from collections.abc import Callable, Iterator

import torch
from filelock import FileLock

from ganray.data.images import ImageSet, load_images
from ganray.errors import GanrayError
from ganray.models.feature_networks import load_lite0
from ganray.objectives.reconstruction import Distance, build_distance
from ganray.recipe.recipe import Recipe
from ganray.training.checkpoint import restore_checkpoint, save_checkpoint
from ganray.training.distributed import World
from ganray.training.loop import Ending, Every, prepare_device, train
from ganray.training.state import TrainState, build_state
from ganray.training.step import build_game
from ganray.trial.assess import assess, load_scorers
from ganray.trial.job import CHECKPOINT, Outcome, Report, Status, Tell, TrialJob
from ganray.trial.record import Recorder

LOGS_PER_EVALUATION = 10

Watch = Callable[[TrainState, dict[str, float]], None]


def run_trial(
    job: TrialJob,
    world: World,
    tell: Tell,
    *,
    watch: Watch | None = None,
    pause: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train the recipe to the end of its budget, or until `tell` says stop or `pause` asks for a break.

    Collective: every worker of the trial calls it. What goes wrong with the recipe is an Outcome `failed` with
    its diagnosis. `watch` is shown the main worker's readings.
    """
    prepare_device(world.device)
    trial = _Trial(job, world, tell, watch, pause)
    with claimed(job, world):
        try:
            return trial.run()
        except Exception as error:
            if world.size > 1 and not isinstance(error, GanrayError):
                raise  # the other workers wait in a collective: only a restart of all of them helps
            return trial.failed(error)


class _Trial:
    """The parts of one run, so that the actions share them."""

    def __init__(self, job: TrialJob, world: World, tell: Tell, watch: Watch | None, pause: Callable[[], bool]) -> None:
        self.job, self.world, self.tell, self.watch, self.pause = job, world, tell, watch, pause
        self.recipe = job.recipe
        self.checkpoint = job.folder / CHECKPOINT
        self.recorder: Recorder | None = None

    def run(self) -> Outcome:
        images = load_together(self.recipe, self.world)
        self.scorers = load_scorers(self.recipe.evaluation.protocols, images, self.world, self.job.fid_weights)
        self.state = state = build_state(self.recipe, len(images.images), self.world)
        if self.world.broadcast(self.checkpoint.exists()):
            restore_checkpoint(state, self.checkpoint)
        self.recorder = Recorder(self.job, state, images) if self.world.is_main else None
        if state.is_done:
            # The same recipe again, or a worker that died between its last checkpoint and its report.
            self._report({})
            return self._outcome(Ending.COMPLETED)
        self._record("running")
        game = build_game(state, load_distance(self.recipe, self.world))
        every_kimg = self.recipe.evaluation.every_kimg
        actions = [Every(every_kimg / LOGS_PER_EVALUATION, self._log), Every(every_kimg, self._evaluate)]
        pixels = on_device(images, self.world.device)
        return self._outcome(train(state, game, pixels, actions, self.pause))

    def _log(self, state: TrainState, reading: dict[str, float]) -> bool:
        if self.recorder:
            self.recorder.curve(reading)
        if self.watch and self.world.is_main:
            self.watch(state, reading)
        return True

    def _evaluate(self, state: TrainState, reading: dict[str, float]) -> bool:
        # Rows first, then the checkpoint, then the report: a worker that dies in between repeats
        # the evaluation from the older checkpoint and overwrites its rows with the same keys.
        scores = assess(state, self.scorers)
        state.last_metrics = {score.protocol: score.frechet for score in scores}
        if self.recorder:
            self.recorder.evaluation(scores)
            self.recorder.flush_curves()
        save_checkpoint(state, self.checkpoint)
        self._record("completed" if state.is_done else "running")
        return self._report(reading)

    def _report(self, reading: dict[str, float]) -> bool:
        go_on = True
        if self.world.is_main:
            state = self.state
            go_on = self.tell(
                Report(self.job.trial_id, state.kimg, dict(state.last_metrics), reading, state.wall_s, state.is_done)
            )
        return bool(self.world.broadcast(go_on))

    def _outcome(self, ending: Ending) -> Outcome:
        state = self.state
        if ending is Ending.PAUSED:
            save_checkpoint(state, self.checkpoint)
            if self.recorder:
                self.recorder.flush_curves()
                self._record("running")
        # STOPPED: whoever said stop knows whether it was pruning or the end of the sweep, and records it.
        state.tick()
        status: Status = "completed" if ending is Ending.COMPLETED or state.is_done else "running"
        return Outcome(self.job.trial_id, status, state.kimg, dict(state.last_metrics), None, state.wall_s)

    def failed(self, error: Exception) -> Outcome:
        """Record what went wrong and say so."""
        diagnosis = str(error) if isinstance(error, GanrayError) else f"{type(error).__name__}: {error}"
        if self.world.is_main:
            # The disk or the store may be what failed: the diagnosis must reach the user all the same.
            with contextlib.suppress(OSError):
                (self.job.folder / "error.txt").write_text(traceback.format_exc())
            with contextlib.suppress(GanrayError, OSError):
                self._record("failed", diagnosis)
        if self.recorder is None:
            return Outcome(self.job.trial_id, "failed", diagnosis=diagnosis)
        state = self.state
        return Outcome(self.job.trial_id, "failed", state.kimg, dict(state.last_metrics), diagnosis, state.wall_s)

    def _record(self, status: Status, diagnosis: str | None = None) -> None:
        if self.recorder:
            self.recorder.trial(status, diagnosis)


@contextlib.contextmanager
def claimed(job: TrialJob, world: World) -> Iterator[None]:
    """One process group at a time trains a trial: the same recipe proposed twice waits for the first."""
    if not world.is_main:
        yield
        return
    job.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(job.folder / "lock"):
        yield


def load_together(recipe: Recipe, world: World) -> ImageSet:
    """The main worker decodes, the others read its cache."""
    for is_turn in (world.is_main, not world.is_main):
        if is_turn:
            images = load_images(recipe.data)
        world.barrier()
    return images


def on_device(images: ImageSet, device: torch.device) -> torch.Tensor:
    """The whole set as one uint8 tensor on the training device, where it fits; else where it lies."""
    if device.type != "cuda":
        return images.images
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return images.images.to(device) if images.images.numel() < free_bytes // 4 else images.images


def load_distance(recipe: Recipe, world: World) -> Distance | None:
    """How reconstructions are compared; None where the discriminator has no decoders."""
    decode = getattr(recipe.discriminator, "decode", None)
    if decode is None:
        return None
    features = load_lite0(world.device).maps if decode.distance == "perceptual" else None
    return build_distance(decode.distance, features=features, device=world.device)


def start_afresh(job: TrialJob) -> None:
    """Forget this trial's checkpoint. Its rows stay: rows are never deleted."""
    shutil.rmtree(job.folder, ignore_errors=True)
