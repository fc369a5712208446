"""Losses that ask whether a real looks more real than the fakes, rather than how real it looks.

All are of arXiv 1807.00734 but the dual contrastive one (arXiv 2103.16748). Every function takes
`(logits_real, logits_fake)` of any shape, computes in fp32 and returns a scalar. G minimises D's loss with the
roles of reals and fakes swapped, so its gradient does not vanish where D wins; it needs D's logits on reals.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

BatchMean = Callable[[Tensor], Tensor]
"""Logits -> their mean, a scalar or anything that broadcasts against them."""


def relativistic_paired_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """-E log sigma(D(x) - D(G(z))) over pairs of a real and a fake (RSGAN, arXiv 1807.00734).

    Equal shapes are paired element by element; batches of different sizes, every real with every fake.
    """
    real, fake = logits_real.float(), logits_fake.float()
    if real.shape != fake.shape:
        real, fake = real.unsqueeze(1), fake.unsqueeze(0)  # [N, 1, ...], [1, M, ...]
    return F.softplus(fake - real).mean()


def relativistic_paired_generator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """-E log sigma(D(G(z)) - D(x)): D's loss with the roles swapped (RSGAN, arXiv 1807.00734)."""
    return relativistic_paired_discriminator(logits_fake, logits_real)


def relativistic_average_discriminator(
    logits_real: Tensor, logits_fake: Tensor, batch_mean: BatchMean = torch.mean
) -> Tensor:
    """-E log sigma(D(x) - E D(G(z))) - E log(1 - sigma(D(G(z)) - E D(x))) (RaSGAN, arXiv 1807.00734).

    `batch_mean` is the inner E; under DDP it must see the batches of all ranks and pass their gradients.
    """
    real, fake = logits_real.float(), logits_fake.float()
    return F.softplus(batch_mean(fake) - real).mean() + F.softplus(fake - batch_mean(real)).mean()


def relativistic_average_generator(
    logits_real: Tensor, logits_fake: Tensor, batch_mean: BatchMean = torch.mean
) -> Tensor:
    """Both terms of D's loss with the roles swapped (RaSGAN, arXiv 1807.00734)."""
    return relativistic_average_discriminator(logits_fake, logits_real, batch_mean)


def relativistic_least_squares_discriminator(
    logits_real: Tensor, logits_fake: Tensor, batch_mean: BatchMean = torch.mean
) -> Tensor:
    """E (D(x) - E D(G(z)) - 1)^2 + E (D(G(z)) - E D(x) + 1)^2 (RaLSGAN, arXiv 1807.00734).

    `batch_mean` is the inner E, as in `relativistic_average_discriminator`.
    """
    real, fake = logits_real.float(), logits_fake.float()
    return (real - batch_mean(fake) - 1).square().mean() + (fake - batch_mean(real) + 1).square().mean()


def relativistic_least_squares_generator(
    logits_real: Tensor, logits_fake: Tensor, batch_mean: BatchMean = torch.mean
) -> Tensor:
    """D's loss with the roles swapped (RaLSGAN, arXiv 1807.00734)."""
    return relativistic_least_squares_discriminator(logits_fake, logits_real, batch_mean)


def relativistic_hinge_discriminator(
    logits_real: Tensor, logits_fake: Tensor, batch_mean: BatchMean = torch.mean
) -> Tensor:
    """E max(0, 1 - D(x) + E D(G(z))) + E max(0, 1 + D(G(z)) - E D(x)) (RaHingeGAN, arXiv 1807.00734).

    `batch_mean` is the inner E, as in `relativistic_average_discriminator`.
    """
    real, fake = logits_real.float(), logits_fake.float()
    return F.relu(1 - (real - batch_mean(fake))).mean() + F.relu(1 + (fake - batch_mean(real))).mean()


def relativistic_hinge_generator(
    logits_real: Tensor, logits_fake: Tensor, batch_mean: BatchMean = torch.mean
) -> Tensor:
    """D's loss with the roles swapped (RaHingeGAN, arXiv 1807.00734)."""
    return relativistic_hinge_discriminator(logits_fake, logits_real, batch_mean)


def dual_contrastive_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """E_x log(1 + sum_z e^(D(G(z)) - D(x))) + E_z log(1 + sum_x e^(D(G(z)) - D(x))) (arXiv 2103.16748).

    The sums are over the samples of the batch, for each logit of a sample (each place of a grid) apart: [N, ...]
    and [M, ...] with the same places. Under DDP both must hold the samples of all workers.
    """
    real, fake = logits_real.float(), logits_fake.float()
    # log(1 + sum_k e^(f_k - r)) = softplus(logsumexp(f) - r): nothing of size N x M is built, nothing overflows.
    real_against_fakes = F.softplus(torch.logsumexp(fake, dim=0) - real)
    fake_against_reals = F.softplus(fake + torch.logsumexp(-real, dim=0))
    return real_against_fakes.mean() + fake_against_reals.mean()


def dual_contrastive_generator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """D's loss with the roles swapped; the paper's min-max (arXiv 2103.16748) would starve G where D wins."""
    return dual_contrastive_discriminator(logits_fake, logits_real)
