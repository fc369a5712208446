"""Noise on all that D sees, reals and fakes, so that the two overlap (arXiv 1610.04490, section 3.2.1)."""

import torch
from torch import Tensor

from ganray.recipe import tricks as specs


def noise_std(spec: specs.InstanceNoise, progress: float) -> float:
    """Falls in a straight line from `spec.std` to 0 at `spec.until`; `progress`: share of the budget spent."""
    return spec.std * max(0.0, 1 - progress / spec.until)


def instance_noise(x: Tensor, std: float) -> Tensor:
    """Images of any shape plus N(0, std^2). At 0, `x` itself comes back and nothing is drawn."""
    return x + std * torch.randn_like(x) if std > 0 else x
