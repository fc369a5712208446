"""DCGAN's generator (Radford et al. 2016, arXiv 1511.06434, Fig. 1), 32 to 256 px."""

import torch
from torch import Tensor, nn

from ganray.models.outputs import ImagePair
from ganray.models.upsampling import WITHOUT_SHIFT, after_convolution, conv_up, keep_variance, upsampling
from ganray.recipe import generators as specs

MOST_CHANNELS = 8  # channels are at most this times the width


class DCGANGenerator(nn.Module):
    """`z [N, latent_dim] -> ImagePair([N, 3, R, R], None)`, in [-1, 1] by tanh (`output: linear`: unbounded).

    Transposed convolutions with batch norm and ReLU from 4 x 4 upwards; none on the output layer. The spec's
    options replace or follow each of these. The step from the latent to 4 x 4 is a transposed convolution always.
    """

    def __init__(self, spec: specs.DCGANGenerator, resolution: int) -> None:
        super().__init__()
        self.latent_dim = spec.latent_dim
        # Sides 4, 8, ..., R / 2 of the hidden maps; the last of them has `width` channels.
        n_hidden = (resolution // 4).bit_length() - 1
        hidden = [spec.width * min(MOST_CHANNELS, 2**i) for i in reversed(range(n_hidden))]
        bias = spec.norm in WITHOUT_SHIFT
        stages: list[nn.Module] = [conv_up(spec.latent_dim, hidden[0], 4, bias=bias)]
        for i, (channels, channels_next) in enumerate(zip(hidden, [*hidden[1:], 3])):
            stages += after_convolution(spec, channels, 4 * 2**i)
            stages += upsampling(spec.up, channels, channels_next, bias=bias)
        if spec.norm == "none":
            keep_variance(stages)
        self.stages = nn.Sequential(*stages)
        self.bounded = spec.output == "tanh"

    def forward(self, z: Tensor, labels: Tensor | None = None) -> ImagePair:
        """Images of latents `[N, latent_dim]`. `labels` are for generators that have classes; here they are ignored."""
        x: Tensor = self.stages(z[:, :, None, None])
        return ImagePair(torch.tanh(x) if self.bounded else x, None)
