"""FastGAN's generator (Liu et al. 2021, arXiv 2101.04775), 64 to 1024 px."""

from functools import partial

import torch
from torch import Tensor, nn

from ganray.models.layers import SkipExcitation, batch_norm, conv, conv_transposed, noisy_up_block, up_block
from ganray.models.options import make_activation
from ganray.models.outputs import ImagePair
from ganray.recipe import generators as specs

# Channels at each side of the feature map, as a multiple of the width.
CHANNELS: dict[int, float] = {
    4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 1 / 2, 512: 1 / 4, 1024: 1 / 8,
}  # fmt: skip
NOISY = (8, 32, 128, 512)  # every other block has two convolutions, each with noise
EXCITED = (64, 128, 256, 512)  # maps that the map of a sixteenth of their side excites: 4 -> 64, 8 -> 128, ...


def small_side(resolution: int) -> int:
    """Side of the second, small image: 128 px as in the authors' code, or half the resolution below 256 px."""
    return min(128, resolution // 2)


class FastGANGenerator(nn.Module):
    """`z [N, latent_dim] -> ImagePair([N, 3, R, R], [N, 3, S, S])`, S = 128 (R / 2 below 256 px).

    The output is in [-1, 1] by tanh; `output: linear` leaves it unbounded.
    """

    def __init__(self, spec: specs.FastGANGenerator, resolution: int) -> None:
        super().__init__()

        def channels(side: int) -> int:
            return max(1, int(CHANNELS[side] * spec.width))

        self.latent_dim = spec.latent_dim
        self.small_side = small_side(resolution)
        sides = [side for side in CHANNELS if 4 < side <= resolution]
        # GLU halves the channels that a convolution makes; another activation has a convolution of half the size.
        activation, widen = (None, 2) if spec.activation == "glu" else (make_activation(spec.activation), 1)
        self.initial = nn.Sequential(
            conv_transposed(spec.latent_dim, widen * channels(4), 4, spectral=True),
            batch_norm(widen * channels(4)),
            activation or nn.GLU(dim=1),
        )
        self.blocks = nn.ModuleDict()
        self.excitations = nn.ModuleDict()
        for side in sides:
            block = partial(noisy_up_block, noise=spec.noise) if side in NOISY else up_block
            self.blocks[str(side)] = block(channels(side // 2), channels(side), spectral=True, activation=activation)
            if spec.skip and side in EXCITED:
                self.excitations[str(side)] = SkipExcitation(channels(side // 16), channels(side), spectral=True)
        self.to_small = conv(channels(self.small_side), 3, 1, spectral=True)
        self.to_full = conv(channels(resolution), 3, 3, padding=1, spectral=True)
        self.bounded = spec.output == "tanh"

    def forward(self, z: Tensor, labels: Tensor | None = None) -> ImagePair:
        """Images of latents `[N, latent_dim]`. `labels` are for generators that have classes; here they are ignored."""
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
