"""The residual discriminator of SNGAN, SAGAN and BigGAN (arXiv 1802.05957, 1805.08318, 1809.11096), 32 to 256 px."""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganray.models.options import MinibatchDiscrimination, MinibatchStd, SelfAttention
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.models.residual import DiscriminatorBlock, hidden, xavier
from ganray.recipe import discriminators as specs

MOST_CHANNELS = 8  # channels are at most this times the width


class ResNetDiscriminator(nn.Module):
    """`ImagePair -> one head of logits [N]`; the small image is not looked at.

    Blocks that halve the map down to 4 x 4, `depth` blocks at each side, then one more (arXiv 1802.05957, table 6),
    activation, the sum over the 16 places, and a linear layer. The batch's standard deviation joins before the last
    block, minibatch discrimination before the linear layer. Features: the map of each side, then the one that is
    summed, [N, C, 4, 4].
    """

    def __init__(self, spec: specs.ResNetDiscriminator, resolution: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        channels, side = 3, resolution
        while side > 4:
            side //= 2
            channels_in, channels = channels, spec.width * min(MOST_CHANNELS, resolution // (2 * side))
            stage = nn.Sequential(DiscriminatorBlock(spec, channels_in, channels, halve=True, image=channels_in == 3))
            for _ in range(spec.depth - 1):
                stage.append(DiscriminatorBlock(spec, channels, channels, halve=False))
            if side in spec.attention:
                stage.append(SelfAttention(channels, spectral=spec.spectral_norm))
            self.stages.append(stage)
        self.last = nn.Sequential(
            *([MinibatchStd()] if spec.minibatch_std else []),
            DiscriminatorBlock(spec, channels + spec.minibatch_std, channels, halve=False),
            *hidden(spec, channels),
        )
        self.closeness = nn.Sequential()
        if spec.minibatch_discrimination:
            self.closeness.append(MinibatchDiscrimination(channels, spec.minibatch_discrimination))
        head = nn.Linear(channels + spec.minibatch_discrimination, 1)
        xavier([head])
        self.head = spectral_norm(head) if spec.spectral_norm else head

    def stages_from_image(self) -> list[nn.Module]:
        """Its stages in the order in which the image passes them, without the head."""
        return [*self.stages, self.last]

    def forward(
        self, images: ImagePair, *, quarter: int | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Logits [N]. `quarter` is for decoders and `labels` for conditional discriminators: both are ignored here."""
        x: Tensor = images.full
        features: list[Tensor] = []
        for stage in self.stages_from_image():
            x = stage(x)
            features.append(x)
        pooled = self.closeness(x.sum(dim=(2, 3)))  # [N, C]
        return DiscriminatorOutput(heads=(self.head(pooled).flatten(),), features=tuple(features))
