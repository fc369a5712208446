"""Adversarial losses as pure pairs of functions: logits of any shape in, scalar out.

Every function takes `(logits_real, logits_fake)`, tensors of any shape (one logit per sample, a grid of
patches, one per pixel), computes in fp32 whatever their type, and returns the mean over all logits.
D(x) below is the logit; sigma(D(x)) the probability that x is real.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganray.errors import RecipeError
from ganray.recipe.combinations import TAKES_LABELS
from ganray.recipe.objective import Adversarial, LeastSquares
from ganray.recipe.tricks import LabelSmoothing, NoisyMargins

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""(logits_real, logits_fake) -> scalar."""

BatchMean = Callable[[Tensor], Tensor]
"""Logits -> their mean, a scalar or anything that broadcasts against them."""


@dataclass(frozen=True)
class AdversarialLoss:
    """What D and G minimise."""

    discriminator: LossFunction
    generator: LossFunction
    """`logits_real` is ignored unless `needs_real`; any tensor will do then."""
    needs_real: bool
    """The generator's step needs D's logits on reals (relativistic losses)."""


@dataclass(frozen=True)
class Modifiers:
    """What tricks and the distributed loop change in a loss."""

    label_smoothing: LabelSmoothing | None = None
    noisy_margins: NoisyMargins | None = None
    batch_mean: BatchMean = torch.mean


def cross_entropy_discriminator(
    logits_real: Tensor, logits_fake: Tensor, real: float = 1.0, fake: float = 0.0
) -> Tensor:
    """Binary cross-entropy, -E log sigma(D(x)) - E log(1 - sigma(D(G(z)))) (arXiv 1406.2661, eq. 1).

    Other targets than 1 and 0 are label smoothing (arXiv 1606.03498, section 3.4).
    """
    return _cross_entropy(logits_real, real) + _cross_entropy(logits_fake, fake)


def minimax_generator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """E log(1 - sigma(D(G(z)))) (arXiv 1406.2661, eq. 1); its gradient vanishes where D is sure of a fake."""
    return F.logsigmoid(-logits_fake.float()).mean()


def non_saturating_generator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """-E log sigma(D(G(z))) (arXiv 1406.2661, section 3)."""
    return _cross_entropy(logits_fake, 1.0)


def hinge_discriminator(logits_real: Tensor, logits_fake: Tensor, low: float = 1.0, high: float = 1.0) -> Tensor:
    """E max(0, m - D(x)) + E max(0, m + D(G(z))) with m = 1 (arXiv 1705.02894; 1802.05957, eq. 16).

    With `low` < `high` each logit has a margin of its own, uniform between them, from torch's global generator.
    """
    real, fake = logits_real.float(), logits_fake.float()
    return F.relu(_margins(real, low, high) - real).mean() + F.relu(_margins(fake, low, high) + fake).mean()


def negative_mean_generator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """-E D(G(z)): G's part of the hinge (arXiv 1802.05957, eq. 17) and Wasserstein losses (1701.07875)."""
    return -logits_fake.float().mean()


