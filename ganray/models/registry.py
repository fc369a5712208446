"""The architectures by name, and how a recipe's specs become networks."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ganray.errors import RecipeError
from ganray.models.conditional import LabelledDiscriminator, LabelledGenerator
from ganray.models.discriminators.autoencoder import AutoEncoderDiscriminator
from ganray.models.discriminators.dcgan import DCGANDiscriminator
from ganray.models.discriminators.fastgan import FastGANDiscriminator
from ganray.models.discriminators.multi_scale_patch import MultiScalePatchDiscriminator
from ganray.models.discriminators.patch import PatchDiscriminator
from ganray.models.discriminators.projected import ProjectedDiscriminator
from ganray.models.discriminators.resnet import ResNetDiscriminator
from ganray.models.discriminators.unet import UNetDiscriminator
from ganray.models.generators.dcgan import DCGANGenerator
from ganray.models.generators.fastgan import FastGANGenerator
from ganray.models.generators.resnet import ResNetGenerator
from ganray.recipe.discriminators import DISCRIMINATOR_RESOLUTIONS, Discriminator
from ganray.recipe.generators import GENERATOR_RESOLUTIONS, Generator
from ganray.recipe.objective import Conditioning

# Each entry takes its own spec and the resolution in pixels.
GENERATORS: dict[str, Callable[..., nn.Module]] = {
    "dcgan": DCGANGenerator,
    "fastgan": FastGANGenerator,
    "resnet": ResNetGenerator,
}
DISCRIMINATORS: dict[str, Callable[[Any, int], nn.Module]] = {
    "autoencoder": AutoEncoderDiscriminator,
    "dcgan": DCGANDiscriminator,
    "fastgan": FastGANDiscriminator,
    "multi_scale_patch": MultiScalePatchDiscriminator,
    "patch": PatchDiscriminator,
    "projected": ProjectedDiscriminator,
    "resnet": ResNetDiscriminator,
    "unet": UNetDiscriminator,
}


def build_generator(spec: Generator, resolution: int, n_classes: int = 0) -> nn.Module:
    """A generator on the CPU with fresh weights, drawn from torch's RNG.

    It has `.latent_dim`, and `forward(z [N, latent_dim], labels [N] | None) -> ImagePair`; labels are needed where
    `n_classes` is above 0. Raises RecipeError where the architecture cannot make that resolution.
    """
    _refuse(spec.name, "generator", resolution, GENERATOR_RESOLUTIONS)
    if not n_classes:
        return GENERATORS[spec.name](spec, resolution)
    # The ResNet's norms know labels themselves.
    own = {"n_classes": n_classes} if spec.name == "resnet" else {}
    return LabelledGenerator(GENERATORS[spec.name](spec, resolution, **own), n_classes)


def build_discriminator(
    spec: Discriminator, resolution: int, n_classes: int = 0, conditioning: Conditioning | None = None
) -> nn.Module:
    """A discriminator on the CPU with fresh weights, drawn from torch's RNG.

    Its forward is `forward(images: ImagePair, *, quarter: int | None = None, labels: Tensor [N] | None = None) ->
    DiscriminatorOutput`. Raises RecipeError where the architecture cannot judge that resolution.
    """
    _refuse(spec.name, "discriminator", resolution, DISCRIMINATOR_RESOLUTIONS)
    network = DISCRIMINATORS[spec.name](spec, resolution)
    if not (n_classes and conditioning):
        return network
    return LabelledDiscriminator(network, n_classes, conditioning, resolution)


def _refuse(name: str, role: str, resolution: int, limits: dict[str, tuple[int, int]]) -> None:
    low, high = limits[name]
    if not low <= resolution <= high or resolution.bit_count() != 1:
        raise RecipeError(
            f"{role} {name} works at powers of two from {low} to {high} px, not at {resolution} px; "
            f"change data.resolution or {role}.name"
        )
