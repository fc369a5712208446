"""Further tasks of the discriminator: a small head learns them on its pooled features, and so do its layers.

Heads are trained by D's optimizer. All tasks see square images before augmentation; logits are computed in full
precision.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganray.recipe.objective import SelfSupervision as SelfSupervisionSpec
from ganray.tricks.diffaugment import diff_augment
from ganray.tricks.flips import random_flip

Pooled = Callable[[Tensor], Tensor]
"""Images [N, 3, R, R] in [-1, 1] -> D's pooled features [N, C]."""

PROJECTION = 128
"""Dimensions in which the views are compared (arXiv 2002.05709, section 2.3)."""
VIEW = ("color", "translation")
"""What tells two views of one image apart, besides a flip."""
ASPECT_RATIOS = (0.5, 0.5**0.5, 1.0, 2**0.5, 2.0)
"""Width over height of the window that is squeezed into the square."""
TURNS = 4


class SelfSupervision(nn.Module):
    """Base of D's further tasks, weights included.

    `n_features` is the number C of D's pooled features. Workers need only average the gradients.
    """

    def __init__(self, spec: Any, n_features: int) -> None:
        super().__init__()
        self.spec = spec

    def discriminator(self, pooled: Pooled, x_real: Tensor, x_fake: Tensor) -> Tensor:
        """The scalar that is added to D's loss; `x_real` and `x_fake`: [N, 3, R, R], cut off from G."""
        raise NotImplementedError

    def generator(self, pooled: Pooled, x_fake: Tensor) -> Tensor | None:
        """The scalar that is added to G's loss, through the frozen D; None where the task is D's alone."""
        return None


class Contrastive(SelfSupervision):
    """D's features of two views of a real are to be nearest to each other (NT-Xent, arXiv 2002.05709, eq. 1).

    A view is a random flip, shift and change of colour; both go through D in one batch of 2 N images. They are
    compared by the cosine of a small network's outputs. Rivals are the reals of the worker's own share of the batch;
    one real alone has none and costs nothing.
    """

    def __init__(self, spec: Any, n_features: int) -> None:
        super().__init__(spec, n_features)
        self.head = nn.Sequential(nn.Linear(n_features, n_features), nn.ReLU(), nn.Linear(n_features, PROJECTION))

    def discriminator(self, pooled: Pooled, x_real: Tensor, x_fake: Tensor) -> Tensor:
        views = diff_augment(random_flip(x_real.repeat(2, 1, 1, 1)), VIEW)
        projected = self.head(pooled(views).float())
        loss: Tensor = self.spec.weight * contrastive_loss(projected, self.spec.temperature)
        return loss


def contrastive_loss(projected: Tensor, temperature: float) -> Tensor:
    """NT-Xent of [2 N, P], rows i and N + i being views of one image (arXiv 2002.05709, eq. 1), the mean of rows."""
    n = len(projected) // 2
    projected = F.normalize(projected, dim=1)
    similarity = projected @ projected.T / temperature
    itself = torch.eye(2 * n, dtype=torch.bool, device=projected.device)
    partner = torch.arange(2 * n, device=projected.device).roll(n)
    return F.cross_entropy(similarity.masked_fill(itself, -torch.inf), partner)


class AspectRatio(SelfSupervision):
    """D names by which of five ratios a real was squeezed (arXiv 2101.04775).

    A random one of the ratios for each real, N images through D.
    """

    def __init__(self, spec: Any, n_features: int) -> None:
        super().__init__(spec, n_features)
        self.head = nn.Linear(n_features, len(ASPECT_RATIOS))

    def discriminator(self, pooled: Pooled, x_real: Tensor, x_fake: Tensor) -> Tensor:
        answer = torch.randint(len(ASPECT_RATIOS), (len(x_real),), device=x_real.device)
        logits = self.head(pooled(squeezed(x_real, answer)).float())
        loss: Tensor = self.spec.weight * F.cross_entropy(logits, answer)
        return loss


def squeezed(x: Tensor, index: Tensor) -> Tensor:
    """Each image's largest central window of width / height ASPECT_RATIOS[index], made square; [N, 3, R, R].

    All windows pass through R / 2 x R / 2 pixels (antialiased), or the enlarged ones would be told by their blur.
    """
    side = x.shape[-1]
    variants = [
        F.interpolate(_window(x, ratio), size=(side // 2, side // 2), mode="bilinear", antialias=True)
        for ratio in ASPECT_RATIOS
    ]
    return F.interpolate(_pick(variants, index), size=(side, side), mode="bilinear")


def _window(x: Tensor, ratio: float) -> Tensor:
    side = x.shape[-1]
    height, width = round(side * min(1.0, 1 / ratio)), round(side * min(1.0, ratio))
    top, left = (side - height) // 2, (side - width) // 2
    return x[..., top : top + height, left : left + width]


class Rotation(SelfSupervision):
    """D names the quarter turn of a real, and G wants those of its fakes to be named (SSGAN, arXiv 1811.11212).

    Each image is turned once at random, which has the mean of the paper's four turns at a quarter of their cost:
    N images through D, in its step and in G's. G's term trains G alone, not the head.
    """

    def __init__(self, spec: Any, n_features: int) -> None:
        super().__init__(spec, n_features)
        self.head = nn.Linear(n_features, TURNS)

    def discriminator(self, pooled: Pooled, x_real: Tensor, x_fake: Tensor) -> Tensor:
        loss: Tensor = self.spec.weight * self._misread(pooled, x_real, self.head.weight, self.head.bias)
        return loss

    def generator(self, pooled: Pooled, x_fake: Tensor) -> Tensor | None:
        if not self.spec.generator_weight:
            return None
        # G's term is not to train the head, whether G's step freezes it with D or not.
        weight, bias = self.head.weight.detach(), self.head.bias.detach()
        loss: Tensor = self.spec.generator_weight * self._misread(pooled, x_fake, weight, bias)
        return loss

    def _misread(self, pooled: Pooled, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        turn = torch.randint(TURNS, (len(x),), device=x.device)
        return F.cross_entropy(F.linear(pooled(turned(x, turn)).float(), weight, bias), turn)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Each image of [N, 3, R, R] turned to the left by `turn` [N] quarters."""
    return _pick([torch.rot90(x, k, dims=(2, 3)) for k in range(TURNS)], turn)


def _pick(variants: Sequence[Tensor], index: Tensor) -> Tensor:
    """For each image, the variant that `index` [N] names: no waiting for the device, unlike a masked choice."""
    return torch.stack(list(variants))[index, torch.arange(len(index), device=index.device)]


SELF_SUPERVISION: dict[str, type[SelfSupervision]] = {
    "contrastive": Contrastive,
    "aspect_ratio": AspectRatio,
    "rotation": Rotation,
}


def build_self_supervision(specs: Sequence[SelfSupervisionSpec], n_features: int) -> nn.ModuleDict:
    """The tasks that `specs` name, by name, their heads' weights drawn from torch's global generator."""
    return nn.ModuleDict({spec.name: SELF_SUPERVISION[spec.name](spec, n_features) for spec in specs})
