"""Pictures side by side, and the one way from a network's output to 8-bit pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:  # grids are drawn by verbs that have no other need of torch
    import torch


def to_uint8(x: torch.Tensor) -> torch.Tensor:
    """Pixels in [-1, 1] to uint8: `x * 127.5 + 127.5`, rounded (half to even), clamped to 0 .. 255.

    Shape and device are kept. The inverse of `x / 127.5 - 1` for every one of the 256 values.
    """
    return (x.float() * 127.5 + 127.5).round().clamp(0, 255).byte()


def image_grid(images_uint8: torch.Tensor | npt.NDArray[np.uint8], columns: int, pad: int = 2) -> Image.Image:
    """Images row by row on black, `pad` pixels between and around them.

    Args:
        images_uint8: uint8 `[N, 3, H, W]`, N >= 1; a tensor on any device or an array.
        columns: images per row; fewer where there are fewer images.
        pad: width of the gaps in pixels.

    Raises:
        ValueError: another type or shape, or fewer than one column.
    """
    array = images_uint8 if isinstance(images_uint8, np.ndarray) else images_uint8.detach().cpu().numpy()
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] != 3 or len(array) == 0:
        raise ValueError(f"expected uint8 [N, 3, H, W] with N >= 1, got {array.dtype} {list(array.shape)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    n, _, height, width = array.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    canvas = np.zeros((rows * (height + pad) + pad, columns * (width + pad) + pad, 3), np.uint8)
    for i, image in enumerate(array):
        top, left = pad + (i // columns) * (height + pad), pad + (i % columns) * (width + pad)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return Image.fromarray(canvas)
