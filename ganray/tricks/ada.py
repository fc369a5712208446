"""Adaptive discriminator augmentation (arXiv 2006.06676)."""

from torch import Tensor

from ganray.recipe import tricks as specs
from ganray.tricks.ada_pipeline import augment_at
from ganray.tricks.adaptive import AdaptiveProbability


class Ada(AdaptiveProbability):
    """Augments all that D sees, each sub-transform with the same adaptive probability per image."""

    def __init__(self, spec: specs.Ada) -> None:
        super().__init__(spec.target, spec.kimg, spec.interval)
        self.pipeline = spec.pipeline

    def augment(self, x: Tensor) -> Tensor:
        """Images [N, 3, R, R] in [-1, 1], reals or fakes; differentiable. At probability 0 it is the identity."""
        return augment_at(x, self.pipeline, self.probability)
