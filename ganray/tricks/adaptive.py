"""A probability that follows D's overfitting: what ADA and APA have in common (arXiv 2006.06676)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganray.recipe.objective import LeastSquares
from ganray.recipe.recipe import Recipe


class AdaptiveProbability(nn.Module):
    """Buffer `probability`, [] float32 in [0, 1], which starts at 0 and rises where D is too sure of the reals.

    The paper's heuristic r_t = E[sign(D(x_real) - boundary)] (eq. 1, where that is 0) is taken over `interval` calls
    of `observe`, after which the probability moves by a fixed step up or down, so that it can cross [0, 1] in `kimg`
    thousand images. It is clamped at 1 as well as at 0. Above about 0.8 augmentations may leak into what G makes
    (arXiv 2006.06676); like the authors' code we leave it to reach that, and report it.
    """

    probability: Tensor
    sign_sum: Tensor
    calls: Tensor

    def __init__(self, target: float, kimg: float, interval: int) -> None:
        super().__init__()
        self.target, self.kimg, self.interval = target, kimg, interval
        self.register_buffer("probability", torch.zeros(()))
        self.register_buffer("sign_sum", torch.zeros(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def observe(
        self,
        logits_real: Tensor,
        batch_images: int,
        batch_mean: Callable[[Tensor], Tensor] = torch.mean,
        boundary: Tensor | float = 0.0,
    ) -> None:
        """Once per step of D. Collective: every worker must call it.

        `logits_real`: of any shape, of this worker's reals. `batch_images`: reals of this step over all workers.
        `boundary`: the logit at which D is undecided, see `decision_boundary`.
        """
        r = batch_mean((logits_real.detach().float() - boundary).sign())
        # Branches by arithmetic: reading the counter would make the device wait in every step.
        self.sign_sum += r
        self.calls += 1
        due = self.calls >= self.interval
        change = self.interval * batch_images / (self.kimg * 1000)
        moved = self.probability + change * (self.sign_sum / self.calls - self.target).sign()
        self.probability.copy_(torch.where(due, moved.clamp(0.0, 1.0), self.probability))
        self.sign_sum.copy_(torch.where(due, 0.0, self.sign_sum))
        self.calls.copy_(torch.where(due, 0, self.calls))


def fixed_boundary(recipe: Recipe) -> float | None:
    """The logit above which D takes an image for real; None where the loss sees differences of logits only.

    The best answer to an image that is real as likely as not: the middle of the targets for LSGAN, and for
    cross-entropy the logit whose probability is that middle (0 for targets 1 and 0, as in arXiv 2006.06676, eq. 1;
    -0.2 where label smoothing makes them 0.9 and 0). Label flips move both targets towards the same middle. Soft labels
    whose middle is no probability leave cross-entropy without such an answer.
    """
    loss = recipe.objective.loss
    if loss.name == "hinge":
        return 0.0
    real, fake = (loss.b, loss.a) if isinstance(loss, LeastSquares) else (1.0, 0.0)
    if smoothing := recipe.trick("label_smoothing"):
        real, fake = smoothing.real, smoothing.fake
    if soft := recipe.trick("soft_labels"):
        real, fake = sum(soft.real) / 2, sum(soft.fake) / 2
    middle: float = (real + fake) / 2
    if isinstance(loss, LeastSquares):
        return middle
    is_probability = loss.name in ("minimax", "non_saturating") and 0 < middle < 1
    return math.log(middle / (1 - middle)) if is_probability else None


def decision_boundary(
    recipe: Recipe, logits_real: Tensor, logits_fake: Tensor, batch_mean: Callable[[Tensor], Tensor] = torch.mean
) -> Tensor | float:
    """The logit at which D tells nothing: above it an image counts as judged real.

    `fixed_boundary` where there is one. Differences of logits leave open where they lie, and they may drift
    together: there it is the middle of the two sides' global means.
    """
    fixed = fixed_boundary(recipe)
    if fixed is not None:
        return fixed
    return (batch_mean(logits_real.detach().float()) + batch_mean(logits_fake.detach().float())) / 2
