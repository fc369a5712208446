"""The tricks of the trade. An absent trick is absent from the list."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ganray.recipe.base import Spec

AugmentOp = Literal["color", "translation", "cutout"]


class DiffAugment(Spec):
    """Differentiable augmentation of reals and fakes alike (arXiv 2006.10738).

    Use it always with fewer than a thousand images.
    """

    name: Literal["diffaugment"]
    policy: tuple[AugmentOp, ...] = Field(default=("color", "translation"), min_length=1)


class Ema(Spec):
    """Exponential moving average of the generator's parameters and buffers; samples are drawn from it.

    Use it always: it costs a copy of G and smooths away the last steps' wobble.
    """

    name: Literal["ema"]
    decay: float = Field(default=0.999, ge=0, lt=1)
    """Per step, whatever the batch size, as in FastGAN's code (arXiv 2101.04775)."""
    warmup: bool = False
    """The decay at step t is at most (1 + t) / (10 + t), so that early weights are forgotten soon."""


class Flips(Spec):
    """Each real image is mirrored with probability 1/2 when it is shown.

    Use it where left and right do not matter: it doubles the set for nothing. Not for text or for faces that look
    one way, whose mirror images G would make too.
    """

    name: Literal["flips"]


class LabelSmoothing(Spec):
    """Targets of D softened from 1 and 0 (arXiv 1606.03498, section 3.4: one-sided leaves `fake` at 0).

    Use it where D is too sure of the reals. ADA, APA and `skip_discriminator` take the middle of the two for undecided.
    """

    name: Literal["label_smoothing"]
    real: float = Field(default=0.9, ge=0.5, le=1)
    fake: float = Field(default=0.0, ge=0, le=0.5)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.real <= self.fake:
            raise ValueError(f"real ({self.real}) must be above fake ({self.fake}), or D is asked to err")
        return self


class NoisyMargins(Spec):
    """Hinge margins drawn per logit, uniform in [low, high] (0.8 to 1.0 in FastGAN's code, arXiv 2101.04775).

    Use it with the hinge, whose counterpart of soft labels it is.
    """

    name: Literal["noisy_margins"]
    low: float = Field(default=0.8, gt=0)
    high: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not be above high ({self.high})")
        return self


class SoftLabels(Spec):
    """Targets of D drawn per logit from ranges (hack 6 of the GAN hacks: 0.7 to 1.2 for reals, 0 to 0.3 for fakes).

    Use it where D is too sure of both sides. ADA, APA and `skip_discriminator` take the middle of the ranges' means for
    undecided.
    """

    name: Literal["soft_labels"]
    real: tuple[float, float] = (0.7, 1.2)
    fake: tuple[float, float] = (0.0, 0.3)

    @model_validator(mode="after")
    def _order(self) -> Self:
        for side, (low, high) in (("real", self.real), ("fake", self.fake)):
            if low > high:
                raise ValueError(f"{side} is [low, high]; {low} is above {high}")
        if self.fake[1] >= self.real[0]:
            raise ValueError(f"the ranges overlap ({self.fake[1]} and {self.real[0]}), so D is asked to err")
        return self


class LabelFlips(Spec):
    """D is told the wrong label of a few images (hack 6 of the GAN hacks: occasionally).

    Use it where D wins early; a few per cent are enough.
    """

    name: Literal["label_flips"]
    probability: float = Field(default=0.05, gt=0, le=0.5)


class InstanceNoise(Spec):
    """Gaussian noise on all that D sees, fading out in a straight line (arXiv 1610.04490, section 3.2.1).

    Use it where D tells reals from fakes within the first steps: noise makes the two overlap.
    """

    name: Literal["instance_noise"]
    std: float = Field(default=0.1, gt=0)
    """In units of images in [-1, 1]."""
    until: float = Field(default=1.0, gt=0, le=1)
    """Share of the budget after which it is gone."""


class JoinedBatches(Spec):
    """Reals and fakes go through D in one batch, which mixes them in batch norm and minibatch statistics.

    Use it to measure what hack 4 of the GAN hacks (separate batches, our default) is worth. Refused where D judges
    each image by itself (no batch norm, `minibatch_std` or `minibatch_discrimination`): there it changes nothing.
    """

    name: Literal["joined_batches"]


class Replay(Spec):
    """A share of D's fakes comes from earlier steps (hack 8 of the GAN hacks; arXiv 1612.07828, section 2.3).

    Use it where G goes round in circles, for D forgets what it has unlearnt before.
    """

    name: Literal["replay"]
    capacity: int = Field(default=256, ge=2, le=65536)
    """Fakes that are kept, over all workers."""
    share: float = Field(default=0.5, gt=0, lt=1)


