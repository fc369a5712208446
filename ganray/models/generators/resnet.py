"""The residual generator of SNGAN, SAGAN and BigGAN (arXiv 1802.05957, 1805.08318, 1809.11096), 32 to 256 px."""

import torch
from torch import Tensor, nn

from ganray.errors import RecipeError
from ganray.models.options import SelfAttention, make_activation, make_norm
from ganray.models.outputs import ImagePair
from ganray.models.residual import GeneratorBlock, orthogonal, xavier
from ganray.recipe import generators as specs

MOST_CHANNELS = 8  # channels are at most this times the width


def latent_parts(latent_dim: int, resolution: int) -> list[int]:
    """Sizes of the parts of a hierarchical latent: one for the 4 x 4 map, one for each block, as equal as can be.

    Raises RecipeError where there are fewer coordinates than parts.
    """
    n_parts = (resolution // 4).bit_length()
    if latent_dim < n_parts:
        raise RecipeError(
            f"generator.hierarchical splits the latent into {n_parts} parts at {resolution} px, "
            f"but generator.latent_dim is {latent_dim}; make it at least {n_parts}"
        )
    size, rest = divmod(latent_dim, n_parts)
    return [size + (i < rest) for i in range(n_parts)]


class ResNetGenerator(nn.Module):
    """`z [N, latent_dim], labels [N] -> ImagePair([N, 3, R, R], None)`, in [-1, 1] by tanh; not for `output: linear`.

    A linear layer to 4 x 4, one block per doubling, norm, activation, 3 x 3 convolution (arXiv 1802.05957,
    tables 4 and 6). With classes, one embedding shared by all blocks sets the scale and shift of their norms, and so
    does each block's part of a hierarchical latent (arXiv 1809.11096). With `norm: none` there is nothing that labels
    could act on, so they are ignored here.
    """

    def __init__(self, spec: specs.ResNetGenerator, resolution: int, n_classes: int = 0) -> None:
        super().__init__()

        def channels(side: int) -> int:
            return spec.width * min(MOST_CHANNELS, resolution // side)

        sides = [8 * 2**i for i in range((resolution // 8).bit_length())]
        self.latent_dim = spec.latent_dim
        self.bounded = spec.output == "tanh"
        self.parts = latent_parts(spec.latent_dim, resolution) if spec.hierarchical else [spec.latent_dim]
        # As many numbers as the latent has: BigGAN's 128 beside 120 of the latent.
        self.embedding = nn.Embedding(n_classes, spec.latent_dim) if n_classes and spec.norm != "none" else None
        n_class = spec.latent_dim if self.embedding is not None else 0
        conditions = [n_class + n for n in self.parts[1:]] if spec.hierarchical else [n_class] * len(sides)
        self.dense = nn.Linear(self.parts[0], 4 * 4 * channels(4))
        self.blocks = nn.ModuleDict()
        self.attention = nn.ModuleDict()
        for side, n_condition in zip(sides, conditions):
            self.blocks[str(side)] = GeneratorBlock(spec, channels(side // 2), channels(side), n_condition)
            if side in spec.attention:
                self.attention[str(side)] = SelfAttention(channels(side), spectral=False)
        self.to_image = nn.Sequential(
            make_norm(spec.norm, spec.width),
            make_activation(spec.activation),
            nn.Conv2d(spec.width, 3, 3, padding=1),
        )
        xavier([self.dense, *self.to_image])
        if spec.orthogonal_init:
            orthogonal(self.modules())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> ImagePair:
        """Images of latents `[N, latent_dim]`, of the classes `labels` int64 [N] where the network has classes."""
        first, conditions = self._conditions(z, labels)
        x: Tensor = self.dense(first).unflatten(1, (-1, 4, 4))
        for (name, block), condition in zip(self.blocks.items(), conditions):
            x = block(x, condition)
            if name in self.attention:
                x = self.attention[name](x)
        x = self.to_image(x)
        return ImagePair(torch.tanh(x) if self.bounded else x, None)

    def _conditions(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, list[Tensor | None]]:
        """The latent of the 4 x 4 map, and what conditions the norms of each block: `[N, n_condition]` or None."""
        if self.embedding is not None and labels is None:
            raise ValueError("this generator has classes and needs the label of each image")
        label = [self.embedding(labels)] if self.embedding is not None else []
        if len(self.parts) == 1:
            return z, [label[0] if label else None] * len(self.blocks)
        first, *rest = z.split(self.parts, dim=1)
        return first, [torch.cat([part, *label], dim=1) for part in rest]
