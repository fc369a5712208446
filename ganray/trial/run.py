"""Trains, evaluates and records one trial; resumes where its checkpoint left off."""

import contextlib
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from ganray.data.images import ImageSet, load_images
from ganray.errors import GanrayError, RecipeError, TrainingError
from ganray.models.feature_networks import load_lite0
from ganray.objectives.reconstruction import build_distance
from ganray.recipe.recipe import Recipe
from ganray.recipe.secrets import masked
from ganray.training.checkpoint import restore_checkpoint, save_checkpoint, settle
from ganray.training.distributed import World
from ganray.training.game import Perception, build_game, needs_features
from ganray.training.health import Unhealthy
from ganray.training.initial import start_from
from ganray.training.loop import Ending, Every, prepare_device, train
from ganray.training.state import TrainState, build_state
from ganray.trial import attempts
from ganray.trial.assess import assess, load_scorers
from ganray.trial.attempts import GivenUp
from ganray.trial.job import LOCK, Outcome, Report, Status, Tell, TrialJob, check_batch
from ganray.trial.memory import (
    RETRY,
    OutOfMemory,
    Retry,
    answer,
    forget_retry,
    free_memory,
    is_out_of_memory,
    keep_retry,
    with_retry,
)
from ganray.trial.memory import settle as settle_memory
from ganray.trial.mirror import ERROR, Mirror, kimg_of, share_checkpoint
from ganray.trial.overfit import measure_overfitting
from ganray.trial.record import Recorder, record_early_failure
from ganray.trial.takeover import current_recipe
from ganray.trial.watchdog import watched

LOG = logging.getLogger(__name__)
LOGS_PER_EVALUATION = 10
CLAIM_S = 5.0
"""How long the main worker waits for the lock before all workers meet again: far below a collective's timeout."""

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
    with contextlib.ExitStack() as claim:
        try:
            claim.enter_context(claimed(job, world))
            claim.enter_context(watched(job, world))
            outcome = trial.run_with_retry()
        except GivenUp as error:
            return trial.failed(error)  # and still counted: whoever is given this trial gives it up at once
        except Exception as error:
            if world.size > 1 and not isinstance(error, GanrayError):
                raise  # the other workers wait in a collective: only a restart of all of them helps
            outcome = trial.failed(error)
        trial.end(outcome.status)
        return outcome