class Ada(Spec):
    """Adaptive discriminator augmentation: the probability of augmenting follows D's overfitting (arXiv 2006.06676).

    Use it instead of `diffaugment` where you do not know how much augmentation the set needs.
    """

    name: Literal["ada"]
    target: float = Field(default=0.6, gt=0, lt=1)
    """Of E[sign(D(x))] over reals (eq. 1, r_t); the sign is by the logit at which D is undecided, which is not 0 under
    `lsgan`, `label_smoothing` and `soft_labels`."""
    kimg: float = Field(default=500.0, gt=0)
    """Thousands of images in which the probability can rise from 0 to 1; scale it with the budget."""
    interval: int = Field(default=4, ge=1)
    """Steps from one adjustment to the next."""
    pipeline: tuple[Literal["blit", "geometry", "color"], ...] = Field(
        default=("blit", "geometry", "color"), min_length=1
    )
    """The families that the paper goes on with after comparing all ("bgc" in its code)."""


class Apa(Spec):
    """Adaptive pseudo augmentation: fakes are shown to D as reals, the more the surer it is (arXiv 2111.06849).

    Use it for small sets, alone or beside an augmentation: it changes no image, so nothing can leak into the fakes.
    """

    name: Literal["apa"]
    target: float = Field(default=0.6, gt=0, lt=1)
    kimg: float = Field(default=500.0, gt=0)
    """Thousands of images in which the probability can rise from 0 to 1; scale it with the budget."""
    interval: int = Field(default=4, ge=1)


class TopK(Spec):
    """G learns from the fakes alone that D finds most real (arXiv 2002.06224).

    Use it where some fakes are good and others hopeless; it makes the fakes less diverse where all are alike.
    """

    name: Literal["top_k"]
    share: float = Field(default=0.5, gt=0, lt=1)
    """Of the batch, at the end."""
    until: float = Field(default=0.5, gt=0, le=1)
    """Share of the budget over which the whole batch shrinks to that."""


class DiscriminatorSteps(Spec):
    """Several steps of D, each on a batch of its own, to one of G (arXiv 1406.2661, algorithm 1).

    Use it with the Wasserstein loss. All its batches count as images shown, so G makes fewer steps in a budget.
    """

    name: Literal["discriminator_steps"]
    n: int = Field(default=2, ge=2, le=10)


class SkipDiscriminator(Spec):
    """D makes no step while it tells nearly all images apart.

    Hack 11 of the GAN hacks warns against balancing by statistics: a D that stands still teaches G its mistakes.
    Measure before you believe in it.
    """

    name: Literal["skip_discriminator"]
    accuracy: float = Field(default=0.9, gt=0.5, lt=1)
    """Moving average of the share of logits with the right sign, above which D waits."""


class ClipGradients(Spec):
    """Gradients of each network are scaled down to this Euclidean norm at most (arXiv 1211.5063, section 3.2).

    Use it where single steps throw a training off (gradient norms far above the usual), not as a cure of divergence.
    """

    name: Literal["clip_gradients"]
    max_norm: float = Field(default=10.0, gt=0)


class Pretrain(Spec):
    """G first learns to rebuild the training images, each from a latent of its own (GLO, arXiv 1707.05776).

    Use it for very small sets: G starts from blurred training images rather than from noise. Part of the budget.
    """

    name: Literal["pretrain"]
    kimg: float = Field(default=10.0, gt=0)
    """Thousands of real images shown before the game begins."""
    latent_lr: float = Field(default=1.0, gt=0)
    """Learning rate of the latents (plain gradient descent on the sphere)."""
    perceptual: float = Field(default=0.0, ge=0)
    """Weight of the perceptual distance beside L1; needs the embedded extractor where it is above 0."""


class FreezeDiscriminator(Spec):
    """FreezeD: the first layers of a pre-trained D stay as they are (arXiv 2002.10964).

    Use it with `initial.checkpoint`, to move from a large set to a small one.
    """

    name: Literal["freeze_d"]
    layers: int = Field(default=3, ge=1, le=8)
    """Counted from the image."""


Trick = Annotated[
    Ada
    | Apa
    | ClipGradients
    | DiffAugment
    | DiscriminatorSteps
    | Ema
    | Flips
    | FreezeDiscriminator
    | InstanceNoise
    | JoinedBatches
    | LabelFlips
    | LabelSmoothing
    | NoisyMargins
    | Pretrain
    | Replay
    | SkipDiscriminator
    | SoftLabels
    | TopK,
    Field(discriminator="name"),
]
