"""DCGAN's discriminator (Radford et al. 2016, arXiv 1511.06434), 32 to 256 px."""

from torch import Tensor, nn

from ganray.models.layers import conv
from ganray.models.options import BatchStatistics, doubled, halvings
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.recipe import discriminators as specs


class DCGANDiscriminator(nn.Module):
    """`ImagePair -> one head, logits [N]`, and the feature maps of every stage; the small image is not looked at.

    Stages that halve the map, down to 4 x 4 unless the spec's `layers` says otherwise, then one convolution over all
    of the last map to the logit. No norm on the first layer (arXiv 1511.06434, section 3).
    """

    def __init__(self, spec: specs.DCGANDiscriminator, resolution: int) -> None:
        super().__init__()
        n_halvings = spec.layers or (resolution // 4).bit_length() - 1
        channels = doubled(spec.width, n_halvings)
        self.stages = halvings(spec, [3, *channels], resolution, first_norm=False)
        self.statistics = BatchStatistics(spec, channels[-1])
        self.head = conv(self.statistics.channels, 1, resolution >> n_halvings, spectral=spec.spectral_norm, bias=True)

    def forward(
        self, images: ImagePair, *, quarter: int | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge images. `quarter` and `labels` are for other discriminators; this one ignores them."""
        x: Tensor = images.full
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return DiscriminatorOutput(heads=(self.head(self.statistics(x)).flatten(),), features=tuple(features))

    def stages_from_image(self) -> list[nn.Module]:
        """The stages in the order in which the image passes through them; the head is none."""
        return list(self.stages)
