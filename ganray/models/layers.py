"""Blocks that several networks share.

Weights start as in DCGAN: convolutions from N(0, 0.02) (arXiv 1511.06434, section 4), batch-norm scales from
N(1, 0.02) (its authors' code), biases zero. Spectral norm (arXiv 1802.05957) wraps a convolution after that, so
that its first power iterations see the weights that training starts from.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

LEAK = 0.2  # slope of every leaky ReLU, arXiv 1511.06434, section 4


def conv(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    *,
    spectral: bool,
    bias: bool = False,
) -> nn.Module:
    """A convolution with weights from N(0, 0.02), under spectral norm where asked."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=bias)
    return _initialised(layer, spectral)


def conv_transposed(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1, padding: int = 0, *, spectral: bool
) -> nn.Module:
    """A transposed convolution without bias, with weights from N(0, 0.02), under spectral norm where asked."""
    layer = nn.ConvTranspose2d(channels_in, channels_out, kernel, stride, padding, bias=False)
    return _initialised(layer, spectral)


def _initialised(layer: nn.Conv2d | nn.ConvTranspose2d, spectral: bool) -> nn.Module:
    nn.init.normal_(layer.weight, 0.0, 0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return spectral_norm(layer) if spectral else layer


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm whose scale starts from N(1, 0.02)."""
    layer = nn.BatchNorm2d(channels)
    nn.init.normal_(layer.weight, 1.0, 0.02)
    return layer


class NoiseInjection(nn.Module):
    """Adds one plane of Gaussian noise per image, times one learnt weight that starts at zero.

    `[N, C, H, W] -> [N, C, H, W]`. The noise is drawn from torch's RNG in evaluation too; a weight of zero
    removes it (arXiv 1812.04948, section 2, with one weight for all channels).
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.randn(x.shape[0], 1, *x.shape[2:], dtype=x.dtype, device=x.device)
        return x + self.weight.to(x.dtype) * noise


class SkipExcitation(nn.Module):
    """Skip-layer excitation (arXiv 2101.04775, eq. 1): a distant map gates the channels of another.

    `source [N, C_in, h, h]` and `x [N, C, H, W] -> [N, C, H, W]`; h is a multiple of 4.
    """

    def __init__(self, channels_in: int, channels: int, *, spectral: bool) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            conv(channels_in, channels, 4, spectral=spectral),
            nn.SiLU(),
            conv(channels, channels, 1, spectral=spectral),
            nn.Sigmoid(),
        )

    def forward(self, source: Tensor, x: Tensor) -> Tensor:
        # Sides are powers of two: plain pooling to 4 x 4, whose backward is deterministic on a GPU too.
        gate: Tensor = self.gate(F.avg_pool2d(source, source.shape[-1] // 4))  # [N, C, 1, 1]
        return x * gate


def up_block(
    channels_in: int, channels_out: int, *, spectral: bool, activation: nn.Module | None = None
) -> nn.Sequential:
    """Nearest up-sampling by 2, 3 x 3 convolution, batch norm, GLU: `[N, C_in, h, h] -> [N, C, 2h, 2h]`.

    With an `activation` that keeps the channels instead of GLU, the convolution makes half as many.
    """
    widen = 2 if activation is None else 1
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        conv(channels_in, widen * channels_out, 3, padding=1, spectral=spectral),
        batch_norm(widen * channels_out),
        activation or nn.GLU(dim=1),
    )


def noisy_up_block(
    channels_in: int, channels_out: int, *, spectral: bool, activation: nn.Module | None = None, noise: bool = True
) -> nn.Sequential:
    """Like `up_block` with two convolutions, each followed by noise where wanted, as in FastGAN's code."""
    widen = 2 if activation is None else 1
    stages: list[nn.Module] = [nn.Upsample(scale_factor=2, mode="nearest")]
    for channels in (channels_in, channels_out):
        stages += [
            conv(channels, widen * channels_out, 3, padding=1, spectral=spectral),
            *([NoiseInjection()] if noise else []),
            batch_norm(widen * channels_out),
            activation or nn.GLU(dim=1),
        ]
    return nn.Sequential(*stages)


def down_stage(channels_in: int, channels_out: int, *, spectral: bool) -> nn.Sequential:
    """4 x 4 convolution of stride 2, batch norm, leaky ReLU: `[N, C_in, h, h] -> [N, C, h/2, h/2]`."""
    return nn.Sequential(
        conv(channels_in, channels_out, 4, 2, 1, spectral=spectral),
        batch_norm(channels_out),
        nn.LeakyReLU(LEAK),
    )


class DownBlock(nn.Module):
    """Two ways down by 2, averaged: convolutions, and pooling (FastGAN, arXiv 2101.04775).

    `[N, C_in, h, h] -> [N, C, h/2, h/2]`.
    """

    def __init__(self, channels_in: int, channels_out: int, *, spectral: bool) -> None:
        super().__init__()
        self.convolved = nn.Sequential(
            *down_stage(channels_in, channels_out, spectral=spectral),
            conv(channels_out, channels_out, 3, padding=1, spectral=spectral),
            batch_norm(channels_out),
            nn.LeakyReLU(LEAK),
        )
        self.pooled = nn.Sequential(
            nn.AvgPool2d(2),
            conv(channels_in, channels_out, 1, spectral=spectral),
            batch_norm(channels_out),
            nn.LeakyReLU(LEAK),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = (self.convolved(x) + self.pooled(x)) / 2
        return y
