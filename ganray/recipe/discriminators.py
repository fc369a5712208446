"""Discriminators: one frozen model per architecture, told apart by `name`."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec
from ganray.recipe.generators import MapSide, Width

Halvings = Annotated[int | None, Field(ge=1, le=6)]


class Decode(Spec):
    """Self-supervision of the discriminator by auto-encoding (arXiv 2101.04775, eq. 2)."""

    distance: Literal["l1", "perceptual", "lpips"] = "lpips"
    """How a reconstruction is compared: `lpips` as in the authors' code, `perceptual` on the embedded extractor."""
    weight: float = Field(default=1.0, gt=0)


class FastGANDiscriminator(Spec):
    """FastGAN's discriminator (arXiv 2101.04775): an encoder with two heads and three small decoders.

    Use it with FastGAN's generator on 60 to 1,000 images: rebuilding the reals keeps it from memorising them.
    """

    name: Literal["fastgan"]
    width: Width = 64
    spectral_norm: bool = True
    skip: bool = True
    """Skip-layer excitation in the encoder, which the authors' code has and the paper does not mention."""
    decode: Decode | None = Decode()
    """Reconstruction of real images: the "+decode" row of the paper's ablation; null switches it off."""


class DiscriminatorOptions(Spec):
    """What the convolutional discriminators share."""

    width: Width = 64
    """Channels of the first layer; they double at each halving of the map, at most eight-fold."""
    norm: Literal["none", "batch", "instance", "layer", "group"] = "none"
    """After every convolution but the first."""
    spectral_norm: bool = False
    """Divides each weight by its largest singular value (arXiv 1802.05957, eq. 8)."""
    activation: Literal["leaky_relu", "relu", "elu", "silu"] = "leaky_relu"
    """Hack 5: leaky ReLU, so that no gradient is sparse."""
    down: Literal["strided", "average"] = "strided"
    """Convolutions of stride 2, or average pooling after convolutions of stride 1."""
    attention: tuple[MapSide, ...] = ()
    """Self-attention on the maps of these sides (SAGAN, arXiv 1805.08318, section 3)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """After each hidden layer."""
    minibatch_std: bool = False
    """The batch's standard deviation as one more channel before the head (arXiv 1710.10196, section 3)."""
    minibatch_discrimination: int = Field(default=0, ge=0, le=256)
    """Kernels of minibatch discrimination before the head (arXiv 1606.03498, section 3.2); 0 is off."""


class DCGANDiscriminator(DiscriminatorOptions):
    """DCGAN's discriminator (arXiv 1511.06434): strided convolutions down to one logit; 32 to 256 px.

    Use it as the baseline.
    """

    name: Literal["dcgan"]
    layers: Halvings = None
    """Layers that halve the map, before one that looks at all of it; null: down to 4 x 4."""


class PatchDiscriminator(DiscriminatorOptions):
    """PatchGAN (arXiv 1611.07004, section 3.2.2): a grid of logits, each of which sees one patch; 32 to 1024 px.

    Use it where texture matters more than layout; `layers` sets the patch: 16, 34, 70, 142 px for 1 to 4 layers.
    """

    name: Literal["patch"]
    layers: int = Field(default=3, ge=1, le=5)
    """Layers that halve the map."""


class MultiScalePatchDiscriminator(DiscriminatorOptions):
    """Several PatchGANs, each on the image at half the size of the one before (arXiv 1711.11585, section 3.2).

    64 to 1024 px; use it where both texture and layout go wrong; two scales cost a quarter more than one.
    """

    name: Literal["multi_scale_patch"]
    layers: int = Field(default=3, ge=1, le=5)
    scales: int = Field(default=2, ge=1, le=4)
    regions: bool = False
    """One more PatchGAN that looks at a quarter of the image at its full size, another quarter for each image."""


class UNetDiscriminator(DiscriminatorOptions):
    """A U-Net with a logit per pixel (arXiv 2002.12655); 32 to 256 px.

    Use it for fine detail, with an EMA of the generator: strong, and known to be unstable on its own.
    """

    name: Literal["unet"]
    layers: Halvings = None
    """Layers that halve the map, and as many that double it; null: down to 4 x 4, or 3 in the shape of Real-ESRGAN."""
    shape: Literal["unet_gan", "real_esrgan"] = "unet_gan"
    """`unet_gan`: an encoder down to one global logit and a decoder to one logit per pixel, joined by
    concatenation; `real_esrgan`: three levels, joined by addition, pixel logits alone (arXiv 2107.10833)."""


class ResNetDiscriminator(DiscriminatorOptions):
    """The residual discriminator of SNGAN, SAGAN and BigGAN (arXiv 1802.05957, table 6); 32 to 256 px.

    Use it with the `resnet` generator, and with `objective.conditioning: projection` on class folders.
    """

    name: Literal["resnet"]
    down: Literal["average", "strided"] = "average"
    """Average pooling behind each block, as in the papers, or convolutions of stride 2."""
    depth: int = Field(default=1, ge=1, le=3)
    """Residual blocks at each side; one more comes last, as in the papers."""


class ProjectedDiscriminator(Spec):
    """Projected GAN (arXiv 2111.01007): four small heads on frozen EfficientNet-Lite0 features; 64 to 1024 px.

    Use it for fast convergence. Its numbers under fd_lite0 protocols would be judged by the very network that it
    looks through, so they are refused.
    """

    name: Literal["projected"]
    width: Width = 64
    """Channels of the mixed features; they double from scale to scale."""
    mixing: Literal["none", "channels", "scales"] = "scales"
    """Random, frozen mixing of the features: none; across channels (CCM); across channels and scales (CSM)."""
    spectral_norm: bool = True
    """Of the heads."""


class AutoEncoderDiscriminator(Spec):
    """EBGAN's discriminator (arXiv 1609.03126): an auto-encoder whose reconstruction error is the energy; 32 to 256 px.

    Use it with the `ebgan` loss. Its logit is minus the energy, so that positive still means real.
    """

    name: Literal["autoencoder"]
    width: Width = 64
    spectral_norm: bool = False
    code_dim: int = Field(default=64, ge=4, le=1024)
    """Size of the code between encoder and decoder."""


Discriminator = Annotated[
    FastGANDiscriminator
    | DCGANDiscriminator
    | PatchDiscriminator
    | MultiScalePatchDiscriminator
    | UNetDiscriminator
    | ResNetDiscriminator
    | ProjectedDiscriminator
    | AutoEncoderDiscriminator,
    Field(discriminator="name"),
]

DISCRIMINATOR_RESOLUTIONS: dict[str, tuple[int, int]] = {
    "fastgan": (64, 1024),
    "dcgan": (32, 256),
    "patch": (32, 1024),
    "multi_scale_patch": (64, 1024),
    "unet": (32, 256),
    "resnet": (32, 256),
    "projected": (64, 1024),
    "autoencoder": (32, 256),
}
"""Smallest and largest resolution that each architecture judges, in pixels."""
