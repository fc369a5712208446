"""Projected GAN's discriminator (Sauer et al. 2021, arXiv 2111.01007): heads on frozen features, 64 to 1024 px."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganray.models.feature_networks import LITE0_CHANNELS, Untracked, load_lite0
from ganray.models.layers import LEAK, conv
from ganray.models.options import doubled
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.recipe import discriminators as specs

SMALLEST_SIDE = 128
"""Images below it are enlarged to it. The means of the coarsest map tell 80 cats and dogs of 64 px apart in 78 % as
they are, 93 % at 128 px, and 95 % at 224 px, where the network was trained, at five times the time of 128 px.
Larger images stay as they are: made smaller, they would hide their fine detail from D."""
LITE0_SCALES = (8.3, 7.4, 6.6, 3.1)
"""Root mean squares of the four maps on photographs: they are divided by them, so that all scales weigh alike."""
GRID = 4  # side of each head's grid of logits (arXiv 2111.01007)
MOST_CHANNELS = 8  # channels of the heads are at most this times the width


class ProjectedDiscriminator(nn.Module):
    """`ImagePair -> four heads, logits [N, 1, 4, 4]`, from the finest features to the coarsest.

    Features of EfficientNet-Lite0 at 1/4 to 1/32 of the image's side are mixed at random and judged by one small
    network each. What is frozen is no parameter: neither the network, which is no part of the state_dict either,
    nor the mixing, which is. Features: the four mixed maps, then what each head looks at last, [N, C, 4, 4]; the
    latter alone are trained. No batch norm in the heads, unlike the authors': gradient penalties may be added.
    Raises WeightsError where Lite0 is not installed.
    """

    def __init__(self, spec: specs.ProjectedDiscriminator, resolution: int) -> None:
        super().__init__()
        self.lite0 = Untracked(load_lite0())
        self.mixing = RandomMixing(spec.mixing, spec.width)
        finest = max(resolution, SMALLEST_SIDE) // 4
        self.heads = nn.ModuleList(
            ProjectedHead(channels, spec.width, finest >> scale, scale, spectral=spec.spectral_norm)
            for scale, channels in enumerate(self.mixing.channels)
        )

    def forward(
        self, images: ImagePair, *, quarter: int | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge images. `quarter` and `labels` are for other discriminators; this one ignores them."""
        x = images.full
        if x.shape[-1] < SMALLEST_SIDE:  # 64 px
            x = twice_as_large(x)
        maps = [m / scale for m, scale in zip(self.lite0.network.maps(x), LITE0_SCALES)]
        mixed = self.mixing(maps)
        judged = [head(m) for head, m in zip(self.heads, mixed)]
        return DiscriminatorOutput(
            heads=tuple(logits for logits, _ in judged), features=(*mixed, *(last for _, last in judged))
        )

    def stages_from_image(self) -> list[nn.Module]:
        """The first layers of all heads, then the second ones, ...; what lies before them is frozen anyway."""
        layers = [list(head.get_submodule("layers").children()) for head in self.heads]
        return [nn.ModuleList(of[i] for of in layers if i < len(of)) for i in range(max(map(len, layers)))]


class ProjectedHead(nn.Module):
    """`[N, C, h, h] -> logits [N, 1, 4, 4]` and the map that they are made of: h is halved to 4.

    A map of 4 x 4 has one layer that keeps its size, so that every head can bend.
    """

    def __init__(self, channels_in: int, width: int, side: int, scale: int, *, spectral: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        halvings = (side // GRID).bit_length() - 1
        for i in range(max(1, halvings)):
            channels = width * min(MOST_CHANNELS, 2 ** (scale + i + 1))
            kernel, stride = (4, 2) if halvings else (3, 1)
            layer = conv(channels_in, channels, kernel, stride, 1, spectral=spectral, bias=True)
            self.layers.append(nn.Sequential(layer, nn.LeakyReLU(LEAK)))
            channels_in = channels
        self.logits = conv(channels_in, 1, 3, padding=1, spectral=spectral, bias=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            x = layer(x)
        return self.logits(x), x


class RandomMixing(nn.Module):
    """Random, frozen mixing of four maps, finest first, each half as large as the one before (CCM and CSM).

    Across channels: 1 x 1 convolutions to `width` channels, which double from scale to scale. Across scales: from
    the coarsest map up, a 3 x 3 convolution, bilinear up-sampling, and the sum with the next finer map; both
    halves of the sum weigh alike.
    """

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.channels = list(LITE0_CHANNELS) if kind == "none" else doubled(width, len(LITE0_CHANNELS))
        self.across_channels = nn.ModuleList()
        self.across_scales = nn.ModuleList()
        if kind != "none":
            self.across_channels.extend(RandomConv(a, b, 1) for a, b in zip(LITE0_CHANNELS, self.channels))
        if kind == "scales":
            self.across_scales.extend(RandomConv(b, a, 3) for a, b in zip(self.channels, self.channels[1:]))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        if self.across_channels:
            maps = [mix(m) for mix, m in zip(self.across_channels, maps)]
        if not self.across_scales:
            return maps
        mixed = [maps[-1]]
        for finer, mix in zip(maps[-2::-1], reversed(self.across_scales)):
            mixed.insert(0, (finer + twice_as_large(mix(mixed[0]))) / math.sqrt(2))
        return mixed


class RandomConv(nn.Module):
    """A convolution whose random weights never change: no parameter, but part of the state_dict.

    Weights are Kaiming's with a gain of one (arXiv 1502.01852, section 2.2), as no ReLU follows; no bias.
    """

    bits: Tensor

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__()
        weight = torch.empty(channels_out, channels_in, kernel, kernel)
        nn.init.kaiming_normal_(weight, nonlinearity="linear")
        # Held as integers: buffers of floating point are averaged over the workers, which costs time and rounds.
        self.register_buffer("bits", weight.view(torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.bits.view(torch.float32).to(x.dtype)
        return F.conv2d(x, weight, padding=self.bits.shape[-1] // 2)


def twice_as_large(x: Tensor) -> Tensor:
    """Bilinear up-sampling by two, `[N, C, h, w] -> [N, C, 2h, 2w]`, as F.interpolate does it.

    That one's backward pass adds up in an order of its own on a GPU; this one's is deterministic.
    """
    for dim in (2, 3):
        n = x.shape[dim]
        before = torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, n - 1)], dim)
        after = torch.cat([x.narrow(dim, 1, n - 1), x.narrow(dim, n - 1, 1)], dim)
        x = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], dim + 1).flatten(dim, dim + 1)
    return x
