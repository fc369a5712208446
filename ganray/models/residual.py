"""Residual blocks of SNGAN, SAGAN and BigGAN (arXiv 1802.05957, 1805.08318, 1809.11096) for both networks."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganray.models.layers import NoiseInjection
from ganray.models.options import Norm, make_activation, make_norm
from ganray.models.upsampling import WITHOUT_SHIFT, LastingDropout, upsampling
from ganray.recipe.discriminators import DiscriminatorOptions
from ganray.recipe.generators import ResNetGenerator

WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def xavier(layers: Iterable[nn.Module]) -> None:
    """Weights of convolutions and linear layers Xavier uniform (Glorot and Bengio 2010), biases zero."""
    for layer in layers:
        if isinstance(layer, WEIGHTED):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def orthogonal(layers: Iterable[nn.Module]) -> None:
    """Weights orthogonal (arXiv 1312.6120): as a matrix of output channels, rows or else columns are orthonormal."""
    for layer in layers:
        if isinstance(layer, (*WEIGHTED, nn.Embedding)):
            nn.init.orthogonal_(layer.weight)


class ConditionalNorm(nn.Module):
    """A norm whose scale and shift per channel are learnt, or come from a condition by a linear layer.

    `x [N, C, h, w]`, `condition [N, n_condition] -> [N, C, h, w]`. Conditional batch norm (arXiv 1707.00683)
    as BigGAN has it: the scale around one, the shift around zero (arXiv 1809.11096).
    """

    def __init__(self, kind: Norm, channels: int, n_condition: int) -> None:
        super().__init__()
        self.to_scale_and_shift: nn.Linear | None = None
        if not n_condition:
            self.norm: nn.Module = make_norm(kind, channels)
            return
        match kind:
            case "batch":
                self.norm = nn.BatchNorm2d(channels, affine=False)
            case "instance":
                self.norm = nn.InstanceNorm2d(channels, affine=False)
            case "pixel":
                self.norm = make_norm("pixel", channels)
            case _:
                raise ValueError(f"norm {kind} has no scale and shift to condition")
        self.to_scale_and_shift = nn.Linear(n_condition, 2 * channels)
        nn.init.normal_(self.to_scale_and_shift.weight, 0.0, 0.02)
        nn.init.zeros_(self.to_scale_and_shift.bias)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        y: Tensor = self.norm(x)
        if self.to_scale_and_shift is None:
            return y
        scale, shift = self.to_scale_and_shift(condition)[:, :, None, None].chunk(2, dim=1)
        return y * (1 + scale) + shift


class GeneratorBlock(nn.Module):
    """A residual block of the generator, up by 2: `[N, C_in, h, h]`, condition `[N, n_condition] -> [N, C, 2h, 2h]`.

    Norm, activation, up-sampling convolution, norm, activation, 3 x 3 convolution; beside them nearest up-sampling
    and a 1 x 1 convolution. Noise follows each 3 x 3 convolution, dropout each activation, where the spec has them.
    """

    def __init__(self, spec: ResNetGenerator, channels_in: int, channels: int, n_condition: int) -> None:
        super().__init__()
        bias = spec.norm in WITHOUT_SHIFT
        self.norm_in = ConditionalNorm(spec.norm, channels_in, n_condition)
        self.norm = ConditionalNorm(spec.norm, channels, n_condition)
        self.activation = nn.Sequential(
            make_activation(spec.activation), *([LastingDropout(spec.dropout)] if spec.dropout else [])
        )
        self.up = nn.Sequential(*upsampling(spec.up, channels_in, channels, bias=bias))
        self.same = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=bias))
        if spec.noise:
            self.up.append(NoiseInjection())
            self.same.append(NoiseInjection())
        self.shortcut = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(channels_in, channels, 1, bias=False)
        )
        xavier([*self.up, *self.same, *self.shortcut])

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        y = self.up(self.activation(self.norm_in(x, condition)))
        y = self.same(self.activation(self.norm(y, condition)))
        total: Tensor = self.shortcut(x) + y
        return total


def xavier_conv(
    channels_in: int, channels: int, kernel: int, stride: int = 1, padding: int = 0, *, spectral: bool, bias: bool
) -> nn.Module:
    """A convolution with Xavier weights, under spectral norm where asked."""
    layer = nn.Conv2d(channels_in, channels, kernel, stride, padding, bias=bias)
    xavier([layer])
    return spectral_norm(layer) if spectral else layer


def hidden(spec: DiscriminatorOptions, channels: int, *, norm: bool = True) -> list[nn.Module]:
    """What follows each hidden convolution of the discriminator: norm, activation, dropout, where it has them."""
    return [
        *([make_norm(spec.norm, channels)] if norm and spec.norm != "none" else []),
        make_activation(spec.activation),
        *([nn.Dropout(spec.dropout)] if spec.dropout else []),
    ]


class DiscriminatorBlock(nn.Module):
    """A residual block of the discriminator: `[N, C_in, h, h] -> [N, C, h, h]`, or h / 2 where it halves the map.

    Twice norm, activation and 3 x 3 convolution, the first of them without norm and activation in the block that
    sees the image. Beside them a 1 x 1 convolution, which is left out where shapes agree. To halve: average
    pooling behind both, or, with `down: strided`, convolutions of 4 x 4 and 2 x 2 with stride 2 in place of theirs.
    """

    def __init__(
        self, spec: DiscriminatorOptions, channels_in: int, channels: int, *, halve: bool, image: bool = False
    ) -> None:
        super().__init__()
        spectral, bias = spec.spectral_norm, spec.norm == "none"
        strided = halve and spec.down == "strided"
        kernel, shortcut_kernel, stride, padding = (4, 2, 2, 1) if strided else (3, 1, 1, 1)
        self.branch = nn.Sequential(
            *([] if image else hidden(spec, channels_in)),
            # The norm that follows swallows a bias; the network's first convolution has none.
            xavier_conv(channels_in, channels, 3, padding=1, spectral=spectral, bias=bias or image),
            *hidden(spec, channels, norm=not image),
            xavier_conv(channels, channels, kernel, stride, padding, spectral=spectral, bias=bias),
        )
        self.shortcut = nn.Sequential()
        if halve and not strided:
            self.branch.append(nn.AvgPool2d(2))
            self.shortcut.append(nn.AvgPool2d(2))
        if halve or channels_in != channels:
            self.shortcut.append(
                xavier_conv(channels_in, channels, shortcut_kernel, stride, spectral=spectral, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.shortcut(x) + self.branch(x)
        return total
