"""Checkpoints that resume exactly: networks, EMA, optimizers, sampler, progress, and every worker's RNG.

The one before the newest is kept beside it, so that a damaged file costs the time between two, not a trial.
"""

import contextlib
import logging
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from ganray.errors import WeightsError
from ganray.models.registry import build_generator
from ganray.recipe.recipe import Recipe
from ganray.training.state import TrainState, seed_everything

LOG = logging.getLogger(__name__)
FORMAT, VERSION = "ganray-checkpoint", 1


class DamagedCheckpoint(WeightsError):
    """A file that was torn while it was written or copied, or some bits of which have changed since."""


def previous_of(path: Path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}-previous{path.suffix}")


def save_checkpoint(state: TrainState, path: Path) -> None:
    """Write the whole state atomically, and keep the checkpoint before it. Collective: the main worker writes.

    Raises WeightsError, on every worker, where the disk is full or not writable.
    """
    workers = state.world.gather(_of_worker(state))
    state.world.on_main(lambda: write_atomically(_content(state, workers), path, keep=True))


def _of_worker(state: TrainState) -> dict[str, Any]:
    """What differs from worker to worker: random numbers, old fakes."""
    extras = {name: value.cpu() for name, value in state.extras.state_dict().items()}
    return {"rng": _rng_state(state.world.device), "extras": extras}


def _content(state: TrainState, workers: list[dict[str, Any]]) -> dict[str, Any]:
    state.tick()
    return {
        "format": FORMAT,
        "version": VERSION,
        "recipe": state.recipe.model_dump(mode="json"),
        "generator": state.generator.state_dict(),
        "discriminator": state.discriminator.state_dict(),
        "ema": state.ema.state_dict() if state.ema is not None else None,
        "optimizer_g": state.optimizer_g.state_dict(),
        "optimizer_d": state.optimizer_d.state_dict(),
        "sampler_position": state.sampler.position,
        "step": state.step,
        "images_shown": state.images_shown,
        "wall_s": state.wall_s,
        "started_at_s": state.started_at_s,
        "last_metrics": state.last_metrics,
        "classes": list(state.classes),
        "lineage": list(state.lineage),
        "rngs": [worker["rng"] for worker in workers],
        "extras": [worker["extras"] for worker in workers],
    }


def restore_checkpoint(state: TrainState, path: Path) -> None:
    """Continue as if nothing had happened. Raises WeightsError where the file belongs to another recipe."""
    saved = read_checkpoint(path)
    recipe = _recipe(saved, path)
    if recipe.hash != state.recipe.hash:
        raise WeightsError(f"{path} was written by another recipe ({recipe.hash[:12]}, not {state.recipe.hash[:12]})")
    if saved.get("optimizer_g") is None:
        raise WeightsError(f"{path} holds weights only (an import), so training cannot be resumed from it")
    state.generator.load_state_dict(saved["generator"])
    state.discriminator.load_state_dict(saved["discriminator"])
    if state.ema is not None:
        state.ema.load_state_dict(saved["ema"])
    state.optimizer_g.load_state_dict(saved["optimizer_g"])
    state.optimizer_d.load_state_dict(saved["optimizer_d"])
    state.sampler.position = saved["sampler_position"]
    state.step, state.images_shown = saved["step"], saved["images_shown"]
    state.wall_s, state.last_metrics = saved["wall_s"], saved["last_metrics"]
    state.started_at_s = saved["started_at_s"]
    state.lineage = tuple(saved.get("lineage", ()))
    # With another number of workers there is no exact continuation: the RNGs stay as freshly seeded.
    if "reseed" in saved:  # taken over from another member of a population
        seed_everything(saved["reseed"], state.world.rank)
    elif len(saved["rngs"]) == state.world.size:
        _restore_rng(saved["rngs"][state.world.rank], state.world.device)
    extras = saved.get("extras", [{}])  # checkpoints of version 0.1 have none, nor had their recipes
    state.extras.load_state_dict(extras[state.world.rank % len(extras)])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The raw contents, tensors on the CPU. Raises WeightsError; DamagedCheckpoint where it is torn or changed."""
    try:
        _verify(path)
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such checkpoint") from None
    except Exception as error:  # there is no end to what a damaged pickle can raise
        # A file that is as it was written is not to blame: there may be too little memory for it.
        kind = WeightsError if is_intact(path) else DamagedCheckpoint
        raise kind(f"{path}: damaged or no checkpoint: {_first_line(error)}") from None
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is no GANRay checkpoint; the FastGAN authors' files are converted by `ganray import-fastgan`"
        )
    if saved["version"] > VERSION:
        raise WeightsError(f"{path} has version {saved['version']}, this GANRay reads up to {VERSION}; upgrade it")
    return saved


def _verify(path: Path) -> None:
    """Compare the zip file's checksums, which torch writes but never reads: it would load flipped bits."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            if (damaged := file.testzip()) is not None:
                raise DamagedCheckpoint(f"the checksum of {damaged} is wrong")