def least_squares_discriminator(logits_real: Tensor, logits_fake: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2, with the halves of the paper (arXiv 1611.04076, eq. 2)."""
    return (_squared(logits_real, b) + _squared(logits_fake, a)) / 2


def least_squares_generator(logits_real: Tensor, logits_fake: Tensor, c: float = 1.0) -> Tensor:
    """1/2 E (D(G(z)) - c)^2, with the half of the paper (arXiv 1611.04076, eq. 2)."""
    return _squared(logits_fake, c) / 2


def wasserstein_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x): what D maximises in arXiv 1701.07875, eq. 2, with its sign turned."""
    return logits_fake.float().mean() - logits_real.float().mean()


def relativistic_paired_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """-E log sigma(D(x) - D(G(z))) over pairs of a real and a fake (RSGAN, arXiv 1807.00734, section 4.1).

    Equal shapes are paired element by element; batches of different sizes, every real with every fake.
    """
    real, fake = logits_real.float(), logits_fake.float()
    if real.shape != fake.shape:
        real, fake = real.unsqueeze(1), fake.unsqueeze(0)  # [N, 1, ...], [1, M, ...]
    return F.softplus(fake - real).mean()


def relativistic_paired_generator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """-E log sigma(D(G(z)) - D(x)): D's loss with the roles swapped (arXiv 1807.00734, section 4.1)."""
    return relativistic_paired_discriminator(logits_fake, logits_real)


def relativistic_average_discriminator(
    logits_real: Tensor, logits_fake: Tensor, batch_mean: BatchMean = torch.mean
) -> Tensor:
    """-E log sigma(D(x) - E D(G(z))) - E log(1 - sigma(D(G(z)) - E D(x))) (RaSGAN, 1807.00734, section 4.3).

    `batch_mean` is the inner E; under DDP it must see the batches of all ranks and pass their gradients.
    """
    real, fake = logits_real.float(), logits_fake.float()
    return F.softplus(batch_mean(fake) - real).mean() + F.softplus(fake - batch_mean(real)).mean()


def relativistic_average_generator(
    logits_real: Tensor, logits_fake: Tensor, batch_mean: BatchMean = torch.mean
) -> Tensor:
    """Both terms of D's loss with the roles swapped (arXiv 1807.00734, section 4.3)."""
    return relativistic_average_discriminator(logits_fake, logits_real, batch_mean)


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def _margins(logits: Tensor, low: float, high: float) -> Tensor | float:
    # A fixed margin must not move the generator of random numbers.
    return low if low == high else torch.empty_like(logits).uniform_(low, high)


def _squared(logits: Tensor, target: float) -> Tensor:
    return (logits.float() - target).square().mean()


def _cross_entropy_with(modifiers: Modifiers) -> LossFunction:
    labels = modifiers.label_smoothing
    if labels is None:
        return cross_entropy_discriminator
    return partial(cross_entropy_discriminator, real=labels.real, fake=labels.fake)


def _minimax(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return AdversarialLoss(_cross_entropy_with(modifiers), minimax_generator, needs_real=False)


def _non_saturating(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return AdversarialLoss(_cross_entropy_with(modifiers), non_saturating_generator, needs_real=False)


def _hinge(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    margins = modifiers.noisy_margins
    low, high = (margins.low, margins.high) if margins else (1.0, 1.0)
    discriminator = partial(hinge_discriminator, low=low, high=high)
    return AdversarialLoss(discriminator, negative_mean_generator, needs_real=False)


def _least_squares(spec: LeastSquares, modifiers: Modifiers) -> AdversarialLoss:
    labels = modifiers.label_smoothing
    a, b = (labels.fake, labels.real) if labels else (spec.a, spec.b)
    return AdversarialLoss(
        partial(least_squares_discriminator, a=a, b=b),
        partial(least_squares_generator, c=spec.c),
        needs_real=False,
    )


def _wasserstein(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return AdversarialLoss(wasserstein_discriminator, negative_mean_generator, needs_real=False)


def _relativistic_paired(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return AdversarialLoss(relativistic_paired_discriminator, relativistic_paired_generator, needs_real=True)


def _relativistic_average(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return AdversarialLoss(
        partial(relativistic_average_discriminator, batch_mean=modifiers.batch_mean),
        partial(relativistic_average_generator, batch_mean=modifiers.batch_mean),
        needs_real=True,
    )


ADVERSARIAL: dict[str, Callable[[Any, Modifiers], AdversarialLoss]] = {
    "minimax": _minimax,
    "non_saturating": _non_saturating,
    "hinge": _hinge,
    "lsgan": _least_squares,
    "wasserstein": _wasserstein,
    "rpgan": _relativistic_paired,
    "ragan": _relativistic_average,
}


def build_adversarial(
    spec: Adversarial,
    *,
    label_smoothing: LabelSmoothing | None = None,
    noisy_margins: NoisyMargins | None = None,
    batch_mean: BatchMean = torch.mean,
) -> AdversarialLoss:
    """The pair of losses that `spec` names, with the tricks that act on D's targets.

    Label smoothing changes D's targets only, never what G asks of D. `batch_mean` is used by `ragan` alone.
    Raises RecipeError where a trick cannot act on this loss, rather than leaving it out silently.
    """
    if label_smoothing and spec.name not in TAKES_LABELS:
        raise RecipeError(f"label_smoothing softens labels, and {spec.name} has none; drop the one or the other")
    if noisy_margins and spec.name != "hinge":
        raise RecipeError(f"noisy_margins moves the hinge's margins, but the loss is {spec.name}; drop the trick")
    return ADVERSARIAL[spec.name](spec, Modifiers(label_smoothing, noisy_margins, batch_mean))
