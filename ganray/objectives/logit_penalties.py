"""Penalties on what D says, as pure functions: its heads in, scalar out; each head counts alike.

A sample's logit, where one is needed, is the mean over a head's patches or pixels, then over the heads: the copy
of an image that was shifted has its patches elsewhere.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

SHIFT = 8
"""A consistency copy is shifted by at most this part of the side: 4 px of 32, 16 px of 128."""


def in_full(x: Tensor) -> Tensor:
    """At least fp32: half precision is widened, double precision stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def sample_logits(heads: Sequence[Tensor]) -> Tensor:
    """[H, N]: of each of H heads [N, ...], the mean over the logits that it has for a sample."""
    return torch.stack([in_full(head).reshape(len(head), -1).mean(dim=1) for head in heads])


def lecam(heads_real: Sequence[Tensor], heads_fake: Sequence[Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """E(D(x) - a_F)^2 + E(D(G(z)) - a_R)^2: the LeCam regulariser (arXiv 2104.03310).

    `real` and `fake` [H] are the moving averages a_R, a_F of each head's mean logit; no gradient reaches them. The
    paper's code squares only reals above a_F and fakes below a_R; this is the paper's formula, which squares all.
    """
    return _to_anchors(heads_real, fake) + _to_anchors(heads_fake, real)


def _to_anchors(heads: Sequence[Tensor], anchors: Tensor) -> Tensor:
    pairs = zip(heads, anchors.detach(), strict=True)
    return torch.stack([(in_full(head) - anchor).square().mean() for head, anchor in pairs]).mean()


def consistency(heads: Sequence[Tensor], heads_copy: Sequence[Tensor]) -> Tensor:
    """E(D(x) - D(T(x)))^2 over the samples' logits of each head (CR-GAN, arXiv 1910.12027).

    The gradient goes through both. `heads` are of the images, `heads_copy` of their transformed copies.
    """
    return (sample_logits(heads) - sample_logits(heads_copy)).square().mean()


def flip_and_shift(x: Tensor) -> Tensor:
    """Images [N, 3, R, R], each mirrored left to right with probability 1/2, then shifted by whole pixels.

    Shifts are uniform in +-R / 8 along both axes and reflected at the border, so that no edge marks a copy. Draws
    are from torch's global generator on the device of `x` (random flip and shift: arXiv 1910.12027).
    """
    mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
    x = torch.where(mirrored, x.flip(3), x)
    return _shift(_shift(x, dim=2), dim=3)


def _shift(x: Tensor, dim: int) -> Tensor:
    size = x.shape[dim]
    by = torch.randint(-(size // SHIFT), size // SHIFT + 1, (len(x), 1), device=x.device)
    source = (torch.arange(size, device=x.device) - by).abs()  # [N, size]: where each row or column comes from
    source = (size - 1) - (size - 1 - source).abs()
    shape = [len(x), 1, 1, 1]
    shape[dim] = size
    return x.gather(dim, source.view(shape).expand_as(x))


def cutmix(pixels_mixed: Tensor, pixels_real: Tensor, pixels_fake: Tensor, mask: Tensor) -> Tensor:
    """E(D(mix(x, G(z), M)) - mix(D(x), D(G(z)), M))^2, the mean over the pixels (U-Net GAN, arXiv 2002.12655).

    All are pixel logits [N, 1, R, R]; `mask` M is 1 where a pixel is real. The gradient goes through the mixed
    target too: the paper does not speak of stopping it.
    """
    target = mix(in_full(pixels_real), in_full(pixels_fake), mask)
    return (in_full(pixels_mixed) - target).square().mean()


def heads_of_mix(
    mixed: Sequence[Tensor], real: Sequence[Tensor], fake: Sequence[Tensor], mask: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """(heads of reals, heads of fakes) by which D's own loss judges mixed images (arXiv 2002.12655, section 3.2).

    A pixel's logit, of a head [N, 1, R, R], stands among the reals where `mask` is 1 and among the fakes where it is
    0; any other head's logit among the fakes. What the plain images say completes the two sides, for losses that
    compare them; it gets no gradient, so a loss that looks at each logit alone learns from the mix alone.
    """
    sides = [_sides(*heads, mask) for heads in zip(mixed, real, fake, strict=True)]
    return [of_real for of_real, _ in sides], [of_fake for _, of_fake in sides]


def _sides(mixed: Tensor, real: Tensor, fake: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    mixed, real, fake = in_full(mixed), in_full(real.detach()), in_full(fake.detach())
    if mixed.shape != mask.shape:
        return real, mixed
    return torch.where(mask > 0, mixed, real), torch.where(mask > 0, fake, mixed)


def mix(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """`real` where the mask [N, 1, R, R] is 1, `fake` where it is 0."""
    return mask * real + (1 - mask) * fake


def cutmix_mask(like: Tensor) -> Tensor:
    """A mask [N, 1, R, R] of zeros and ones for images [N, 3, R, R]: each its own rectangle and its surroundings.

    The rectangle's share of the image is uniform in [0, 1], its centre uniform in the image, its border clipped
    (CutMix, arXiv 1905.04899, eq. 2); which of the two is real is a coin toss (as in the code of arXiv 2002.12655).
    Draws are from torch's global generator on the device of `like`.
    """
    n, size = len(like), like.shape[-1]
    half_side = size * torch.rand(n, 1, device=like.device).sqrt() / 2
    rows, columns = (_within(half_side, size) for _ in range(2))
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    swapped = torch.rand(n, 1, 1, 1, device=like.device) < 0.5
    return (inside ^ swapped).to(like.dtype)


def _within(half_side: Tensor, size: int) -> Tensor:
    """Whether each row or column lies within `half_side` [N, 1] of a random centre, [N, size]."""
    centre = size * torch.rand_like(half_side)
    return (torch.arange(size, device=half_side.device) + 0.5 - centre).abs() < half_side
