"""Generators and discriminators: one frozen model per architecture, told apart by `name`."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec

Width = Annotated[int, Field(ge=4, le=512)]
LatentDim = Annotated[int, Field(ge=2, le=1024)]


class FastGANGenerator(Spec):
    """FastGAN's generator (arXiv 2101.04775, section 3.1): 64 to 1024 px."""

    name: Literal["fastgan"]
    width: Width = 64
    """Channels at 128 px are this times 1; the paper uses 64."""
    latent_dim: LatentDim = 256
    skip: bool = True
    """Skip-layer excitation: the "+skip" row of the paper's ablation."""
    output: Literal["tanh", "linear"] = "tanh"
    """`linear` is for the authors' checkpoints at 256 and 512 px, which have no tanh; samples are clamped."""


class DCGANGenerator(Spec):
    """DCGAN's generator (arXiv 1511.06434): 32 to 256 px."""

    name: Literal["dcgan"]
    width: Width = 64
    """Channels of the last hidden layer; they double towards the latent, at most eight-fold."""
    latent_dim: LatentDim = 128


Generator = Annotated[FastGANGenerator | DCGANGenerator, Field(discriminator="name")]


class Decode(Spec):
    """Self-supervision of the discriminator by auto-encoding (arXiv 2101.04775, section 3.2, eq. 3)."""

    distance: Literal["l1", "perceptual", "lpips"] = "lpips"
    """How a reconstruction is compared: `lpips` as in the paper, `perceptual` on the embedded extractor."""
    weight: float = Field(default=1.0, gt=0)


class FastGANDiscriminator(Spec):
    """FastGAN's discriminator: an encoder with two heads and, with `decode`, three small decoders."""

    name: Literal["fastgan"]
    width: Width = 64
    spectral_norm: bool = True
    decode: Decode | None = Decode()
    """Reconstruction of real images: the "+decode" row of the paper's ablation; null switches it off."""


class DCGANDiscriminator(Spec):
    """DCGAN's discriminator: strided convolutions down to one logit."""

    name: Literal["dcgan"]
    width: Width = 64
    norm: Literal["none", "batch", "instance"] = "none"
    spectral_norm: bool = False


Discriminator = Annotated[FastGANDiscriminator | DCGANDiscriminator, Field(discriminator="name")]

GENERATOR_RESOLUTIONS: dict[str, tuple[int, int]] = {"fastgan": (64, 1024), "dcgan": (32, 256)}
DISCRIMINATOR_RESOLUTIONS: dict[str, tuple[int, int]] = {"fastgan": (64, 1024), "dcgan": (32, 256)}
"""Smallest and largest resolution that each architecture makes or judges, in pixels."""
