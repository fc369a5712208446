"""What the rules know of the networks without building them; tests/recipe/test_facts.py compares with the networks."""

from ganray.recipe.discriminators import (
    DCGANDiscriminator,
    Discriminator,
    MultiScalePatchDiscriminator,
    PatchDiscriminator,
    ResNetDiscriminator,
    UNetDiscriminator,
)
from ganray.recipe.generators import Generator

Fault = tuple[tuple[str | int, ...], str]
"""The place in the recipe and the reason."""

REAL_ESRGAN_LEVELS = 3
"""Halvings of the U-Net of that shape, whatever the resolution."""


def has_batch_norm(spec: Generator | Discriminator) -> bool:
    """Whether a network that is trained normalises over the batch."""
    return spec.name == "fastgan" or getattr(spec, "norm", None) == "batch"


def mixes_samples(spec: Discriminator) -> bool:
    """Whether what a discriminator says of an image depends on the others of its batch."""
    return has_batch_norm(spec) or any(
        getattr(spec, name, False) for name in ("minibatch_std", "minibatch_discrimination")
    )


def map_sides(spec: Generator | Discriminator, resolution: int) -> tuple[int, ...]:
    """Sides of the feature maps that self-attention can stand on, in pixels, ascending."""
    lowest = 8
    if isinstance(spec, PatchDiscriminator | MultiScalePatchDiscriminator):
        lowest = min(smallest_maps(spec, resolution))
    elif isinstance(spec, DCGANDiscriminator | UNetDiscriminator):
        lowest = max(lowest, resolution >> n_halvings(spec, resolution))
    return tuple(side for side in (2**n for n in range(3, 10)) if lowest <= side <= resolution // 2)


def smallest_maps(spec: PatchDiscriminator | MultiScalePatchDiscriminator, resolution: int) -> list[int]:
    """Side of the map before the last two convolutions of each PatchGAN, in pixels."""
    if isinstance(spec, PatchDiscriminator):
        return [resolution >> spec.layers]
    sides = [resolution >> (i + spec.layers) for i in range(spec.scales)]
    return [*sides, resolution >> (1 + spec.layers)] if spec.regions else sides


def n_halvings(spec: DCGANDiscriminator | UNetDiscriminator, resolution: int) -> int:
    """How often the map is halved."""
    if spec.layers is not None:
        return spec.layers
    if isinstance(spec, UNetDiscriminator) and spec.shape == "real_esrgan":
        return REAL_ESRGAN_LEVELS
    return most_halvings(resolution)


def most_halvings(resolution: int) -> int:
    """Down to 4 px."""
    return resolution.bit_length() - 3


def n_stages(spec: Discriminator, resolution: int) -> int:
    """Stages between the image and the heads, of which FreezeD can keep some; not for the projected discriminator."""
    match spec:
        case PatchDiscriminator() | MultiScalePatchDiscriminator():
            return spec.layers + 1
        case UNetDiscriminator():
            return 2 * n_halvings(spec, resolution) + (spec.shape == "real_esrgan")
        case DCGANDiscriminator():
            return n_halvings(spec, resolution)
        case ResNetDiscriminator():
            return most_halvings(resolution) + 1
    # FastGAN's first map has 256 px at most and its last one 8.
    return most_halvings(min(resolution, 256) if spec.name == "fastgan" else resolution)


def n_latent_parts(resolution: int) -> int:
    """Parts of a hierarchical latent: one for the map of 4 px and one for each doubling."""
    return resolution.bit_length() - 2
