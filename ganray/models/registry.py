"""The architectures by name, and how a recipe's specs become networks."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ganray.errors import RecipeError
from ganray.models.discriminators.dcgan import DCGANDiscriminator
from ganray.models.discriminators.fastgan import FastGANDiscriminator
from ganray.models.generators.dcgan import DCGANGenerator
from ganray.models.generators.fastgan import FastGANGenerator
from ganray.recipe.networks import (
    DISCRIMINATOR_RESOLUTIONS,
    GENERATOR_RESOLUTIONS,
    Discriminator,
    Generator,
)

# Each entry takes its own spec and the resolution in pixels.
GENERATORS: dict[str, Callable[[Any, int], nn.Module]] = {
    "dcgan": DCGANGenerator,
    "fastgan": FastGANGenerator,
}
DISCRIMINATORS: dict[str, Callable[[Any, int], nn.Module]] = {
    "dcgan": DCGANDiscriminator,
    "fastgan": FastGANDiscriminator,
}


def build_generator(spec: Generator, resolution: int) -> nn.Module:
    """A generator on the CPU with fresh weights, drawn from torch's RNG.

    It has `.latent_dim`, and `forward(z [N, latent_dim]) -> ImagePair`.
    Raises RecipeError where the architecture cannot make that resolution.
    """
    _refuse(spec.name, "generator", resolution, GENERATOR_RESOLUTIONS)
    return GENERATORS[spec.name](spec, resolution)


def build_discriminator(spec: Discriminator, resolution: int) -> nn.Module:
    """A discriminator on the CPU with fresh weights, drawn from torch's RNG.

    Its forward is `forward(images: ImagePair, *, quarter: int | None = None) -> DiscriminatorOutput`.
    Raises RecipeError where the architecture cannot judge that resolution.
    """
    _refuse(spec.name, "discriminator", resolution, DISCRIMINATOR_RESOLUTIONS)
    return DISCRIMINATORS[spec.name](spec, resolution)


def _refuse(name: str, role: str, resolution: int, limits: dict[str, tuple[int, int]]) -> None:
    low, high = limits[name]
    if not low <= resolution <= high or resolution.bit_count() != 1:
        raise RecipeError(
            f"{role} {name} works at powers of two from {low} to {high} px, not at {resolution} px; "
            f"change data.resolution or {role}.name"
        )
