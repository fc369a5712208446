"""U-Net discriminators with a logit per pixel (Schoenfeld et al. 2020, arXiv 2002.12655), 32 to 256 px."""

from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganray.models.layers import conv
from ganray.models.options import BatchStatistics, doubled, halvings, hidden_layer
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.recipe import discriminators as specs

LEVELS = 3  # of the shape of Real-ESRGAN


class UNetDiscriminator(nn.Module):
    """`ImagePair -> heads (global [N], pixels [N, 1, R, R])`, or pixels alone; features are the encoder's maps.

    `unet_gan`: DCGAN's discriminator down to 4 x 4 and its logit, then as many layers up again (nearest
    up-sampling, 3 x 3 convolution), all but the last joined to the encoder's map of their side by concatenation
    (arXiv 2002.12655, where the layers are BigGAN's residual blocks). `real_esrgan`: a 3 x 3 convolution,
    three layers down, three up (bilinear), joined by addition, and three more convolutions (arXiv 2107.10833,
    where the norm is spectral: set `spectral_norm`). The spec's `layers` sets how many go down and up in either.
    """

    def __init__(self, spec: specs.UNetDiscriminator, resolution: int) -> None:
        super().__init__()
        self.shape = spec.shape
        spectral, width = spec.spectral_norm, spec.width
        self.global_head: nn.Sequential | None = None
        if spec.shape == "unet_gan":
            n_halvings = spec.layers or (resolution // 4).bit_length() - 1
            down = doubled(width, n_halvings)
            up = [*reversed(down[:-1]), width]
            joined = [2 * channels for channels in up]
            self.stages = halvings(spec, [3, *down], resolution, first_norm=False)
            statistics = BatchStatistics(spec, down[-1])
            whole = conv(statistics.channels, 1, resolution >> n_halvings, spectral=spectral, bias=True)
            self.global_head = nn.Sequential(statistics, whole)
            ends = [conv(width, 1, 1, spectral=spectral, bias=True)]
        else:
            down = doubled(width, 1 + (spec.layers or LEVELS))
            up = joined = [*reversed(down[:-1])]
            self.stages = nn.ModuleList([hidden_layer(spec, 3, width, 3, 1, 1, norm=False)])
            self.stages.extend(halvings(spec, down, resolution, first_norm=True))
            statistics = BatchStatistics(spec, width)
            ends = [hidden_layer(spec, width, width, 3, 1, 1) for _ in range(2)]
            ends += [statistics, conv(statistics.channels, 1, 3, padding=1, spectral=spectral, bias=True)]
        self.ups = nn.ModuleList(
            hidden_layer(spec, before, after, 3, 1, 1) for before, after in zip([down[-1], *joined], up)
        )
        self.pixel_head = nn.Sequential(*ends)

    def forward(
        self, images: ImagePair, *, quarter: int | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge images. `quarter` and `labels` are for other discriminators; this one ignores them."""
        x: Tensor = images.full
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        pixels: Tensor = self.pixel_head(self._decode(maps))
        heads = (pixels,) if self.global_head is None else (self.global_head(x).flatten(), pixels)
        return DiscriminatorOutput(heads=heads, features=tuple(maps), pixels=pixels)

    def _decode(self, maps: list[Tensor]) -> Tensor:
        """From the bottleneck up to the image's side: `[N, C, R, R]`."""
        mode = "nearest" if self.shape == "unet_gan" else "bilinear"
        y = maps[-1]
        for up, skipped in zip_longest(self.ups, maps[-2::-1]):
            y = up(F.interpolate(y, scale_factor=2, mode=mode))
            if skipped is not None:
                y = torch.cat([y, skipped], dim=1) if self.shape == "unet_gan" else y + skipped
        return y

    def stages_from_image(self) -> list[nn.Module]:
        """The stages in the order in which the image passes through them, down and up; the heads are none."""
        return [*self.stages, *self.ups]
