"""Pictures from a checkpoint."""

from pathlib import Path

from PIL import Image

from ganray.data.grid import image_grid
from ganray.evaluation.sampling import chunks, draw_images, sample_images
from ganray.training.checkpoint import load_generator
from ganray.training.distributed import pick_device


def write_samples(
    checkpoint: Path, grid: tuple[int, int], seed: int, device: str, output: Path, folder: Path | None
) -> str:
    """Write one grid PNG, or each image to a file in `folder`; return a sentence that says so."""
    chosen = pick_device(device)
    saved = load_generator(checkpoint, chosen)
    columns, rows = grid
    latent_dim = saved.recipe.generator.latent_dim
    if folder is None:
        images = sample_images(saved.generator, latent_dim, columns * rows, seed, chosen)
        output.parent.mkdir(parents=True, exist_ok=True)
        image_grid(images.cpu(), columns).save(output)
        return f"wrote {output}: {columns}x{rows} images of {saved.recipe.data.resolution} px at {saved.kimg:g} kimg"
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for batch in draw_images(saved.generator, latent_dim, chunks(columns * rows), seed, chosen):
        for image in batch.permute(0, 2, 3, 1).cpu().numpy():
            Image.fromarray(image).save(folder / f"{number:06d}.png")
            number += 1
    return f"wrote {number} images of {saved.recipe.data.resolution} px to {folder}"
