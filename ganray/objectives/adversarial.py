"""Adversarial losses as pure pairs of functions: logits of any shape in, scalar out.

Every function takes `(logits_real, logits_fake)`, tensors of any shape (one logit per sample, a grid of
patches, one per pixel), computes in fp32 whatever their type, and returns the mean over all logits.
D(x) below is the logit; sigma(D(x)) the probability that x is real. Losses with targets are in `targets.py`,
losses that compare reals with fakes in `relativistic.py`; the others, and what a recipe's loss becomes, are here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganray.errors import RecipeError
from ganray.objectives.relativistic import (
    BatchMean,
    dual_contrastive_discriminator,
    dual_contrastive_generator,
    relativistic_average_discriminator,
    relativistic_average_generator,
    relativistic_hinge_discriminator,
    relativistic_hinge_generator,
    relativistic_least_squares_discriminator,
    relativistic_least_squares_generator,
    relativistic_paired_discriminator,
    relativistic_paired_generator,
)
from ganray.objectives.targets import (
    RandomTargets,
    Range,
    cross_entropy_discriminator,
    least_squares_discriminator,
    least_squares_generator,
    minimax_generator,
    non_saturating_generator,
)
from ganray.recipe.combinations import TAKES_LABELS
from ganray.recipe.objective import Adversarial, EnergyBased, LeastSquares
from ganray.recipe.tricks import LabelFlips, LabelSmoothing, NoisyMargins, SoftLabels

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""(logits_real, logits_fake) -> scalar, of one head."""

Gather = Callable[[Tensor], Tensor]
"""This worker's batch [N, ...] -> those of all workers [W N, ...], differentiable."""


@dataclass(frozen=True)
class AdversarialLoss:
    """What D and G minimise."""

    discriminator: LossFunction
    generator: LossFunction
    """`logits_real` is ignored unless `needs_real`; any tensor will do then."""
    needs_real: bool
    """The generator's step needs D's logits on reals (relativistic losses)."""
    code: Callable[[Tensor], Tensor] | None = None
    """D's code of the fakes, [N, C] -> scalar, weight included: added to G's loss where there is one."""


@dataclass(frozen=True)
class Modifiers:
    """What tricks and the distributed loop change in a loss."""

    label_smoothing: LabelSmoothing | None = None
    soft_labels: SoftLabels | None = None
    label_flips: LabelFlips | None = None
    noisy_margins: NoisyMargins | None = None
    batch_mean: BatchMean = torch.mean
    gather: Gather = lambda batch: batch

    def random_targets(self, loss: Callable[..., Tensor], real: float, fake: float) -> RandomTargets | None:
        """D's loss with what soft labels and label flips make of its targets; None where both are absent."""
        if not self.soft_labels and not self.label_flips:
            return None
        ends: tuple[Range, Range] = ((real, real), (fake, fake))
        if self.soft_labels:
            ends = self.soft_labels.real, self.soft_labels.fake
        return RandomTargets(loss, *ends, self.label_flips.probability if self.label_flips else 0.0)


def hinge_discriminator(logits_real: Tensor, logits_fake: Tensor, low: float = 1.0, high: float = 1.0) -> Tensor:
    """E max(0, m - D(x)) + E max(0, m + D(G(z))) with m = 1 (arXiv 1705.02894; 1802.05957, eq. 16).

    With `low` < `high` each logit has a margin of its own, uniform between them, from torch's global generator.
    """
    real, fake = logits_real.float(), logits_fake.float()
    return F.relu(_margins(real, low, high) - real).mean() + F.relu(_margins(fake, low, high) + fake).mean()


def negative_mean_generator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """-E D(G(z)): G's part of the hinge (arXiv 1802.05957, eq. 17) and Wasserstein losses (1701.07875).

    And of the energy-based one (arXiv 1609.03126, eq. 2), where minus the logit is the energy.
    """
    return -logits_fake.float().mean()


def wasserstein_discriminator(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x): what D maximises in arXiv 1701.07875, eq. 2, with its sign turned."""
    return logits_fake.float().mean() - logits_real.float().mean()


def energy_discriminator(logits_real: Tensor, logits_fake: Tensor, margin: float) -> Tensor:
    """E e(x) + E max(0, m - e(G(z))), the energy e being minus the logit (arXiv 1609.03126, eq. 1)."""
    return F.relu(margin + logits_fake.float()).mean() - logits_real.float().mean()


def pull_away(code: Tensor) -> Tensor:
    """Mean squared cosine of each two of the codes, [N, C] -> scalar (arXiv 1609.03126, eq. 14); 0 for a single one."""
    n = code.shape[0]
    directions = F.normalize(code.float(), dim=1)
    squared = (directions @ directions.T).square()
    return (squared.sum() - squared.diagonal().sum()) / max(1, n * (n - 1))


def over_heads(loss: LossFunction, heads_real: Sequence[Tensor], heads_fake: Sequence[Tensor]) -> Tensor:
    """The mean of a loss over D's heads, whatever their shapes. Raises ValueError where their numbers differ."""
    if isinstance(loss, RandomTargets):  # a sample whose label is swapped is so for every head
        loss = loss.with_flips(heads_real[0], heads_fake[0])
    losses = [loss(real, fake) for real, fake in zip(heads_real, heads_fake, strict=True)]
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()


def _margins(logits: Tensor, low: float, high: float) -> Tensor | float:
    # A fixed margin must not move the generator of random numbers.
    return low if low == high else torch.empty_like(logits).uniform_(low, high)


