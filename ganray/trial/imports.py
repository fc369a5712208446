"""Checkpoints of other code, turned into ours."""

from pathlib import Path
from typing import Any

from ganray.models.import_fastgan import import_fastgan
from ganray.recipe.data import DataSpec
from ganray.recipe.discriminators import FastGANDiscriminator
from ganray.recipe.recipe import Recipe
from ganray.training.checkpoint import FORMAT, VERSION, write_atomically


def convert_fastgan(source: Path, target: Path) -> str:
    """Write the authors' FastGAN checkpoint as ours (weights only: it cannot resume training); return a sentence.

    Raises WeightsError where the file is none of theirs.
    """
    imported = import_fastgan(source)
    recipe = Recipe(
        data=DataSpec(source=f"imported:{source.name}", resolution=imported.resolution),  # type: ignore[arg-type]
        generator=imported.generator_spec,
        discriminator=imported.discriminator_spec or FastGANDiscriminator(name="fastgan", decode=None),
    )
    ema = imported.ema_state
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "recipe": recipe.model_dump(mode="json"),
        "generator": imported.generator_state,
        "discriminator": imported.discriminator_state,
        "ema": {f"module.{name}": tensor for name, tensor in ema.items()} if ema else None,
        "optimizer_g": None,
        "optimizer_d": None,
        "images_shown": 0,
    }
    write_atomically(content, target)
    which = "its moving average" if ema else "its generator"
    size = f"{imported.resolution} px, width {imported.generator_spec.width}"
    return f"wrote {target}: FastGAN at {size}; samples come from {which}"
