"""What the convolutional generators share: ways up by 2, and what follows a convolution."""

import math
from collections.abc import Iterable
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ganray.models.layers import NoiseInjection, conv
from ganray.models.options import SelfAttention, make_activation, make_norm
from ganray.recipe.generators import GeneratorOptions

Up = Literal["transposed", "nearest", "pixel_shuffle"]

WITHOUT_SHIFT = ("none", "pixel")
"""Norms after which a convolution's bias is not lost; the others bring a shift of their own."""


class LastingDropout(nn.Module):
    """Dropout that stays on in evaluation, as a source of noise (arXiv 1611.07004, section 3.1)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.probability, training=True)


def conv_up(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1, padding: int = 0, *, bias: bool
) -> nn.Module:
    """A transposed convolution with weights from N(0, 0.02) and a bias, if any, of zero."""
    layer = nn.ConvTranspose2d(channels_in, channels_out, kernel, stride, padding, bias=bias)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def upsampling(kind: Up, channels_in: int, channels_out: int, *, bias: bool) -> list[nn.Module]:
    """Layers `[N, C_in, h, h] -> [N, C, 2h, 2h]`, one of them a convolution, with weights from N(0, 0.02).

    `transposed`: 4 x 4 of stride 2 (arXiv 1511.06434); `nearest`: up-sampling, then 3 x 3, which makes no
    checkerboards (Odena et al., Distill 2016); `pixel_shuffle`: 3 x 3 to four times the channels, of which each
    four become the pixels of a 2 x 2 square (arXiv 1609.05158).
    """
    match kind:
        case "transposed":
            return [conv_up(channels_in, channels_out, 4, 2, 1, bias=bias)]
        case "nearest":
            layer = conv(channels_in, channels_out, 3, padding=1, spectral=False, bias=bias)
            return [nn.Upsample(scale_factor=2, mode="nearest"), layer]
        case "pixel_shuffle":
            return [conv(channels_in, 4 * channels_out, 3, padding=1, spectral=False, bias=bias), nn.PixelShuffle(2)]


def keep_variance(layers: Iterable[nn.Module]) -> None:
    """Weights of these convolutions, transposed or not, from N(0, 2 / n), n numbers going into one (arXiv 1502.01852).

    For networks without norm, whose maps would die out at N(0, 0.02) (section 2.2). n is that of a large map; into a
    place of the first map of 4 x 4 goes a sixteenth of it, one latent, so that all maps, and the first images, have
    about a quarter of the deviation that they would have: 0.3, well within tanh.
    """
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            places = layer.kernel_size[0] ** 2
            if isinstance(layer, nn.ConvTranspose2d):
                places //= layer.stride[0] ** 2
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / (places * layer.in_channels)))


def after_convolution(spec: GeneratorOptions, channels: int, side: int) -> list[nn.Module]:
    """Noise, norm, activation, dropout and self-attention: those that the spec has on a hidden map of this side."""
    return [
        *([NoiseInjection()] if spec.noise else []),
        *([make_norm(spec.norm, channels)] if spec.norm != "none" else []),
        make_activation(spec.activation),
        *([LastingDropout(spec.dropout)] if spec.dropout else []),
        *([SelfAttention(channels, spectral=False)] if side in spec.attention else []),
    ]
