"""The tricks of the trade. An absent trick is absent from the list."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ganray.recipe.base import Spec

AugmentOp = Literal["color", "translation", "cutout"]


class DiffAugment(Spec):
    """Differentiable augmentation of reals and fakes alike (arXiv 2006.10738)."""

    name: Literal["diffaugment"]
    policy: tuple[AugmentOp, ...] = Field(default=("color", "translation"), min_length=1)


class Ema(Spec):
    """Exponential moving average of the generator's parameters and buffers; samples are drawn from it."""

    name: Literal["ema"]
    decay: float = Field(default=0.999, ge=0, lt=1)
    """Per step, whatever the batch size, as in arXiv 2101.04775."""


class Flips(Spec):
    """Each real image is mirrored with probability 1/2 when it is shown."""

    name: Literal["flips"]


class LabelSmoothing(Spec):
    """Targets of D softened from 1 and 0 (arXiv 1606.03498, section 3.4: one-sided leaves `fake` at 0)."""

    name: Literal["label_smoothing"]
    real: float = Field(default=0.9, ge=0.5, le=1)
    fake: float = Field(default=0.0, ge=0, le=0.5)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.real <= self.fake:
            raise ValueError(f"real ({self.real}) must be above fake ({self.fake}), or D is asked to err")
        return self


class NoisyMargins(Spec):
    """Hinge margins drawn per logit, uniform in [low, high] (FastGAN's authors train with 0.8 to 1.0)."""

    name: Literal["noisy_margins"]
    low: float = Field(default=0.8, gt=0)
    high: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not be above high ({self.high})")
        return self


Trick = Annotated[
    DiffAugment | Ema | Flips | LabelSmoothing | NoisyMargins,
    Field(discriminator="name"),
]
