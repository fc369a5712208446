"""What passes between generators, discriminators and losses."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class ImagePair(NamedTuple):
    """What a generator makes and a discriminator sees: the image, and the same image made small."""

    full: Tensor
    """[N, 3, R, R] in [-1, 1]."""
    small: Tensor | None = None
    """[N, 3, S, S], FastGAN's second output; None: a discriminator that needs it resizes `full`."""


class Reconstructions(NamedTuple):
    """What the three decoders of a self-supervised discriminator make of a real image, in [-1, 1].

    Each map's side says how large its target has to be: compare it with the picture resized to that side.
    """

    full: Tensor
    """Of the whole image."""
    small: Tensor
    """Of the small image."""
    quarter: Tensor
    """Of one quarter of the image, seen through one quarter of a feature map."""
    quarter_index: int
    """0 top left, 1 top right, 2 bottom left, 3 bottom right."""


@dataclass
class DiscriminatorOutput:
    """What every discriminator returns, so that every loss works with every discriminator."""

    heads: tuple[Tensor, ...]
    """One tensor of logits per head, each of any shape whose first dimension is N: [N], [N, K], [N, 1, h, w].

    Positive means real. Each head counts alike in the loss, however many logits it has.
    """
    features: tuple[Tensor, ...]
    """Feature maps [N, C, h, w], in the order in which the image passes through them."""
    reconstructions: Reconstructions | None = None
    """Only where the discriminator has decoders and was told which quarter to decode."""
    pixels: Tensor | None = None
    """[N, 1, R, R]: the head that judges each pixel, where there is one (it is among `heads` too)."""
    code: Tensor | None = None
    """[N, C]: the code of an auto-encoding discriminator."""
    classes: Tensor | None = None
    """[N, n_classes]: logits of the class, where D is an auxiliary classifier."""

    @property
    def logits(self) -> Tensor:
        """All heads side by side, [N, L]: for readings and for penalties, not for the loss."""
        return torch.cat([head.flatten(1) if head.ndim > 1 else head[:, None] for head in self.heads], dim=1)

    @property
    def pooled(self) -> Tensor:
        """The last feature map's mean over its places, [N, C]: what auxiliary tasks and labels look at."""
        return self.features[-1].mean(dim=(2, 3))

    def of(self, rows: slice) -> "DiscriminatorOutput":
        """The output for some images of the batch."""
        rebuilt = self.reconstructions
        if rebuilt is not None:
            rebuilt = rebuilt._replace(
                full=rebuilt.full[rows], small=rebuilt.small[rows], quarter=rebuilt.quarter[rows]
            )
        return DiscriminatorOutput(
            heads=tuple(head[rows] for head in self.heads),
            features=tuple(feature[rows] for feature in self.features),
            reconstructions=rebuilt,
            pixels=None if self.pixels is None else self.pixels[rows],
            code=None if self.code is None else self.code[rows],
            classes=None if self.classes is None else self.classes[rows],
        )
