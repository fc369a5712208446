"""What the convolutional networks choose from: norms, activations, self-attention, statistics of the batch.

Convolutions start as in `layers.py`. Every module can be differentiated twice, as gradient penalties need.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganray.models.layers import LEAK, batch_norm, conv
from ganray.recipe.discriminators import DiscriminatorOptions

Norm = Literal["none", "batch", "instance", "layer", "group", "pixel"]
Activation = Literal["relu", "leaky_relu", "elu", "silu", "glu"]

GROUP_CHANNELS = 8  # fewest channels in a group of group norm
KERNEL_FEATURES = 5  # size of what a kernel of minibatch discrimination compares: C of arXiv 1606.03498, section 3.2
COMPARED_SIDE = 4  # of the averaged map by which minibatch discrimination compares the samples


class PixelNorm(nn.Module):
    """Each pixel's channels scaled to a mean square of one (arXiv 1710.10196, section 4.2): `[N, C, h, w]`."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """A norm of `[N, C, h, w]` by its name in the recipe; `none` is the identity.

    `layer` is over all of a sample (arXiv 1607.06450), `group` over groups of at least eight channels
    (arXiv 1803.08494), each with a scale and a shift per channel.
    """
    match kind:
        case "none":
            return nn.Identity()
        case "batch":
            return batch_norm(channels)
        case "instance":
            return nn.InstanceNorm2d(channels, affine=True)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "group":
            most = max(1, channels // GROUP_CHANNELS)
            return nn.GroupNorm(max(n for n in range(1, most + 1) if channels % n == 0), channels)
        case "pixel":
            return PixelNorm()


def make_activation(kind: Activation) -> nn.Module:
    """An activation by its name in the recipe; `glu` halves the channels."""
    match kind:
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(LEAK)
        case "elu":
            return nn.ELU()
        case "silu":
            return nn.SiLU()
        case "glu":
            return nn.GLU(dim=1)


class SelfAttention(nn.Module):
    """Self-attention over the places of a map (SAGAN, arXiv 1805.08318, eq. 1 to 3), added times a learnt gamma.

    `[N, C, h, w] -> [N, C, h, w]`. Gamma starts at zero: the block starts as the identity, and its
    convolutions get no gradient until gamma has moved. Two points are from the authors' code and not in the paper:
    keys and values are max-pooled by 2, and the values have C / 2 channels instead of C / 8.
    """

    def __init__(self, channels: int, *, spectral: bool) -> None:
        super().__init__()
        inner, outer = max(1, channels // 8), max(1, channels // 2)
        self.query = conv(channels, inner, 1, spectral=spectral)
        self.key = conv(channels, inner, 1, spectral=spectral)
        self.value = conv(channels, outer, 1, spectral=spectral)
        self.output = conv(outer, channels, 1, spectral=spectral)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        queries = self.query(x).flatten(2)  # [N, C / 8, h w]
        keys = F.max_pool2d(self.key(x), 2).flatten(2)  # [N, C / 8, h w / 4]
        values = F.max_pool2d(self.value(x), 2).flatten(2)  # [N, C / 2, h w / 4]
        # Not scaled_dot_product_attention: its fast kernels have no double backward.
        weights = torch.softmax(queries.mT @ keys, dim=-1)  # [N, h w, h w / 4]
        attended = values @ weights.to(values.dtype).mT  # [N, C / 2, h w]
        y: Tensor = self.output(attended.unflatten(2, x.shape[2:]))
        return x + self.gamma.to(y.dtype) * y


class MinibatchStd(nn.Module):
    """Appends the batch's standard deviation as one constant channel (arXiv 1710.10196, section 3).

    `[N, C, h, w] -> [N, C + 1, h, w]`. The standard deviation over the N samples of each feature at each place,
    averaged to one number. Under data parallelism it is that of each worker's share of the batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        variance = _wide(x).var(dim=0, correction=0)
        # The small constant keeps the root's derivatives finite where all samples agree.
        spread = (variance + 1e-8).sqrt().mean().to(x.dtype)
        return torch.cat([x, spread.expand(x.shape[0], 1, *x.shape[2:])], dim=1)


