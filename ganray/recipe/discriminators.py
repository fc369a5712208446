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
    """FastGAN's discriminator (arXiv 2101.04775): an encoder with two heads and three small decoders. Blocks
    `(convolved(x) + pooled(x)) / 2` halve the map down to 8 x 8; 5 x 5 logits of the image and 5 x 5 of a small copy; D
    also minimises the distances of what the decoders make of a real's maps to the real, its small copy and one quarter
    of it (eq. 2).

    Use it with FastGAN's generator on 60 to 1,000 images: rebuilding the reals keeps it from memorising them; not with
    gradient penalties, which its batch norm rules out.
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
    """DCGAN's discriminator (arXiv 1511.06434): strided convolutions down to one logit; 32 to 256 px. Convolutions of 4
    x 4 and stride 2 with leaky ReLU halve the map to 4 x 4, while the channels double; one more makes the logit.

    Use it as the baseline; not bare on few images, which it memorises: give it `spectral_norm`, `r1` or `diffaugment`.
    """

    name: Literal["dcgan"]
    layers: Halvings = None
    """Layers that halve the map, before one that looks at all of it; null: down to 4 x 4."""


class PatchDiscriminator(DiscriminatorOptions):
    """PatchGAN (arXiv 1611.07004, section 3.2.2): a grid of logits, each of which sees one patch; 32 to 1024 px.
    `layers` convolutions of stride 2, one of stride 1 and one to the logits, all 4 x 4; a patch has 9 * 2^layers - 2
    px, and the loss is the mean over the patches.

    Use it where texture matters more than layout; `layers` sets the patch: 16, 34, 70, 142 px for 1 to 4 layers; not
    with patches far smaller than the objects, whose parts nothing holds together then.
    """

    name: Literal["patch"]
    layers: int = Field(default=3, ge=1, le=5)
    """Layers that halve the map."""


class MultiScalePatchDiscriminator(DiscriminatorOptions):
    """Several PatchGANs, each on the image at half the size of the one before (arXiv 1711.11585, section 3.2); 64 to
    1024 px. Heads `D1(x), D2(pool(x)), D3(pool(pool(x)))`, each with weights of its own; the loss is the mean over the
    heads.

    Use it where both texture and layout go wrong; two scales cost a quarter more than one; not where one patch covers
    the image already (`patch` with 3 layers at 64 px).
    """

    name: Literal["multi_scale_patch"]
    layers: int = Field(default=3, ge=1, le=5)
    scales: int = Field(default=2, ge=1, le=4)
    regions: bool = False
    """One more PatchGAN that looks at a quarter of the image at its full size, another quarter for each image."""


class UNetDiscriminator(DiscriminatorOptions):
    """A U-Net with a logit per pixel (arXiv 2002.12655); 32 to 256 px. Convolutions down to 4 x 4 and one logit, as
    many layers up again, each joined to the map of its side, to the pixels' logits; the loss is the mean of the two
    heads' losses.

    Use it for fine detail, with an EMA of the generator and `cutmix`; not bare: it is strong, and known to be unstable
    on its own.
    """

    name: Literal["unet"]
    layers: Halvings = None
    """Layers that halve the map, and as many that double it; null: down to 4 x 4, or 3 in the shape of Real-ESRGAN."""
    shape: Literal["unet_gan", "real_esrgan"] = "unet_gan"
    """`unet_gan`: an encoder down to one global logit and a decoder to one logit per pixel, joined by
    concatenation; `real_esrgan`: three levels, joined by addition, pixel logits alone (arXiv 2107.10833)."""


class ResNetDiscriminator(DiscriminatorOptions):
    """The residual discriminator of SNGAN, SAGAN and BigGAN (arXiv 1802.05957, table 6); 32 to 256 px. Blocks
    `conv1(pool(x)) + pool(conv(act(conv(act(x)))))` halve the map to 4 x 4, one more keeps its size; then the
    activation, the sum over the 16 places and a linear layer.

    Use it with the `resnet` generator, and with `objective.conditioning: projection` on class folders; not bare: the
    papers give it `spectral_norm`.
    """

    name: Literal["resnet"]
    down: Literal["average", "strided"] = "average"
    """Average pooling behind each block, as in the papers, or convolutions of stride 2."""
    depth: int = Field(default=1, ge=1, le=3)
    """Residual blocks at each side; one more comes last, as in the papers."""


class ProjectedDiscriminator(Spec):
    """Projected GAN (arXiv 2111.01007): four small heads on frozen EfficientNet-Lite0 features; 64 to 1024 px. Heads
    `D1(M1(F(x))), ..., D4(M4(F(x)))`: maps F at 1/4 to 1/32 of the side, mixed by random frozen convolutions M, judged
    by strided ones that end in 4 x 4 logits; the loss is the mean over the heads.

    Use it for fast convergence; not where fd_lite0 protocols rank the trials: they would judge by the very network that
    it looks through, so that is refused.
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
    `D(x) = -mean((decode(encode(x)) - x)^2)`: strided convolutions to 4 x 4, a code of `code_dim` numbers, nearest
    up-sampling and 3 x 3 convolutions back.

    Use it with the `ebgan` loss, or with one that only compares logits; not with those that want reals above 0: its
    logit is minus the energy, larger for reals and never positive.
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
