"""Gradient penalties on the discriminator; their gradients reach its parameters by double backward.

Call them outside autocast: gradients of gradients lose too much in 16 bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganray.recipe.objective import R1, WGANGP
from ganray.recipe.objective import Penalty as PenaltySpec

Discriminate = Callable[[Tensor], Tensor]
"""Images [N, 3, R, R] in [-1, 1] -> logits of any shape [N, ...]."""


def r1(discriminate: Discriminate, x_real: Tensor, x_fake: Tensor, spec: R1) -> Tensor:
    """gamma / 2 * E|grad D(x)|^2 over reals [N, 3, R, R] (arXiv 1801.04406, eq. 9); `x_fake` is not used."""
    gradient = _input_gradient(discriminate, x_real)
    return spec.gamma / 2 * gradient.square().sum(dim=(1, 2, 3)).mean()


def wgan_gp(discriminate: Discriminate, x_real: Tensor, x_fake: Tensor, spec: WGANGP) -> Tensor:
    """weight * E(|grad D(x^)| - 1)^2, x^ uniform between a real and a fake (arXiv 1704.00028, eq. 3).

    `x_real` and `x_fake` are [N, 3, R, R] alike; the mixing weights, one per pair, are drawn from torch's global
    generator.
    """
    mix = torch.rand(len(x_real), 1, 1, 1, dtype=x_real.dtype, device=x_real.device)
    between = torch.lerp(x_fake.to(x_real.dtype), x_real, mix)
    gradient = _input_gradient(discriminate, between)
    # vector_norm has gradient 0 at 0, where sqrt(sum of squares) would give NaN
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 2, 3))
    return spec.weight * (norm - 1).square().mean()


def _input_gradient(discriminate: Discriminate, x: Tensor) -> Tensor:
    """Gradient [N, 3, R, R] of each sample's logit, the mean over its patches, by its own image."""
    # Detached, so that a penalty on D leaves no gradient in the generator that made the fakes.
    x = x.detach().requires_grad_(True)
    logits = discriminate(x)
    per_sample = logits.reshape(len(x), -1).to(x.dtype).mean(dim=1)  # [N]
    (gradient,) = torch.autograd.grad(per_sample.sum(), x, create_graph=True)
    return gradient


PENALTIES: dict[str, Callable[[Discriminate, Tensor, Tensor, Any], Tensor]] = {"wgan_gp": wgan_gp, "r1": r1}


@dataclass(frozen=True)
class Penalty:
    """A penalty of the recipe, to be added to D's loss each `every` steps."""

    spec: PenaltySpec

    @property
    def every(self) -> int:
        """Steps from one application to the next."""
        return self.spec.every

    def __call__(self, discriminate: Discriminate, x_real: Tensor, x_fake: Tensor) -> Tensor:
        """The penalty times `every`, which keeps its mean over the steps (arXiv 1912.04958, appendix B)."""
        return PENALTIES[self.spec.name](discriminate, x_real, x_fake, self.spec) * self.every


def build_penalty(spec: PenaltySpec) -> Penalty:
    """The penalty that `spec` names."""
    return Penalty(spec)
