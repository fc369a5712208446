"""PatchGANs at several scales and on regions (Wang et al. 2018, arXiv 1711.11585, section 3.2), 64 to 1024 px."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganray.models.discriminators.patch import PatchGAN
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.recipe import discriminators as specs


class MultiScalePatchDiscriminator(nn.Module):
    """`ImagePair -> a head [N, 1, g, g] per PatchGAN`: the full image, then halved by average pooling, and so on.

    With `regions` a last head is of one more PatchGAN, which sees one quarter of each image at its full size:
    in training a random one per image, drawn from torch's RNG at each call; in evaluation the top left one.
    Features: the region's maps, if any, then those of each scale; the last map is thus the coarsest scale's, which
    sees most of the layout.
    """

    def __init__(self, spec: specs.MultiScalePatchDiscriminator, resolution: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchGAN(spec, spec.layers, resolution >> i) for i in range(spec.scales))
        self.region = PatchGAN(spec, spec.layers, resolution // 2) if spec.regions else None

    def forward(
        self, images: ImagePair, *, quarter: int | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge images. `quarter` and `labels` are for other discriminators; this one ignores them."""
        heads: list[Tensor] = []
        features: list[Tensor] = []
        x = images.full
        for i, scale in enumerate(self.scales):
            x = F.avg_pool2d(x, 2) if i else x
            logits, maps = scale(x)
            heads.append(logits)
            features.extend(maps)
        if self.region is not None:
            logits, maps = self.region(self._quarters(images.full))
            heads.append(logits)
            features[:0] = maps
        return DiscriminatorOutput(heads=tuple(heads), features=tuple(features))

    def _quarters(self, x: Tensor) -> Tensor:
        """One quarter of each image: `[N, 3, R, R] -> [N, 3, R / 2, R / 2]`."""
        half = x.shape[-1] // 2
        if not self.training:
            return x[:, :, :half, :half]
        each = x.unflatten(3, (2, half)).unflatten(2, (2, half))  # [N, 3, row, R / 2, column, R / 2]
        index = torch.randint(4, (x.shape[0],), device=x.device)
        return each[torch.arange(x.shape[0], device=x.device), :, index // 2, :, index % 2]

    def stages_from_image(self) -> list[nn.Module]:
        """The stages in the order in which the image passes through them, those of all PatchGANs side by side."""
        parallel = [*self.scales, *([] if self.region is None else [self.region])]
        return [nn.ModuleList(stages) for stages in zip(*(patches.stages for patches in parallel))]
