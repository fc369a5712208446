"""Losses that compare each logit with a target, and the tricks that act on D's targets.

Cross-entropy (targets 1 and 0) and least squares (targets b and a). Label smoothing moves the targets, soft labels
draw them, label flips swap them between reals and fakes. What G asks of D is never touched.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

Target = Tensor | float
"""What every logit should be (a number), or what each should be (of the logits' shape)."""

Range = tuple[float, float]
"""Lowest and highest target; the same twice is a fixed target."""


def cross_entropy_discriminator(
    logits_real: Tensor, logits_fake: Tensor, real: Target = 1.0, fake: Target = 0.0
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


def least_squares_discriminator(logits_real: Tensor, logits_fake: Tensor, a: Target = 0.0, b: Target = 1.0) -> Tensor:
    """1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2, with the halves of the paper (LSGAN, arXiv 1611.04076)."""
    return (_squared(logits_real, b) + _squared(logits_fake, a)) / 2


def least_squares_generator(logits_real: Tensor, logits_fake: Tensor, c: float = 1.0) -> Tensor:
    """1/2 E (D(G(z)) - c)^2, with the half of the paper (LSGAN, arXiv 1611.04076)."""
    return _squared(logits_fake, c) / 2


@dataclass(frozen=True)
class Flips:
    """Which samples have their labels swapped: bool [N] of the reals and [M] of the fakes; None: none has."""

    real: Tensor | None = None
    fake: Tensor | None = None


@dataclass(frozen=True)
class RandomTargets:
    """D's loss with targets drawn from ranges, and labels swapped now and then (hack 6 of the GAN hacks).

    Called with `(logits_real, logits_fake)`. Targets are drawn per logit, swaps per sample (the first dimension),
    from torch's global generator of the logits' device; a fixed target and a probability of 0 draw nothing.
    """

    loss: Callable[[Tensor, Tensor, Target, Target], Tensor]
    """(logits_real, logits_fake, target_real, target_fake) -> scalar."""
    real: Range
    fake: Range
    flip_probability: float = 0.0
    flips: Flips | None = None
    """Those that are drawn already; None: they are drawn in the call."""

    def __call__(self, logits_real: Tensor, logits_fake: Tensor) -> Tensor:
        flips = self.with_flips(logits_real, logits_fake).flips or Flips()
        target_real = _targets(logits_real, self.real, self.fake, flips.real)
        target_fake = _targets(logits_fake, self.fake, self.real, flips.fake)
        return self.loss(logits_real, logits_fake, target_real, target_fake)

    def with_flips(self, logits_real: Tensor, logits_fake: Tensor) -> "RandomTargets":
        """The same loss with its flips drawn, for several heads that judge the same samples."""
        if not self.flip_probability or self.flips is not None:
            return self
        drawn = (self._drawn(logits) for logits in (logits_real, logits_fake))
        return replace(self, flips=Flips(*drawn))

    def _drawn(self, logits: Tensor) -> Tensor:
        return torch.rand(logits.shape[:1], device=logits.device) < self.flip_probability


def _targets(logits: Tensor, own: Range, other: Range, flipped: Tensor | None) -> Target:
    targets = _uniform(logits, own)
    if flipped is None:
        return targets
    flipped = flipped.reshape(logits.shape[:1] + (1,) * (logits.ndim - 1))  # [N, 1, ...]
    return torch.where(flipped, _uniform(logits, other), targets).expand_as(logits)


def _uniform(logits: Tensor, ends: Range) -> Target:
    low, high = ends
    # A fixed target must not move the generator of random numbers.
    return low if low == high else torch.empty_like(logits, dtype=torch.float32).uniform_(low, high)


def _cross_entropy(logits: Tensor, target: Target) -> Tensor:
    logits = logits.float()
    targets = target if isinstance(target, Tensor) else torch.full_like(logits, target)
    return F.binary_cross_entropy_with_logits(logits, targets)


def _squared(logits: Tensor, target: Target) -> Tensor:
    return (logits.float() - target).square().mean()
