"""DCGAN's discriminator (Radford et al. 2016, arXiv 1511.06434), 32 to 256 px."""

from itertools import pairwise

from torch import Tensor, nn

from ganray.models.layers import LEAK, batch_norm, conv
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.recipe import networks

MOST_CHANNELS = 8  # channels are at most this times the width


class DCGANDiscriminator(nn.Module):
    """`ImagePair -> logits [N]` and the feature maps of every stage; the small image is not looked at.

    Strided convolutions down to 4 x 4, then one 4 x 4 convolution to the logit. No norm on the first layer
    (arXiv 1511.06434, section 3).
    """

    def __init__(self, spec: networks.DCGANDiscriminator, resolution: int) -> None:
        super().__init__()
        n_stages = (resolution // 4).bit_length() - 1
        widths = [3, *(spec.width * min(MOST_CHANNELS, 2**i) for i in range(n_stages))]
        self.stages = nn.ModuleList(
            nn.Sequential(*self._stage(spec, channels_in, channels, first=i == 0))
            for i, (channels_in, channels) in enumerate(pairwise(widths))
        )
        self.head = conv(widths[-1], 1, 4, spectral=spec.spectral_norm, bias=True)

    @staticmethod
    def _stage(spec: networks.DCGANDiscriminator, channels_in: int, channels: int, *, first: bool) -> list[nn.Module]:
        norm = "none" if first else spec.norm
        stage = [conv(channels_in, channels, 4, 2, 1, spectral=spec.spectral_norm, bias=norm == "none")]
        if norm == "batch":
            stage.append(batch_norm(channels))
        elif norm == "instance":
            stage.append(nn.InstanceNorm2d(channels, affine=True))
        return [*stage, nn.LeakyReLU(LEAK)]

    def forward(self, images: ImagePair, *, quarter: int | None = None) -> DiscriminatorOutput:
        """Logits [N]. `quarter` is for discriminators with decoders; this one has none and ignores it."""
        x: Tensor = images.full
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return DiscriminatorOutput(logits=self.head(x).flatten(), features=tuple(features))
