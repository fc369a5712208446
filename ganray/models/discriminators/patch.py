"""PatchGAN (Isola et al. 2017, arXiv 1611.07004, section 3.2.2): a grid of logits, 32 to 1024 px."""

from torch import Tensor, nn

from ganray.models.layers import conv
from ganray.models.options import BatchStatistics, doubled, halvings, hidden_layer
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.recipe import discriminators as specs


class PatchGAN(nn.Module):
    """`[N, 3, R, R] -> logits [N, 1, g, g]` and the feature maps of every stage, with g = R / 2^layers - 2.

    `layers` stages that halve the map, a 4 x 4 convolution of stride 1, and one more to the logits
    (arXiv 1611.07004, appendix 6.1.2). A logit sees a patch of side 9 * 2^layers - 2.
    """

    def __init__(self, spec: specs.DiscriminatorOptions, layers: int, resolution: int) -> None:
        super().__init__()
        *halved, last = doubled(spec.width, layers + 1)
        self.stages = halvings(spec, [3, *halved], resolution, first_norm=False)
        self.stages.append(hidden_layer(spec, halved[-1], last, 4, 1, 1))
        self.statistics = BatchStatistics(spec, last)
        self.head = conv(self.statistics.channels, 1, 4, 1, 1, spectral=spec.spectral_norm, bias=True)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return self.head(self.statistics(x)), tuple(features)


class PatchDiscriminator(nn.Module):
    """`ImagePair -> one head, logits [N, 1, g, g]`, and its feature maps: one PatchGAN on the full image."""

    def __init__(self, spec: specs.PatchDiscriminator, resolution: int) -> None:
        super().__init__()
        self.patches = PatchGAN(spec, spec.layers, resolution)

    def forward(
        self, images: ImagePair, *, quarter: int | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge images. `quarter` and `labels` are for other discriminators; this one ignores them."""
        logits, features = self.patches(images.full)
        return DiscriminatorOutput(heads=(logits,), features=features)

    def stages_from_image(self) -> list[nn.Module]:
        """The stages in the order in which the image passes through them; the head is none."""
        return list(self.patches.stages)