def _wide(x: Tensor) -> Tensor:
    """In 32 bits at least: statistics of a batch lose too much in 16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class MinibatchDiscrimination(nn.Module):
    """Appends how close each sample is to the others of its batch (arXiv 1606.03498, section 3.2).

    `[N, F] -> [N, F + kernels]`: for each kernel, the mean over the batch of exp(-L1 distance) of a learnt
    projection to five numbers. The paper has the sum; the mean does not grow with the batch, and a head can start
    on it. The projection starts from N(0, 1 / F), for distances as large as the features at any F. Under data
    parallelism, the batch is each worker's share.
    """

    def __init__(self, n_features: int, kernels: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.projection = nn.Linear(n_features, kernels * KERNEL_FEATURES, bias=False)
        nn.init.normal_(self.projection.weight, 0.0, n_features**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.closeness(features)], dim=1)

    def closeness(self, features: Tensor) -> Tensor:
        """What is appended, `[N, kernels]`, from 1 / N to 1."""
        projected = _wide(self.projection(features)).unflatten(1, (self.kernels, KERNEL_FEATURES))
        distance = (projected[:, None] - projected[None]).abs().sum(dim=3)  # [N, N, kernels]
        return torch.exp(-distance).mean(dim=1).to(features.dtype)


class BatchStatistics(nn.Module):
    """What a discriminator's head is told of the rest of the batch: `[N, C, h, w] -> [N, channels, h, w]`.

    `minibatch_std` and `minibatch_discrimination` of the recipe, as constant channels after the map's own; the
    latter compares the samples by the map averaged to 4 x 4, so that any head can have it. With both off, the
    identity.
    """

    def __init__(self, spec: DiscriminatorOptions, channels: int) -> None:
        super().__init__()
        kernels = spec.minibatch_discrimination
        self.channels = channels + spec.minibatch_std + kernels
        self.std = MinibatchStd() if spec.minibatch_std else None
        self.discrimination = MinibatchDiscrimination(COMPARED_SIDE**2 * channels, kernels) if kernels else None

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.std is None else self.std(x)
        if self.discrimination is None:
            return y
        closeness = self.discrimination.closeness(F.adaptive_avg_pool2d(x, COMPARED_SIDE).flatten(1))
        return torch.cat([y, closeness[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)


def doubled(width: int, n: int) -> list[int]:
    """Channels of `n` layers of a discriminator: the width, doubled from layer to layer, at most eight-fold."""
    return [width * min(8, 2**i) for i in range(n)]


def hidden_layer(
    spec: DiscriminatorOptions,
    channels_in: int,
    channels: int,
    kernel: int,
    stride: int,
    padding: int,
    *,
    norm: bool = True,
    pool: bool = False,
) -> nn.Sequential:
    """Convolution, norm, activation, average pooling by 2 where asked, dropout, as the recipe has them."""
    kind = spec.norm if norm else "none"
    bias = kind == "none"  # a norm has a shift of its own
    layers = [conv(channels_in, channels, kernel, stride, padding, spectral=spec.spectral_norm, bias=bias)]
    if kind != "none":
        layers.append(make_norm(kind, channels))
    layers.append(make_activation(spec.activation))
    if pool:
        layers.append(nn.AvgPool2d(2))
    if spec.dropout:
        layers.append(nn.Dropout(spec.dropout))
    return nn.Sequential(*layers)


def halvings(spec: DiscriminatorOptions, channels: Sequence[int], side: int, *, first_norm: bool) -> nn.ModuleList:
    """Layers that halve a map of that side again and again, from `channels[i]` to `channels[i + 1]`.

    Strided 4 x 4 convolutions, or 3 x 3 convolutions and average pooling: with either, an output sees 4 x 4 inputs.
    Self-attention follows where the layer's output has one of the recipe's sides. `first_norm` says whether the
    first layer has a norm: none where it is the network's first convolution.
    """
    average = spec.down == "average"
    kernel, stride = (3, 1) if average else (4, 2)
    layers = nn.ModuleList()
    for i, (before, after) in enumerate(pairwise(channels)):
        layer = hidden_layer(spec, before, after, kernel, stride, 1, norm=first_norm or i > 0, pool=average)
        if side >> (i + 1) in spec.attention:
            layer.append(SelfAttention(after, spectral=spec.spectral_norm))
        layers.append(layer)
    return layers
