"""Pictures from a checkpoint."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from ganray.data.fetched import fetched
from ganray.data.grid import image_grid
from ganray.errors import GanrayError
from ganray.evaluation.sampling import chunks, draw_images, interpolate_images
from ganray.training.distributed import pick_device
from ganray.training.export import export_generator, open_generator

MOST_LISTED = 10  # classes that an error names


@dataclass(frozen=True)
class Wanted:
    """Which images to draw."""

    columns: int
    rows: int
    seed: int = 0
    truncation: float | None = None
    """Largest coordinate of the latents."""
    interpolate: bool = False
    """Each row leads from one latent to the next."""
    label: str | None = None
    """A class by its name or index; None: every class in turn."""


def write_samples(checkpoint: str | Path, wanted: Wanted, device: str, output: Path, folder: Path | None) -> str:
    """Write one grid PNG, or each image to a file in `folder`; return a sentence that says so.

    `checkpoint` is a path or an fsspec URI of a checkpoint, or of what `ganray export-generator` wrote.

    Raises GanrayError where the generator has no such class, or latents that cannot be truncated.
    """
    chosen = pick_device(device)
    saved = open_generator(fetched(checkpoint), chosen)
    spec, side = saved.recipe.generator, saved.recipe.data.resolution
    index = None if wanted.label is None else class_index(wanted.label, saved.classes, checkpoint)
    n_classes, count = len(saved.classes), wanted.columns * wanted.rows
    batches = (
        interpolate_images(
            saved.generator, spec, wanted.rows, wanted.columns, wanted.seed, chosen,
            n_classes=n_classes, label=index, truncation=wanted.truncation,
        )
        if wanted.interpolate
        else draw_images(
            saved.generator, spec, chunks(count), wanted.seed, chosen,
            n_classes=n_classes, label=index, truncation=wanted.truncation,
        )
    )  # fmt: skip
    if folder is None:
        output.parent.mkdir(parents=True, exist_ok=True)
        image_grid(torch.cat(list(batches)).cpu(), wanted.columns).save(output)
        return f"wrote {output}: {wanted.columns}x{wanted.rows} images of {side} px at {saved.kimg:g} kimg"
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(image for batch in batches for image in batch.permute(0, 2, 3, 1).cpu().numpy()):
        Image.fromarray(image).save(folder / f"{number:06d}.png")
    return f"wrote {count} images of {side} px to {folder}"


def class_index(label: str, classes: Sequence[str], checkpoint: str | Path) -> int:
    """The index of a class given by its name or else by its index. Raises GanrayError with what there is."""
    if not classes:
        raise GanrayError(f"{checkpoint} was trained without classes (data.labels: none); leave --class out")
    if label in classes:
        return classes.index(label)
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    near = difflib.get_close_matches(label, classes, n=1)
    hint = f"did you mean {near[0]}?" if near else f"give a name or an index from 0 to {len(classes) - 1}"
    listed = ", ".join(classes[:MOST_LISTED]) + (", ..." if len(classes) > MOST_LISTED else "")
    raise GanrayError(f"{checkpoint} has no class {label!r}, but {len(classes)}: {listed}; {hint}")


def share_generator(checkpoint: str | Path, target: Path) -> str:
    """Write a checkpoint's generator as safetensors; return a sentence that says what of its origin it tells."""
    saved = export_generator(fetched(checkpoint), target)
    told = f"its recipe (with data.source {saved.recipe.data.source}), {saved.kimg:g} kimg"
    classes = f", {len(saved.classes)} classes" if saved.classes else ""
    return f"wrote {target}: {target.stat().st_size / 1e6:.1f} MB, with {told}{classes}"
