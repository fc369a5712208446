"""Adaptive pseudo augmentation (arXiv 2111.06849)."""

import torch
from torch import Tensor

from ganray.recipe import tricks as specs
from ganray.tricks.adaptive import AdaptiveProbability


class Apa(AdaptiveProbability):
    """Deceives D: with the adaptive probability, a fake stands in for a real."""

    def __init__(self, spec: specs.Apa) -> None:
        super().__init__(spec.target, spec.kimg, spec.interval)

    def replace(self, x_real: Tensor, x_fake: Tensor) -> Tensor:
        """The reals with some replaced by the fake at the same place; both [N, 3, R, R], before augmentation.

        The fakes are detached: D is deceived, G is taught nothing here. The authors' code takes those of G's
        last step; with the batch's own fakes D sees a few images under both labels.
        """
        deceived = torch.rand(len(x_real), 1, 1, 1, device=x_real.device) < self.probability
        return torch.where(deceived, x_fake.detach().to(x_real.dtype), x_real)
