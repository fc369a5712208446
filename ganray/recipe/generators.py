"""Generators: one frozen model per architecture, told apart by `name`."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec

Width = Annotated[int, Field(ge=4, le=512)]
LatentDim = Annotated[int, Field(ge=2, le=1024)]
MapSide = Literal[8, 16, 32, 64, 128]
"""Side of a feature map in pixels."""

Latent = Literal["normal", "uniform", "sphere"]
"""N(0, 1); uniform in [-1, 1] per coordinate; uniform on the sphere of radius sqrt(latent_dim)."""


class FastGANGenerator(Spec):
    """FastGAN's generator (arXiv 2101.04775): 64 to 1024 px. A 4 x 4 map from z, then at each doubling nearest
    up-sampling, 3 x 3 convolution, batch norm and GLU, every other time two convolutions with noise; maps of 4 to 32 px
    gate those of 16 times their side, `y * sigmoid(conv(silu(conv(pool(x)))))` (eq. 1); tanh on the image and on a
    small one.

    Use it for 60 to 1,000 images at 256 px and above: it was made for them; not with `path_length`, which its batch
    norm rules out.
    """

    name: Literal["fastgan"]
    width: Width = 64
    """Channels at 128 px are this times 1; the authors' code has 64."""
    latent_dim: LatentDim = 256
    latent: Latent = "normal"
    skip: bool = True
    """Skip-layer excitation: the "+skip" row of the paper's ablation."""
    activation: Literal["glu", "relu", "leaky_relu"] = "glu"
    """`glu` halves the channels that its convolution makes; the others have a convolution of half the size."""
    noise: bool = True
    """One plane of Gaussian noise with a learnt weight after each convolution of every other block."""
    output: Literal["tanh", "linear"] = "tanh"
    """`linear` is for the authors' checkpoints at 256 and 512 px, which have no tanh; samples are clamped."""


class GeneratorOptions(Spec):
    """What the convolutional generators share."""

    width: Width = 64
    """Channels of the last hidden layer; they double towards the latent, at most eight-fold."""
    latent_dim: LatentDim = 128
    latent: Latent = "normal"
    """Hack 3 of the GAN hacks: draw from a sphere or a Gaussian, not from a cube."""
    output: Literal["tanh", "linear"] = "tanh"
    """Hack 1: images in [-1, 1], tanh as the last layer. `linear` leaves the range to the loss; samples are clamped."""
    norm: Literal["batch", "instance", "pixel", "none"] = "batch"
    """`pixel`: each pixel's channels scaled to unit mean square (arXiv 1710.10196, section 4.2)."""
    activation: Literal["relu", "leaky_relu", "elu", "silu"] = "relu"
    """Hack 5: no sparse gradients, that is leaky ReLU in both networks."""
    attention: tuple[MapSide, ...] = ()
    """Self-attention on the maps of these sides (SAGAN, arXiv 1805.08318, section 3)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Hack 17: dropout in every hidden layer, in training and when sampling."""
    noise: bool = False
    """Hack 13: Gaussian noise in every layer, one plane per image with a learnt weight."""


class DCGANGenerator(GeneratorOptions):
    """DCGAN's generator (arXiv 1511.06434): 32 to 256 px. A 4 x 4 map from z by a transposed convolution, then at each
    doubling norm, ReLU and a 4 x 4 transposed convolution of stride 2; no norm on the last, but tanh.

    Use it as the baseline on a CPU: small, fast, and everybody knows what it does; not for fine detail above 128 px,
    where `fastgan` and `resnet` are deeper.
    """

    name: Literal["dcgan"]
    up: Literal["transposed", "nearest", "pixel_shuffle"] = "transposed"
    """Transposed convolutions as in the paper; nearest + 3 x 3 convolution; or PixelShuffle (arXiv 1609.05158)."""


class ResNetGenerator(GeneratorOptions):
    """The residual generator of SNGAN, SAGAN and BigGAN (arXiv 1802.05957, 1805.08318, 1809.11096): 32 to 256 px. A 4 x
    4 map from z by a linear layer, at each doubling a block `conv1(up(x)) + conv(act(norm(conv(up(act(norm(x)))))))`,
    then norm, activation, 3 x 3 convolution and tanh.

    Use it with class folders (conditional batch norm), or where a deeper generator is affordable; not as the first try
    on a CPU, where `dcgan` is faster.
    """

    name: Literal["resnet"]
    up: Literal["nearest", "pixel_shuffle", "transposed"] = "nearest"
    hierarchical: bool = False
    """Each block gets a part of the latent, through the scale and shift of its norm (skip-z, arXiv 1809.11096)."""
    orthogonal_init: bool = False
    """Weights start orthogonal (arXiv 1312.6120; used by BigGAN); else Xavier uniform."""


Generator = Annotated[FastGANGenerator | DCGANGenerator | ResNetGenerator, Field(discriminator="name")]

GENERATOR_RESOLUTIONS: dict[str, tuple[int, int]] = {"fastgan": (64, 1024), "dcgan": (32, 256), "resnet": (32, 256)}
"""Smallest and largest resolution that each architecture makes, in pixels."""
