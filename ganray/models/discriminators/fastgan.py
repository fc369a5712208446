"""FastGAN's self-supervised discriminator (Liu et al. 2021, arXiv 2101.04775), 64 to 1024 px."""

from itertools import pairwise, zip_longest

from torch import Tensor, nn
from torch.nn import functional as F

from ganray.models.generators.fastgan import small_side
from ganray.models.layers import LEAK, DownBlock, SkipExcitation, batch_norm, conv, down_stage, up_block
from ganray.models.outputs import DiscriminatorOutput, ImagePair, Reconstructions
from ganray.recipe import discriminators as specs

# Channels at each side of the feature map, as a multiple of the width.
CHANNELS: dict[int, float] = {512: 1 / 8, 256: 1 / 4, 128: 1 / 2, 64: 1, 32: 2, 16: 4, 8: 8}
SMALL_CHANNELS: dict[int, float] = {64: 1 / 2, 32: 1, 16: 2, 8: 4}
EXCITED = (32, 16, 8)  # maps that the map of eight times their side excites: 256 -> 32, 128 -> 16, 64 -> 8
HEAD_CHANNELS = 16
# The decoders' channels do not follow the width: the authors' decoders are the same at every width.
DECODER_CHANNELS: dict[int, int] = {16: 128, 32: 64, 64: 64, 128: 32}


class FastGANDiscriminator(nn.Module):
    """`ImagePair -> two heads [N, 25]`: 5 x 5 patches of the whole image, and 5 x 5 of the small one.

    With `decode`, three decoders reconstruct the whole image from the last map (8 x 8), the small image from
    its own last map (8 x 8) and one quarter of the image from that quarter (8 x 8) of the 16 x 16 map. Each
    makes what it stands for at 128 px, or at its own size where that is less: R, S, and R / 2 for the quarter.
    Features: the last map of the small image, then the maps of 32, 16 and 8 px of the whole one.
    """

    def __init__(self, spec: specs.FastGANDiscriminator, resolution: int) -> None:
        super().__init__()

        def channels(side: int) -> int:
            return max(1, int(CHANNELS[side] * spec.width))

        spectral = spec.spectral_norm
        first = min(resolution, 256)  # side of the first map
        self.small_side = small_side(resolution)
        self.stem = _stem(resolution, channels(512), channels(first), spectral)
        self.down = nn.ModuleDict()
        self.excitations = nn.ModuleDict()
        for side in (side for side in CHANNELS if side < first):
            self.down[str(side)] = DownBlock(channels(2 * side), channels(side), spectral=spectral)
            if spec.skip and side in EXCITED and 8 * side <= first:
                self.excitations[str(side)] = SkipExcitation(channels(8 * side), channels(side), spectral=spectral)
        self.head_full = nn.Sequential(
            conv(channels(8), HEAD_CHANNELS * spec.width, 1, spectral=spectral),
            batch_norm(HEAD_CHANNELS * spec.width),
            nn.LeakyReLU(LEAK),
            conv(HEAD_CHANNELS * spec.width, 1, 4, spectral=spectral),
        )
        small = [int(m * spec.width) for side, m in SMALL_CHANNELS.items() if side < self.small_side]
        self.encoder_small = nn.Sequential(
            conv(3, small[0], 4, 2, 1, spectral=spectral),
            nn.LeakyReLU(LEAK),
            *(down_stage(a, b, spectral=spectral) for a, b in pairwise(small)),
        )
        self.head_small = conv(small[-1], 1, 4, spectral=spectral)
        self.decoders = nn.ModuleDict()
        if spec.decode is not None:
            self.decoders["full"] = _decoder(channels(8), min(128, resolution), spectral)
            self.decoders["quarter"] = _decoder(channels(16), min(128, resolution // 2), spectral)
            self.decoders["small"] = _decoder(small[-1], min(128, self.small_side), spectral)

    def forward(
        self, images: ImagePair, *, quarter: int | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge images; reconstruct too where `quarter` (0 to 3) is given and decoders exist. Ignores `labels`."""
        small_image = images.small
        if small_image is None:
            small_image = F.interpolate(images.full, size=self.small_side, mode="nearest")
        maps = self._encode(images.full)
        map_small: Tensor = self.encoder_small(small_image)  # [N, 4 width, 8, 8]
        return DiscriminatorOutput(
            heads=(self.head_full(maps[8]).flatten(1), self.head_small(map_small).flatten(1)),
            features=(map_small, maps[32], maps[16], maps[8]),
            reconstructions=None if quarter is None else self._decode(maps, map_small, quarter),
        )

    def stages_from_image(self) -> list[nn.Module]:
        """The stages of both branches side by side, in the order in which the images pass; the heads are none."""
        full: list[list[nn.Module]] = [[self.stem]]
        for name, block in self.down.items():
            full.append([block, self.excitations[name]] if name in self.excitations else [block])
        small: list[nn.Module] = [self.encoder_small[:2], *self.encoder_small[2:]]
        return [
            nn.ModuleList(stage if reduced is None else [*stage, reduced])
            for stage, reduced in zip_longest(full, small)
        ]

    def _encode(self, x: Tensor) -> dict[int, Tensor]:
        x = self.stem(x)
        maps = {x.shape[-1]: x}
        for name, block in self.down.items():
            side = int(name)
            x = block(x)
            if name in self.excitations:
                x = self.excitations[name](maps[8 * side], x)
            maps[side] = x
        return maps

    def _decode(self, maps: dict[int, Tensor], map_small: Tensor, quarter: int) -> Reconstructions | None:
        if not self.decoders:
            return None
        if quarter not in range(4):
            raise ValueError(f"quarter is 0, 1, 2 or 3, not {quarter}")
        row, column = divmod(quarter, 2)
        part = maps[16][:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        return Reconstructions(
            full=self.decoders["full"](maps[8]),
            small=self.decoders["small"](map_small),
            quarter=self.decoders["quarter"](part),
            quarter_index=quarter,
        )


def _stem(resolution: int, channels_512: int, channels: int, spectral: bool) -> nn.Sequential:
    """From the image to the first map: at the image's side up to 256 px, else at 256 px."""
    if resolution <= 256:
        return nn.Sequential(conv(3, channels, 3, padding=1, spectral=spectral), nn.LeakyReLU(LEAK))
    if resolution == 512:
        return nn.Sequential(conv(3, channels, 4, 2, 1, spectral=spectral), nn.LeakyReLU(LEAK))
    return nn.Sequential(
        conv(3, channels_512, 4, 2, 1, spectral=spectral),
        nn.LeakyReLU(LEAK),
        *down_stage(channels_512, channels, spectral=spectral),
    )


def _decoder(channels_in: int, side: int, spectral: bool) -> nn.Sequential:
    """`[N, C, 8, 8] -> [N, 3, side, side]` in [-1, 1]: up-sampling blocks, one convolution, tanh."""
    channels = [channels_in, *(c for s, c in DECODER_CHANNELS.items() if s <= side)]
    return nn.Sequential(
        *(up_block(a, b, spectral=spectral) for a, b in pairwise(channels)),
        conv(channels[-1], 3, 3, padding=1, spectral=spectral),
        nn.Tanh(),
    )