def is_intact(path: Path) -> bool:
    """Whether a checkpoint is there with every bit that was written."""
    try:
        _verify(path)
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # leaves the tensors on the disk
    except Exception:
        return False
    return True


def settle(path: Path) -> list[Path]:
    """Have the newest whole checkpoint at `path`, if there is one; return the damaged files, which are kept aside.

    What a killed process left is removed. Only for whoever may write this checkpoint.
    """
    remove_leftovers(path)
    previous, damaged = previous_of(path), []
    for each in (path, previous):
        if each.exists() and not is_intact(each):
            aside = each.with_suffix(".damaged")
            LOG.warning("%s is damaged; it is kept as %s", each, aside.name)
            os.replace(each, aside)
            damaged.append(aside)
    if previous.exists() and not path.exists():
        LOG.warning("going on from %s, the checkpoint before the newest one", previous)
        _name_too(previous, path)
    return damaged


def _recipe(saved: dict[str, Any], path: Path) -> Recipe:
    try:
        return Recipe.model_validate(saved["recipe"])
    except ValidationError as error:
        raise WeightsError(f"{path} holds a recipe that this GANRay does not know: {error}") from None


@dataclass(frozen=True)
class SavedGenerator:
    """A generator ready to sample, and what it was trained on."""

    recipe: Recipe
    generator: nn.Module
    kimg: float
    classes: tuple[str, ...] = ()


def load_generator(path: Path, device: torch.device) -> SavedGenerator:
    """The sampling generator of a checkpoint (the EMA where there is one), in evaluation mode."""
    saved = read_checkpoint(path)
    recipe = _recipe(saved, path)
    classes = tuple(saved.get("classes", ()))
    generator = build_generator(recipe.generator, recipe.data.resolution, len(classes))
    weights = saved["generator"]
    if saved["ema"] is not None:
        prefix = "module."
        weights = {k.removeprefix(prefix): v for k, v in saved["ema"].items() if k.startswith(prefix)}
    generator.load_state_dict(weights)
    return SavedGenerator(recipe, generator.to(device).eval(), saved["images_shown"] / 1000, classes)


def write_atomically(content: dict[str, Any], path: Path, *, keep: bool = False) -> None:
    """A torch file that is there whole or not at all; `keep` the one before it. WeightsError where the disk is full."""
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        if keep and path.exists():
            _name_too(path, previous_of(path))
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
        raise WeightsError(
            f"{path} cannot be written: {_disk_reason(error)}; free some space there, or set `runs` to another disk"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _name_too(source: Path, target: Path) -> None:
    """Have the file `source` at `target` as well, in place of what is there; where links are unknown, only there."""
    temporary = _temporary(target)
    try:
        os.link(source, temporary)
    except OSError:
        os.replace(source, target)
        return
    try:
        os.replace(temporary, target)
    finally:  # where both are one file already, that has done nothing
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _sync_folder(folder: Path) -> None:
    """Have the names on the disk, too, before anybody counts on them. Not every file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(path: Path) -> None:
    """Delete what processes that were killed while writing this checkpoint left beside it."""
    for name in (path.name, previous_of(path).name):
        for leftover in path.parent.glob(f".{name}.*.tmp"):
            leftover.unlink(missing_ok=True)


def _disk_reason(error: Exception) -> str:
    """The operating system's word, also where torch wrapped it."""
    cause = error if isinstance(error, OSError) else error.__context__
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _rng_state(device: torch.device) -> dict[str, Any]:
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def _restore_rng(rng: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(rng["torch"])
    if device.type == "cuda" and rng["cuda"] is not None:
        torch.cuda.set_rng_state(rng["cuda"], device)
