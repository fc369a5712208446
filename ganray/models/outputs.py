"""What passes between generators, discriminators and losses."""

from dataclasses import dataclass
from typing import NamedTuple

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

    logits: Tensor
    """Any shape whose first dimension is N: [N], [N, K], [N, 1, h, w]. Positive means real."""
    features: tuple[Tensor, ...] | None = None
    """Feature maps [N, C, h, w], fine to coarse."""
    reconstructions: Reconstructions | None = None
    """Only where the discriminator has decoders and was told which quarter to decode."""
