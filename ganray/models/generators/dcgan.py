"""DCGAN's generator (Radford et al. 2016, arXiv 1511.06434, Fig. 1), 32 to 256 px."""

import torch
from torch import Tensor, nn

from ganray.models.layers import batch_norm, conv_transposed
from ganray.models.outputs import ImagePair
from ganray.recipe import networks

MOST_CHANNELS = 8  # channels are at most this times the width


class DCGANGenerator(nn.Module):
    """`z [N, latent_dim] -> ImagePair([N, 3, R, R], None)`, in [-1, 1] by tanh.

    Transposed convolutions with batch norm and ReLU from 4 x 4 upwards; none on the output layer.
    """

    def __init__(self, spec: networks.DCGANGenerator, resolution: int) -> None:
        super().__init__()
        self.latent_dim = spec.latent_dim
        # Sides 4, 8, ..., R / 2 of the hidden maps; the last of them has `width` channels.
        n_hidden = (resolution // 4).bit_length() - 1
        hidden = [spec.width * min(MOST_CHANNELS, 2**i) for i in reversed(range(n_hidden))]
        stages: list[nn.Module] = [conv_transposed(spec.latent_dim, hidden[0], 4, spectral=False)]
        for channels, channels_next in zip(hidden, [*hidden[1:], 3]):
            stages += [
                batch_norm(channels),
                nn.ReLU(),
                conv_transposed(channels, channels_next, 4, 2, 1, spectral=False),
            ]
        self.stages = nn.Sequential(*stages)

    def forward(self, z: Tensor) -> ImagePair:
        return ImagePair(torch.tanh(self.stages(z[:, :, None, None])), None)
