"""A checkpoint's generator as safetensors: a file to share, which holds numbers and texts and can run no code."""

import contextlib
import json
import os
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError

from ganray.errors import WeightsError
from ganray.models.registry import build_generator
from ganray.recipe.recipe import Recipe
from ganray.training.checkpoint import SavedGenerator, load_generator

FORMAT, VERSION = "ganray-generator", 1


def export_generator(checkpoint: Path, target: Path) -> SavedGenerator:
    """Write the sampling generator (the EMA where there is one) with its recipe, kimg and classes; return it.

    Raises WeightsError where the checkpoint is none, or the file cannot be written.
    """
    saved = load_generator(checkpoint, torch.device("cpu"))
    # Tensors that share memory are refused by the format.
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in saved.generator.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "recipe": saved.recipe.model_dump_json(),
        "kimg": repr(saved.kimg),
        "classes": json.dumps(saved.classes),
    }
    _write(safetensors.torch.save(tensors, metadata), target)
    return saved


def open_generator(path: Path, device: torch.device) -> SavedGenerator:
    """The generator of a checkpoint or of an exported file, in evaluation mode. Raises WeightsError."""
    return _load(path, device) if _is_exported(path) else load_generator(path, device)


def _is_exported(path: Path) -> bool:
    """Safetensors begin with the length of their header, eight bytes, and the header's brace."""
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:
        return False  # who opens it as a checkpoint says why


def _load(path: Path, device: torch.device) -> SavedGenerator:
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path}: damaged, or no safetensors: {error}") from None
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path} is no generator of GANRay; `ganray export-generator` writes them")
    try:
        version = int(metadata["version"])
        if version > VERSION:
            raise WeightsError(f"{path} has version {version}, this GANRay reads up to {VERSION}; upgrade it")
        recipe = Recipe.model_validate_json(metadata["recipe"])
        classes = tuple(str(name) for name in json.loads(metadata["classes"]))
        generator = build_generator(recipe.generator, recipe.data.resolution, len(classes))
        generator.load_state_dict(tensors)
        return SavedGenerator(recipe, generator.to(device).eval(), float(metadata["kimg"]), classes)
    except ValidationError as error:
        raise WeightsError(f"{path} holds a recipe that this GANRay does not know: {error}") from None
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: its tensors or its metadata are not those of a generator: {first}") from None


def _write(content: bytes, target: Path) -> None:
    """There whole or not at all. Raises WeightsError."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error.strerror}; name another place with -o") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