def _cross_entropy_with(modifiers: Modifiers) -> LossFunction:
    labels = modifiers.label_smoothing
    real, fake = (labels.real, labels.fake) if labels else (1.0, 0.0)
    drawn = modifiers.random_targets(cross_entropy_discriminator, real, fake)
    return drawn or partial(cross_entropy_discriminator, real=real, fake=fake)


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
    drawn = modifiers.random_targets(
        lambda real, fake, of_real, of_fake: least_squares_discriminator(real, fake, a=of_fake, b=of_real), b, a
    )
    return AdversarialLoss(
        drawn or partial(least_squares_discriminator, a=a, b=b),
        partial(least_squares_generator, c=spec.c),
        needs_real=False,
    )


def _wasserstein(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return AdversarialLoss(wasserstein_discriminator, negative_mean_generator, needs_real=False)


def _relativistic_paired(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return AdversarialLoss(relativistic_paired_discriminator, relativistic_paired_generator, needs_real=True)


def _relativistic_average(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return _averaged(relativistic_average_discriminator, relativistic_average_generator, modifiers)


def _relativistic_least_squares(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return _averaged(relativistic_least_squares_discriminator, relativistic_least_squares_generator, modifiers)


def _relativistic_hinge(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    return _averaged(relativistic_hinge_discriminator, relativistic_hinge_generator, modifiers)


def _averaged(
    discriminator: Callable[..., Tensor], generator: Callable[..., Tensor], modifiers: Modifiers
) -> AdversarialLoss:
    mean = modifiers.batch_mean
    return AdversarialLoss(
        partial(discriminator, batch_mean=mean), partial(generator, batch_mean=mean), needs_real=True
    )


def _dual_contrastive(spec: Adversarial, modifiers: Modifiers) -> AdversarialLoss:
    # Each worker computes the loss of the whole batch: the sums inside it are over all samples.
    def of_all(loss: LossFunction) -> LossFunction:
        return lambda real, fake: loss(modifiers.gather(real), modifiers.gather(fake))

    return AdversarialLoss(of_all(dual_contrastive_discriminator), of_all(dual_contrastive_generator), needs_real=True)


def _energy_based(spec: EnergyBased, modifiers: Modifiers) -> AdversarialLoss:
    return AdversarialLoss(
        partial(energy_discriminator, margin=spec.margin),
        negative_mean_generator,
        needs_real=False,
        code=(lambda code: spec.pull_away * pull_away(modifiers.gather(code))) if spec.pull_away else None,
    )


ADVERSARIAL: dict[str, Callable[[Any, Modifiers], AdversarialLoss]] = {
    "minimax": _minimax,
    "non_saturating": _non_saturating,
    "hinge": _hinge,
    "lsgan": _least_squares,
    "wasserstein": _wasserstein,
    "rpgan": _relativistic_paired,
    "ragan": _relativistic_average,
    "ralsgan": _relativistic_least_squares,
    "rahinge": _relativistic_hinge,
    "dual_contrastive": _dual_contrastive,
    "ebgan": _energy_based,
}


def build_adversarial(
    spec: Adversarial,
    *,
    label_smoothing: LabelSmoothing | None = None,
    soft_labels: SoftLabels | None = None,
    label_flips: LabelFlips | None = None,
    noisy_margins: NoisyMargins | None = None,
    batch_mean: BatchMean = torch.mean,
    gather: Gather = lambda batch: batch,
) -> AdversarialLoss:
    """The pair of losses that `spec` names, with the tricks that act on D's targets.

    The tricks change D's targets only, never what G asks of D. `batch_mean` is used by the relativistic averages,
    `gather` by the dual contrastive loss and the pull-away term.
    Raises RecipeError where a trick cannot act on this loss, rather than leaving it out silently.
    """
    modifiers = Modifiers(label_smoothing, soft_labels, label_flips, noisy_margins, batch_mean, gather)
    _refuse(spec, modifiers)
    return ADVERSARIAL[spec.name](spec, modifiers)


def _refuse(spec: Adversarial, modifiers: Modifiers) -> None:
    acts = {
        "label_smoothing": ("softens", modifiers.label_smoothing),
        "soft_labels": ("draws", modifiers.soft_labels),
        "label_flips": ("swaps", modifiers.label_flips),
    }
    for name, (act, trick) in acts.items():
        if trick and spec.name not in TAKES_LABELS:
            raise RecipeError(f"{name} {act} labels, and {spec.name} has none; drop the one or the other")
    if modifiers.label_smoothing and modifiers.soft_labels:
        raise RecipeError("label_smoothing and soft_labels both set D's targets; keep one")
    if modifiers.soft_labels and spec.name != "lsgan":
        _refuse_unbounded(modifiers.soft_labels)
    if modifiers.noisy_margins and spec.name != "hinge":
        raise RecipeError(f"noisy_margins moves the hinge's margins, but the loss is {spec.name}; drop the trick")


def _refuse_unbounded(labels: SoftLabels) -> None:
    # -t log sigma(D) - (1 - t) log(1 - sigma(D)) falls without end in D where t is above 1 on average, or below 0.
    if sum(labels.real) / 2 > 1 or sum(labels.fake) / 2 < 0:
        raise RecipeError(
            f"soft_labels: cross-entropy has no minimum where targets are above 1 or below 0 on average "
            f"(real {labels.real}, fake {labels.fake}); narrow the range or use lsgan"
        )