class _Trial:
    """The parts of one run, so that the actions share them."""

    def __init__(self, job: TrialJob, world: World, tell: Tell, watch: Watch | None, pause: Callable[[], bool]) -> None:
        self.job, self.world, self.tell, self.watch, self.pause = job, world, tell, watch, pause
        self.recipe = job.recipe
        self.checkpoint = job.files.checkpoint
        self.mirror = Mirror(job.files)
        self.recorder: Recorder | None = None
        self.retry: Retry | None = None
        """What is known of memory that ran out before."""
        self.doom: str | None = None
        """The diagnosis that the trial was pruned for."""

    def run_with_retry(self) -> Outcome:
        """`run`; where memory runs out for the first time, once more with half the images at a time."""
        while True:
            try:
                return self.run()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._answer(error)
            # Not in the handler, which holds the tensors of the step that failed.
            free_memory()

    def _answer(self, error: Exception) -> None:
        """Remember that memory ran out, and let go of what was built; raises where this process cannot go on."""
        world, folder = self.world, self.job.folder
        state: TrainState | None = self.__dict__.get("state")
        kimg = state.kimg if state else 0.0
        retry = answer(self.retry, self.recipe, world, kimg, error)
        keep_retry(folder, retry)
        self.mirror.send_note(RETRY)
        if world.size > 1:
            raise error  # the others wait in a collective; when all begin again, the main worker reads what is kept
        if retry.given_up:
            raise OutOfMemory(retry.finding) from error
        LOG.warning("trial %s: %s", self.job.trial_id, retry.finding)
        attempts.note(folder, str(retry.finding))
        traceback.clear_frames(error.__traceback__)
        self.recorder = state = None
        for name in ("state", "pixels", "scorers"):
            self.__dict__.pop(name, None)

    def run(self) -> Outcome:
        world, beat = self.world, self.world.pulse.beat
        check_batch(self.recipe, world.size)
        with world.pulse.waiting("the runs' files"):
            self.attempt, self.retry = world.on_main(self._begin)
            if self.job.member is not None:
                self.recipe = world.on_main(lambda: current_recipe(self.job, self.mirror))
            self.recipe = with_retry(self.recipe, self.retry)
            share_checkpoint(self.job.files, world)
        beat("reading and decoding the images")
        # The main worker decodes, the others read its cache.
        images = world.in_turn(lambda: load_images(self.recipe.data, alive=world.pulse.alive))
        beat("the features of the training images")
        self.scorers = load_scorers(self.recipe.evaluation.protocols, images, world, self.job.fid_weights)
        beat("building the networks")
        perception = world.in_turn(lambda: load_perception(self.recipe, world.device))
        self.state = state = build_state(
            self.recipe,
            len(images.images),
            world,
            labels=images.labels,
            classes=images.classes,
            features=perception.features,
        )
        beat("the checkpoint")
        if world.on_main(self.checkpoint.exists):
            world.in_turn(lambda: restore_checkpoint(state, self.checkpoint))
        elif initial := self.recipe.initial:
            left_out = start_from(state, initial)
            if left_out and world.is_main:
                LOG.warning("initial.checkpoint: %d tensors keep fresh values: %s", len(left_out), "; ".join(left_out))
        if world.is_main:
            notes = (self.retry.finding,) if self.retry else ()
            self.recorder = Recorder(self.job, state, images, again=self.attempt > 1, notes=notes)
        self._write(lambda recorder: recorder.remember())
        if state.is_done:
            return self._done_before()
        self._record("running")
        if self.job.member is not None and self._owes_report() and not self._report({}, "running"):
            return self._outcome(Ending.STOPPED)
        game = build_game(state, perception)
        every_kimg = self.recipe.evaluation.every_kimg
        actions = [Every(every_kimg / LOGS_PER_EVALUATION, self._log), Every(every_kimg, self._evaluate)]
        self.pixels = on_device(images, self.world.device)
        return self._outcome(train(state, game, self.pixels, actions, self.pause))

    def _owes_report(self) -> bool:
        """Whether a member has come to a round without having been judged: its driver died just then."""
        member, state = self.job.member, self.state
        return member is not None and member.is_due(state.kimg) and bool(state.last_metrics)

    def _begin(self) -> tuple[int, Retry | None]:
        """Find what to go on from, and count this attempt.

        Raises GivenUp where the ones before have got nowhere, OutOfMemory where they have tried all there is.
        """
        damaged = settle(self.checkpoint)
        self.mirror.pull()
        kimg = kimg_of(self.checkpoint)
        if damaged and not self.checkpoint.exists():
            LOG.warning("no whole checkpoint is left in %s: the trial begins anew", self.job.folder)
        attempt = attempts.begin(self.job.folder, kimg)
        self.mirror.send_attempts()
        attempts.give_up_after(self.job.folder, attempt)
        return attempt, settle_memory(self.job.folder, self.recipe, self.world.size, kimg)

    def end(self, status: Status) -> None:
        """The trial leaves this process in order: it did not die."""
        if not self.world.is_main:
            return
        attempts.end(self.job.folder)
        self.mirror.send_attempts()
        if status in ("completed", "pruned"):
            self.mirror.drop_previous()

    def _done_before(self) -> Outcome:
        """The same recipe again, or a worker that died between its last checkpoint and its report."""
        self._write(lambda recorder: None if recorder.status() == "completed" else recorder.trial("completed"))
        self._report({}, "completed")
        return self._outcome(Ending.COMPLETED)

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
        self.world.pulse.beat("the rows and pictures of an evaluation")
        state.last_metrics = {score.protocol: score.frechet for score in scores}
        self._write(lambda recorder: recorder.evaluation(scores, measure_overfitting(state, self.pixels)))
        self._write(lambda recorder: recorder.flush_curves())
        self._save()
        self.doom = None if state.is_done else self._doom()
        status: Status = "completed" if state.is_done else "pruned" if self.doom else "running"
        self._record(status, self.doom)
        return self._report(reading, status) and self.doom is None

    def _save(self) -> None:
        self.world.pulse.beat("writing the checkpoint")
        save_checkpoint(self.state, self.checkpoint)
        with self.world.pulse.waiting("sending the checkpoint"):
            self.world.on_main(lambda: self.mirror.push(self.state.step))

    def _doom(self) -> str | None:
        """What the experiment ends trials for, where it was found. Collective: all workers know it."""
        found = self.recorder.doomed_by() if self.recorder else None
        doom: str | None = self.world.broadcast(None if found is None else str(found))
        return doom

    def _report(self, reading: dict[str, float], status: Status) -> bool:
        go_on = True
        if self.recorder:
            state, findings = self.state, self.recorder.findings
            metrics = dict(state.last_metrics)
            report = Report(self.job.trial_id, state.kimg, metrics, reading, state.wall_s, status, findings)
        with self.world.pulse.resting("the verdict on an evaluation"):
            if self.recorder:
                go_on = self.tell(report)
            return bool(self.world.broadcast(go_on))

    def _outcome(self, ending: Ending) -> Outcome:
        state = self.state
        if ending is Ending.PAUSED:
            # Before the checkpoint, as above: a kill in between must leave no gap in the curve.
            self._write(lambda recorder: recorder.flush_curves())
            self._save()
            self._record("running")
        # STOPPED: whoever said stop knows whether it was pruning or the end of the sweep, and records it.
        state.tick()
        completed = ending is Ending.COMPLETED or state.is_done
        status: Status = "completed" if completed else "pruned" if self.doom else "running"
        return Outcome(self.job.trial_id, status, state.kimg, dict(state.last_metrics), self.doom, state.wall_s)

    def failed(self, error: Exception) -> Outcome:
        """Record what went wrong and say so."""
        diagnosis = masked(str(error) if isinstance(error, GanrayError) else f"{type(error).__name__}: {error}")
        if self.world.is_main:
            # The disk or the store may be what failed: the diagnosis must reach the user all the same.
            with contextlib.suppress(OSError):
                (self.job.folder / ERROR).write_text(masked(traceback.format_exc()))
                self.mirror.send_error()
                if isinstance(error, OutOfMemory):
                    forget_retry(self.job.folder)
                    self.mirror.send_note(RETRY)
            with contextlib.suppress(GanrayError, OSError):
                if self.recorder:
                    self.recorder.failed(diagnosis, error.diagnosis if isinstance(error, Unhealthy) else None)
                else:
                    record_early_failure(self.job, self.world, diagnosis)
        if self.recorder is None:
            return Outcome(self.job.trial_id, "failed", diagnosis=diagnosis)
        state = self.state
        return Outcome(self.job.trial_id, "failed", state.kimg, dict(state.last_metrics), diagnosis, state.wall_s)

    def _record(self, status: Status, diagnosis: str | None = None) -> None:
        self._write(lambda recorder: recorder.trial(status, diagnosis))

    def _write(self, rows: Callable[[Recorder], object]) -> None:
        """Have the main worker write rows. Collective: where it cannot, the trial ends on every worker."""

        def write() -> None:
            if self.recorder:
                rows(self.recorder)

        self.world.on_main(write)


