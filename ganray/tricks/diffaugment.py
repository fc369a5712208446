"""DiffAugment: random, differentiable transforms of all that D sees, real and fake (arXiv 2006.10738)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganray.recipe.tricks import AugmentOp


def diff_augment(x: Tensor, policy: Sequence[str]) -> Tensor:
    """Images [N, 3, H, W] in [-1, 1], each transformed by random draws of its own, in the order of `policy`.

    Draws are from torch's global generator on the device of `x`. Zero, the middle grey, fills what is cut or
    shifted in. `color` may leave [-1, 1], as in the paper.
    """
    for op in policy:
        for transform in AUGMENTATIONS[op]:
            x = transform(x)
    return x


def brightness(x: Tensor) -> Tensor:
    """Adds a constant, uniform in [-0.5, 0.5]."""
    return x + _uniform(x, -0.5, 0.5)


def saturation(x: Tensor) -> Tensor:
    """Scales each pixel's distance to its grey, the mean of its channels, by a factor uniform in [0, 2]."""
    grey = x.mean(dim=1, keepdim=True)
    return torch.lerp(grey, x, _uniform(x, 0.0, 2.0))


def contrast(x: Tensor) -> Tensor:
    """Scales the distance to the image's mean by a factor uniform in [0.5, 1.5]."""
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, x, _uniform(x, 0.5, 1.5))


def translation(x: Tensor) -> Tensor:
    """Shifts by whole pixels, uniform in +-1/8 of the size along both axes; zeros come in."""
    return _shift(_shift(x, dim=2), dim=3)


def cutout(x: Tensor) -> Tensor:
    """Zeroes a square of half the size, its centre anywhere in the image, so that borders may clip it."""
    rows = _inside_square(x, dim=2)[:, None, :, None]
    columns = _inside_square(x, dim=3)[:, None, None, :]
    return x.masked_fill(rows & columns, 0.0)


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """One draw per image, [N, 1, 1, 1]."""
    return torch.empty(len(x), 1, 1, 1, dtype=x.dtype, device=x.device).uniform_(low, high)


def _shift(x: Tensor, dim: int) -> Tensor:
    size = x.shape[dim]
    largest = int(size / 8 + 0.5)
    by = torch.randint(-largest, largest + 1, (len(x), 1), device=x.device)
    source = torch.arange(size, device=x.device) - by  # [N, size]: where each row or column comes from
    shape = [len(x), 1, 1, 1]
    shape[dim] = size
    outside = ((source < 0) | (source >= size)).view(shape)
    # Wrap around, then blank what wrapped: no index occurs twice, so the gradient is deterministic on GPUs.
    rolled = x.gather(dim, source.remainder(size).view(shape).expand_as(x))
    return rolled.masked_fill(outside, 0.0)


def _inside_square(x: Tensor, dim: int) -> Tensor:
    """Whether each row or column is cut, [N, size]."""
    size = x.shape[dim]
    edge = int(size / 2 + 0.5)
    # An even square has its centre between pixels, hence one place more for it.
    centre = torch.randint(0, size + (1 - edge % 2), (len(x), 1), device=x.device)
    offset = torch.arange(size, device=x.device) - (centre - edge // 2)
    return (offset >= 0) & (offset < edge)


AUGMENTATIONS: dict[AugmentOp | str, tuple[Callable[[Tensor], Tensor], ...]] = {
    "color": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
}
