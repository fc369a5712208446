"""Memory that runs out: told with sizes and a fix, and answered once, by passing fewer images at a time.

`retry.json` in the trial's folder says so to whatever process goes on with the trial. Any worker may write it, since
one that has no memory cannot meet the others; the main worker reads it, when all of them begin again.
"""

import contextlib
import gc
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ganray.errors import TrainingError
from ganray.recipe.recipe import Recipe
from ganray.recipe.refusals.micro import why_not_micro
from ganray.training.distributed import World
from ganray.training.health import Diagnosis, Unhealthy
from ganray.trial.attempts import killed
from ganray.trial.environment import memory_bytes

RETRY = "retry.json"
KILLS = 2
"""Deaths at one place, without a word, after which lack of memory is suspected: the kernel kills so, and Ray does."""

TEXTS = re.compile(
    r"(CUDA|HIP) (error: )?out of memory"
    r"|Cuda failure.*out of memory"
    r"|CU(BLAS|DNN)_STATUS_ALLOC_FAILED"
    r"|DefaultCPUAllocator: (can't|not enough)"
    r"|^(OutOfMemoryError|MemoryError)\b"  # as one worker tells the others, `World.on_main`
)
SHOWN = 300
"""Characters of the allocator's own words."""


class OutOfMemory(Unhealthy):
    """The trial needs more memory than there is."""


@dataclass(frozen=True)
class Retry:
    """What is remembered of memory that ran out."""

    evidence: str
    kimg: float
    micro_batch: int | None
    """With how many images at a time each worker goes on; None: with no fewer than before."""
    given_up: bool = False

    @property
    def finding(self) -> Diagnosis:
        return Diagnosis("out-of-memory", self.evidence, self.kimg, self.kimg)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator of the GPU or of the host has refused."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and TEXTS.search(str(error)) is not None


def settle(folder: Path, recipe: Recipe, workers: int, kimg: float) -> Retry | None:
    """What an attempt that begins has to know. For the main worker, once it has counted the attempt.

    Raises OutOfMemory where the attempt before has found that there is nothing left to try.
    """
    retry = read_retry(folder)
    if retry is None and killed(folder) >= KILLS and (fewer := halved(recipe, workers)):
        evidence = f"retried with micro_batch {fewer}, as its workers were killed {KILLS} times without a word"
        retry = Retry(evidence, kimg, fewer)
        keep_retry(folder, retry)
    if retry is not None and retry.given_up:
        raise OutOfMemory(retry.finding)
    return retry


def answer(before: Retry | None, recipe: Recipe, world: World, kimg: float, error: Exception) -> Retry:
    """What is to come of an allocation that failed: one retry with half the images at a time, or the end."""
    evidence = describe(recipe, world, kimg, error)
    if before is not None:
        return Retry(f"{evidence}; it was {before.evidence} before", kimg, before.micro_batch, given_up=True)
    if fewer := halved(recipe, world.size):
        return Retry(f"retried with micro_batch {fewer} after {evidence}", kimg, fewer)
    why_not = why_not_micro(recipe) or "a single image does not fit"
    return Retry(f"{evidence}; no smaller micro-batch is possible: {why_not}", kimg, None, given_up=True)


def halved(recipe: Recipe, workers: int) -> int | None:
    """Half as many images at a time and worker; None where that is not possible or would train something else."""
    now = at_once(recipe, workers)
    return None if now < 2 or why_not_micro(recipe) else now // 2


def at_once(recipe: Recipe, workers: int) -> int:
    """How many images each worker passes through the networks at once."""
    share = recipe.budget.batch_size // workers
    return min(share, recipe.runtime.micro_batch or share)


def with_retry(recipe: Recipe, retry: Retry | None) -> Recipe:
    """The recipe with the micro-batch of the retry; its hash is the same."""
    if retry is None or retry.micro_batch is None:
        return recipe
    size = min(retry.micro_batch, recipe.runtime.micro_batch or retry.micro_batch)
    return recipe.model_copy(update={"runtime": recipe.runtime.model_copy(update={"micro_batch": size})})


def describe(recipe: Recipe, world: World, kimg: float, error: Exception) -> str:
    """The allocator's words, and what was to fit: sizes of batch, images and networks."""
    words = " ".join(str(error).split())[:SHOWN] or type(error).__name__
    images = (
        f"{at_once(recipe, world.size)} images of {recipe.data.resolution} px at once in each of {world.size} worker"
    )
    networks = ", ".join(
        f"{role} {spec.name} of width {spec.width}"
        for role, spec in (("G", recipe.generator), ("D", recipe.discriminator))
    )
    peak = f"{memory_bytes(world.device) / 2**30:.1f} GiB"
    where = f"worker {world.rank} ({world.device.type}, at most {peak} held) in {world.pulse.what}"
    return f"{words} [{where}, at {kimg:g} kimg; batch_size {recipe.budget.batch_size}, {images}(s); {networks}]"


def free_memory() -> None:
    """Give back what nothing refers to any more, as far as this process can."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def read_retry(folder: Path) -> Retry | None:
    """What is remembered; None where there is nothing, or a damaged file."""
    try:
        return Retry(**json.loads((folder / RETRY).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def keep_retry(folder: Path, retry: Retry) -> None:
    """Remember it. Raises TrainingError where the folder cannot be written."""
    temporary = folder / f".{RETRY}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(asdict(retry)))
        os.replace(temporary, folder / RETRY)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise TrainingError(
            f"{folder / RETRY} cannot be written: {error.strerror}; free some space there, or set `runs` to another "
            f"disk"
        ) from error


def forget_retry(folder: Path) -> None:
    """The trial's end is recorded: whoever begins it again by hand may have more memory."""
    with contextlib.suppress(OSError):
        (folder / RETRY).unlink(missing_ok=True)
