"""What the rules know of the networks without building them; tests/recipe/test_facts.py compares with the networks."""

from ganray.recipe.discriminators import (
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


def map_sides(spec: Generator | Discriminator, resolution: int) -> tuple[int, ...]:
    """Sides of the feature maps that self-attention can stand on, in pixels, ascending."""
    lowest = 8
    if isinstance(spec, PatchDiscriminator | MultiScalePatchDiscriminator):
        lowest = min(smallest_maps(spec, resolution))
    elif getattr(spec, "shape", None) == "real_esrgan":
        lowest = resolution >> REAL_ESRGAN_LEVELS
    return tuple(side for side in (2**n for n in range(3, 10)) if lowest <= side <= resolution // 2)


def smallest_maps(spec: PatchDiscriminator | MultiScalePatchDiscriminator, resolution: int) -> list[int]:
    """Side of the map before the last two convolutions of each PatchGAN, in pixels."""
    if isinstance(spec, PatchDiscriminator):
        return [resolution >> spec.layers]
    sides = [resolution >> (i + spec.layers) for i in range(spec.scales)]
    return [*sides, resolution >> (1 + spec.layers)] if spec.regions else sides


def n_stages(spec: Discriminator, resolution: int) -> int:
    """Stages between the image and the heads, of which FreezeD can keep some; not for the projected discriminator."""
    halvings = resolution.bit_length() - 3  # down to 4 px
    match spec:
        case PatchDiscriminator() | MultiScalePatchDiscriminator():
            return spec.layers + 1
        case UNetDiscriminator(shape="real_esrgan"):
            return 1 + 2 * REAL_ESRGAN_LEVELS
        case UNetDiscriminator():
            return 2 * halvings
        case ResNetDiscriminator():
            return halvings + 1
    # FastGAN's first map has 256 px at most and its last one 8.
    return min(resolution, 256).bit_length() - 3 if spec.name == "fastgan" else halvings


def n_latent_parts(resolution: int) -> int:
    """Parts of a hierarchical latent: one for the map of 4 px and one for each doubling."""
    return resolution.bit_length() - 2