@contextlib.contextmanager
def claimed(job: TrialJob, world: World) -> Iterator[None]:
    """One process group at a time trains a trial: the same recipe proposed twice waits for the first.

    Collective. Raises TrainingError where the trial's folder cannot be written.
    """
    lock = FileLock(job.folder / LOCK)
    try:
        while not world.on_main(lambda: _acquired(lock, job.folder)):
            pass
        yield
    finally:
        lock.release()


def _acquired(lock: FileLock, folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=CLAIM_S)
    except Timeout:
        return False
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written: {error.strerror}; set `runs` to another folder") from error
    return True


def on_device(images: ImageSet, device: torch.device) -> torch.Tensor:
    """The whole set as one uint8 tensor on the training device, where it fits; else where it lies."""
    if device.type != "cuda":
        return images.images
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return images.images.to(device) if images.images.numel() < free_bytes // 4 else images.images


def load_perception(recipe: Recipe, device: torch.device) -> Perception:
    """The networks that the recipe's losses look through. Raises WeightsError where one cannot be had."""
    features = load_lite0(device).maps if needs_features(recipe) else None
    decode = getattr(recipe.discriminator, "decode", None)
    distance = build_distance(decode.distance, features=features, device=device) if decode else None
    return Perception(distance, features)


def start_afresh(job: TrialJob) -> None:
    """Forget this trial's checkpoint. Its rows stay: rows are never deleted.

    Raises RecipeError where another process trains this very trial, StoreError where the runs' URI cannot be reached.
    """
    files = job.files
    if files.runs.is_remote:
        files.runs.remove(files.relative)
    if not job.folder.exists():
        return
    try:
        with FileLock(job.folder / LOCK, timeout=0):
            for path in job.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != LOCK:
                    path.unlink()
    except Timeout:
        raise RecipeError(f"another process trains this recipe right now ({job.folder}); wait for it") from None
