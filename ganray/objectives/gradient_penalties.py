"""Gradient penalties on the discriminator as pure functions; their gradients reach its weights by double backward.

Call them outside autocast: gradients of gradients lose too much in 16 bits. No gradient reaches the images.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganray.objectives.logit_penalties import sample_logits

Discriminate = Callable[[Tensor], Sequence[Tensor]]
"""Images [N, 3, R, R] in [-1, 1] -> D's heads, one tensor of logits [N, ...] each."""


def zero_centred(discriminate: Discriminate, x: Tensor, gamma: float) -> Tensor:
    """gamma / 2 * E|grad D(x)|^2 over images [N, 3, R, R]: R1 on reals, R2 on fakes (arXiv 1801.04406, eq. 9, 10)."""
    gradient = input_gradient(discriminate, x)
    return gamma / 2 * gradient.square().sum(dim=(1, 2, 3)).mean()


def wgan_gp(discriminate: Discriminate, x_real: Tensor, x_fake: Tensor, weight: float) -> Tensor:
    """weight * E(|grad D(x^)| - 1)^2, x^ uniform between a real and a fake (arXiv 1704.00028, eq. 3).

    `x_real` and `x_fake` are [N, 3, R, R] alike; the mixing weights, one per pair, are drawn from torch's global
    generator.
    """
    mix = torch.rand(len(x_real), 1, 1, 1, dtype=x_real.dtype, device=x_real.device)
    return _one_centred(discriminate, torch.lerp(x_fake.to(x_real.dtype), x_real, mix), weight)


def dragan(
    discriminate: Discriminate, x_real: Tensor, weight: float, batch_mean: Callable[[Tensor], Tensor] = torch.mean
) -> Tensor:
    """weight * E(|grad D(x + noise)| - 1)^2 over reals [N, 3, R, R] (DRAGAN, arXiv 1705.07215).

    The noise is Gaussian, as in the paper, and drawn from torch's global generator. Its standard deviation is 1/6 of
    the reals': what the authors' code adds, half of that deviation times two draws uniform in [0, 1], has this root
    mean square. `batch_mean` is the mean over all workers' reals, from which their deviation is taken.
    """
    x = x_real.detach()
    variance = batch_mean(x.square()) - batch_mean(x).square()
    noise = variance.clamp(min=0).sqrt() / 6 * torch.randn_like(x)
    return _one_centred(discriminate, x + noise, weight)


def _one_centred(discriminate: Discriminate, x: Tensor, weight: float) -> Tensor:
    gradient = input_gradient(discriminate, x)
    # vector_norm has gradient 0 at 0, where sqrt(sum of squares) would give NaN
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 2, 3))
    return weight * (norm - 1).square().mean()


def input_gradient(discriminate: Discriminate, x: Tensor) -> Tensor:
    """Gradient [N, 3, R, R] of each sample's logit by its own image.

    A sample's logit is the mean over a head's patches, then over the heads, which count alike as in the loss.
    """
    # Detached, so that a penalty on D leaves no gradient in the generator that made the fakes.
    x = x.detach().requires_grad_(True)
    per_sample = sample_logits(discriminate(x)).to(x.dtype).mean(dim=0)  # [N]
    (gradient,) = torch.autograd.grad(per_sample.sum(), x, create_graph=True)
    return gradient
