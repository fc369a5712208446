"""Penalties of the recipe: what is added to D's loss, as modules whose state is saved with the trial.

The mathematics is in `gradient_penalties` and `logit_penalties`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganray.errors import RecipeError
from ganray.objectives.gradient_penalties import dragan, wgan_gp, zero_centred
from ganray.objectives.logit_penalties import (
    consistency,
    cutmix,
    cutmix_mask,
    flip_and_shift,
    heads_of_mix,
    in_full,
    lecam,
    mix,
    sample_logits,
)
from ganray.recipe import penalties as specs

MOST_HEADS = 16
"""Of a discriminator, so that what is kept per head has a fixed shape."""


class Output(Protocol):
    """What penalties need of D's output, `models.outputs.DiscriminatorOutput`."""

    @property
    def heads(self) -> tuple[Tensor, ...]:
        """One tensor of logits [N, ...] per head."""

    @property
    def pixels(self) -> Tensor | None:
        """[N, 1, R, R]: a logit per pixel, where D has such a head."""


@dataclass(frozen=True)
class Judged:
    """What D saw and said in one of its steps. Images are [N, 3, R, R] in [-1, 1]."""

    judge: Callable[[Tensor], Output]
    """D in fp32, uncompiled and twice differentiable, the batch's labels bound."""
    x_real: Tensor
    """As D saw them in this step, augmented."""
    x_fake: Tensor
    clean_real: Tensor
    """Before augmentation."""
    clean_fake: Tensor
    real: Output
    """What D said of `x_real`, with its graph."""
    fake: Output
    batch_mean: Callable[[Tensor], Tensor]
    """The mean over the elements of all workers."""
    loss: Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
    """D's adversarial loss: (heads of reals, heads of fakes) -> scalar. Collective, as some losses are."""

    def heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """D's heads on these images."""
        return self.judge(x).heads


class Penalty(nn.Module):
    """A penalty of the recipe, to be added to D's loss each `every` steps."""

    spec: Any

    def __init__(self, spec: Any) -> None:
        super().__init__()
        self.spec = spec

    @property
    def every(self) -> int:
        """Steps from one application to the next."""
        every: int = getattr(self.spec, "every", 1)
        return every

    def probability(self, progress: float) -> float:
        """Share of the steps that it may be applied in, at this share of the budget."""
        return 1.0

    def forward(self, judged: Judged) -> Tensor:
        """The penalty times `every`, which keeps its mean over the steps (arXiv 1912.04958)."""
        return self.penalty(judged) * self.every

    def penalty(self, judged: Judged) -> Tensor:
        """The penalty with its weight, a scalar."""
        raise NotImplementedError


class WGANGP(Penalty):
    """`gradient_penalties.wgan_gp` between the reals and fakes that D saw."""

    spec: specs.WGANGP

    def penalty(self, judged: Judged) -> Tensor:
        return wgan_gp(judged.heads, in_full(judged.x_real), judged.x_fake, self.spec.weight)


class R1(Penalty):
    """`gradient_penalties.zero_centred` on the reals that D saw."""

    spec: specs.R1

    def penalty(self, judged: Judged) -> Tensor:
        return zero_centred(judged.heads, in_full(judged.x_real), self.spec.gamma)


class R2(Penalty):
    """`gradient_penalties.zero_centred` on the fakes that D saw."""

    spec: specs.R2

    def penalty(self, judged: Judged) -> Tensor:
        return zero_centred(judged.heads, in_full(judged.x_fake), self.spec.gamma)


class DRAGAN(Penalty):
    """`gradient_penalties.dragan` around the reals that D saw."""

    spec: specs.DRAGAN

    def penalty(self, judged: Judged) -> Tensor:
        return dragan(judged.heads, in_full(judged.x_real), self.spec.weight, judged.batch_mean)


