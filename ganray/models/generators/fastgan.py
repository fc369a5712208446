"""FastGAN's generator (Liu et al. 2021, arXiv 2101.04775, section 3.1), 64 to 1024 px."""

import torch
from torch import Tensor, nn

from ganray.models.layers import SkipExcitation, batch_norm, conv, conv_transposed, noisy_up_block, up_block
from ganray.models.outputs import ImagePair
from ganray.recipe import networks

# Channels at each side of the feature map, as a multiple of the width.
CHANNELS: dict[int, float] = {
    4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 1 / 2, 512: 1 / 4, 1024: 1 / 8,
}  # fmt: skip
NOISY = (8, 32, 128, 512)  # every other block has two convolutions, each with noise
EXCITED = (64, 128, 256, 512)  # maps that the map of a sixteenth of their side excites: 4 -> 64, 8 -> 128, ...


def small_side(resolution: int) -> int:
    """Side of the second, small image: 128 px as in the paper, or half the resolution below 256 px."""
    return min(128, resolution // 2)


class FastGANGenerator(nn.Module):
    """`z [N, latent_dim] -> ImagePair([N, 3, R, R], [N, 3, S, S])`, S = 128 (R / 2 below 256 px).

    The output is in [-1, 1] by tanh; `output: linear` leaves it unbounded.
    """

    def __init__(self, spec: networks.FastGANGenerator, resolution: int) -> None:
        super().__init__()

        def channels(side: int) -> int:
            return max(1, int(CHANNELS[side] * spec.width))

        self.latent_dim = spec.latent_dim
        self.small_side = small_side(resolution)
        sides = [side for side in CHANNELS if 4 < side <= resolution]
        self.initial = nn.Sequential(
            conv_transposed(spec.latent_dim, 2 * channels(4), 4, spectral=True),
            batch_norm(2 * channels(4)),
            nn.GLU(dim=1),
        )
        self.blocks = nn.ModuleDict()
        self.excitations = nn.ModuleDict()
        for side in sides:
            block = noisy_up_block if side in NOISY else up_block
            self.blocks[str(side)] = block(channels(side // 2), channels(side), spectral=True)
            if spec.skip and side in EXCITED:
                self.excitations[str(side)] = SkipExcitation(channels(side // 16), channels(side), spectral=True)
        self.to_small = conv(channels(self.small_side), 3, 1, spectral=True)
        self.to_full = conv(channels(resolution), 3, 3, padding=1, spectral=True)
        self.bounded = spec.output == "tanh"

    def forward(self, z: Tensor) -> ImagePair:
        x: Tensor = self.initial(z[:, :, None, None])  # [N, 16 width, 4, 4]
        maps = {4: x}
        for name, block in self.blocks.items():
            side = int(name)
            x = block(x)
            if name in self.excitations:
                x = self.excitations[name](maps[side // 16], x)
            maps[side] = x
        full, small = self.to_full(x), self.to_small(maps[self.small_side])
        return ImagePair(torch.tanh(full), torch.tanh(small)) if self.bounded else ImagePair(full, small)
