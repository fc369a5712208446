"""Horizontal flips of the reals."""

import torch
from torch import Tensor


def random_flip(x: Tensor) -> Tensor:
    """Each image of [N, 3, H, W], of any dtype, mirrored left to right with probability 1/2.

    Draws are from torch's global generator on the device of `x`.
    """
    mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
    return torch.where(mirrored, x.flip(-1), x)