class LeCam(Penalty):
    """`logit_penalties.lecam`, with a pair of moving averages per head, which are moved before they are used.

    The first call sets the averages to the means that it sees.
    """

    spec: specs.LeCam
    real: Tensor
    """[MOST_HEADS]: moving average of each head's mean logit of reals; places without a head stay 0."""
    fake: Tensor
    started: Tensor
    """Whether the averages hold anything yet."""

    def __init__(self, spec: specs.LeCam) -> None:
        super().__init__(spec)
        self.register_buffer("real", torch.zeros(MOST_HEADS))
        self.register_buffer("fake", torch.zeros(MOST_HEADS))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def penalty(self, judged: Judged) -> Tensor:
        heads_real, heads_fake = judged.real.heads, judged.fake.heads
        n = len(heads_real)
        if n > MOST_HEADS:
            raise ValueError(f"the discriminator has {n} heads, and LeCam keeps averages of {MOST_HEADS} at most")
        with torch.no_grad():
            rate = torch.where(self.started, 1 - self.spec.decay, 1.0)
            for averages, heads in ((self.real, heads_real), (self.fake, heads_fake)):
                averages[:n].lerp_(_means(heads, judged.batch_mean).to(averages.dtype), rate)
            self.started.fill_(True)
        return self.spec.weight * lecam(heads_real, heads_fake, self.real[:n], self.fake[:n])


def _means(heads: Sequence[Tensor], batch_mean: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([batch_mean(logits) for logits in sample_logits(heads)])


class Consistency(Penalty):
    """`logit_penalties.consistency` of the images before augmentation and their flipped and shifted copies.

    `balanced` adds the same of the fakes (bCR, arXiv 2002.04724). D judges images and copies anew.
    """

    spec: specs.Consistency

    def penalty(self, judged: Judged) -> Tensor:
        sides = (judged.clean_real, judged.clean_fake) if self.spec.balanced else (judged.clean_real,)
        images = [in_full(x.detach()) for x in sides]
        terms = [consistency(judged.heads(x), judged.heads(flip_and_shift(x))) for x in images]
        return self.spec.weight * torch.stack(terms).sum()


class CutMix(Penalty):
    """`logit_penalties.cutmix` of the reals and fakes that D saw, and D's loss of their mixes (arXiv 2002.12655).

    The value of the latter counts logits of plain images too, which complete its sides without a gradient
    (`logit_penalties.heads_of_mix`). G's loss is left alone, as in the paper. Raises RecipeError without logits per
    pixel.
    """

    spec: specs.CutMix

    def probability(self, progress: float) -> float:
        """Rises in a straight line, so that a young G is not found out at once."""
        until = self.spec.until
        return self.spec.probability * (min(1.0, progress / until) if until else 1.0)

    def penalty(self, judged: Judged) -> Tensor:
        x_real, x_fake = in_full(judged.x_real.detach()), in_full(judged.x_fake.detach())
        mask = cutmix_mask(x_real)
        mixed = judged.judge(mix(x_real, x_fake, mask))
        real, fake = judged.real.pixels, judged.fake.pixels
        if real is None or fake is None or mixed.pixels is None:
            raise RecipeError(
                "objective.penalties: cutmix compares logits per pixel, and this discriminator has none; "
                "use discriminator.name: unet, or drop cutmix"
            )
        unlike = self.spec.weight * cutmix(mixed.pixels, real, fake, mask)
        if not self.spec.mixed_images:
            return unlike
        return unlike + judged.loss(*heads_of_mix(mixed.heads, judged.real.heads, judged.fake.heads, mask))


PENALTIES: dict[str, type[Penalty]] = {
    "wgan_gp": WGANGP,
    "r1": R1,
    "r2": R2,
    "dragan": DRAGAN,
    "lecam": LeCam,
    "consistency": Consistency,
    "cutmix": CutMix,
}


def build_penalties(penalties: Sequence[specs.Penalty]) -> nn.ModuleDict:
    """The penalties that the specs name, by name and in their order."""
    return nn.ModuleDict({spec.name: PENALTIES[spec.name](spec) for spec in penalties})
