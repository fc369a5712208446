"""The tricks of the trade. An absent trick is absent from the list."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ganray.recipe.base import Spec

AugmentOp = Literal["color", "translation", "cutout"]


class DiffAugment(Spec):
    """Differentiable augmentation of reals and fakes alike (arXiv 2006.10738). `D(T(x))` and `D(T(G(z)))` in place of
    `D(x)` and `D(G(z))`, in D's step and in G's, T drawn anew for each image.

    Use it always with fewer than a thousand images; not together with `ada`, which augments too.
    """

    name: Literal["diffaugment"]
    policy: tuple[AugmentOp, ...] = Field(default=("color", "translation"), min_length=1)


class Ema(Spec):
    """Exponential moving average of the generator's parameters and buffers; samples are drawn from it. `theta_ema <-
    decay * theta_ema + (1 - decay) * theta` after each step of G (arXiv 1806.04498).

    Use it always: it costs a copy of G and smooths away the last steps' wobble; not with a memory of 1 / (1 - decay)
    steps that is longer than the training.
    """

    name: Literal["ema"]
    decay: float = Field(default=0.999, ge=0, lt=1)
    """Per step, whatever the batch size, as in FastGAN's code (arXiv 2101.04775)."""
    warmup: bool = False
    """The decay at step t is at most (1 + t) / (10 + t), so that early weights are forgotten soon."""


class Flips(Spec):
    """Each real image is mirrored with probability 1/2 when it is shown. `x <- mirror(x)`, left to right (Krizhevsky et
    al. 2012, section 4.1).

    Use it where a mirrored image could be a real one, as with faces, animals and landscapes; not with writing or with
    objects that have a left and a right: G would make mirrored ones too.
    """

    name: Literal["flips"]


class LabelSmoothing(Spec):
    """Targets of D softened from 1 and 0 (arXiv 1606.03498, section 3.4: one-sided leaves `fake` at 0). D's term of the
    reals is `-E[real * log sigma(D(x)) + (1 - real) * log(1 - sigma(D(x)))]`, that of the fakes alike; in `lsgan`, `b =
    real` and `a = fake`.

    Use it where D is too sure of itself under `non_saturating`, `minimax` or `lsgan`; not two-sided (`fake` above 0) at
    first: fakes far from all reals then have less reason to move.
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
    """Hinge margins drawn per logit (FastGAN's authors train with 0.8 to 1.0, arXiv 2101.04775 and its code). D
    minimises `E max(0, m - D(x)) + E max(0, m + D(G(z)))`, each m uniform in [low, high].

    Use it with `hinge`, to train as FastGAN's authors do; not with other losses, which have no margin to move.
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
    `t_real ~ U(real)` and `t_fake ~ U(fake)` take the places of 1 and 0 in D's loss.

    Use it where D is too sure of itself under `non_saturating`, `minimax` or `lsgan`; not with `label_smoothing`, nor
    with cross-entropy where a range's mean leaves [0, 1], which then has no minimum.
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
    """D is told the wrong label of a few images (hack 6 of the GAN hacks: occasionally). `t_real <-> t_fake` in D's
    loss, for each image with `probability`.

    Use it where D is too sure of itself under `non_saturating`, `minimax` or `lsgan`; not for more than a few per cent
    of the images: D learns less from each.
    """

    name: Literal["label_flips"]
    probability: float = Field(default=0.05, gt=0, le=0.5)


class InstanceNoise(Spec):
    """Gaussian noise on all that D sees, fading out in a straight line (arXiv 1610.04490, section 3.2.1; hack 13 of the
    GAN hacks). D sees `x + e` and `G(z) + e`, `e ~ N(0, s^2)`, `s = std * max(0, 1 - progress / until)`.

    Use it where D tells reals from fakes at once and G has nothing to follow; not to the very end (`until` below 1), if
    fine detail counts: D cannot see it through the noise.
    """

    name: Literal["instance_noise"]
    std: float = Field(default=0.1, gt=0)
    """In units of images in [-1, 1]."""
    until: float = Field(default=1.0, gt=0, le=1)
    """Share of the budget after which it is gone."""


class JoinedBatches(Spec):
    """Reals and fakes go through D in one batch, which mixes them in batch norm and minibatch statistics. `D(cat(x,
    G(z)))` in place of `D(x)` and `D(G(z))`, in D's step.

    Use it to measure what hack 4 of the GAN hacks (separate batches, our default) is worth; not where D judges each
    image by itself (no batch norm, `minibatch_std` or `minibatch_discrimination`): there it changes nothing and is
    refused.
    """

    name: Literal["joined_batches"]


class Replay(Spec):
    """A share of D's fakes comes from earlier steps (hack 8 of the GAN hacks; arXiv 1612.07828, section 2.3). In D's
    step `G(z) <- G_old(z_old)` with probability `share`, drawn from the `capacity` fakes that are kept.

    Use it where G returns to what D has forgotten, and the two run in circles; not with labels, nor against
    overfitting: the reals stay as few.
    """

    name: Literal["replay"]
    capacity: int = Field(default=256, ge=2, le=65536)
    """Fakes that are kept, over all workers."""
    share: float = Field(default=0.5, gt=0, lt=1)


class Ada(Spec):
    """Adaptive discriminator augmentation: the probability of augmenting follows D's overfitting (arXiv 2006.06676). `p
    <- p + sign(r - target) * interval * batch / (1000 * kimg)`, kept within [0, 1], each `interval` steps; `r = E
    sign(D(x))` over them (eq. 1).

    Use it instead of `diffaugment` where you do not know how much augmentation the set needs; not in a budget that ends
    before p has risen: lower `kimg` with it.
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
    """Adaptive pseudo augmentation: fakes are shown to D as reals, the more the surer it is (arXiv 2111.06849). In D's
    step `x <- G(z)` with probability p, which follows `E sign(D(x))` as that of `ada` does.

    Use it on small sets where D overfits, beside augmentation or where images must not be changed; not in a budget that
    ends before p has risen: lower `kimg` with it.
    """

    name: Literal["apa"]
    target: float = Field(default=0.6, gt=0, lt=1)
    kimg: float = Field(default=500.0, gt=0)
    """Thousands of images in which the probability can rise from 0 to 1; scale it with the budget."""
    interval: int = Field(default=4, ge=1)


class TopK(Spec):
    """G learns from the fakes alone that D finds most real (arXiv 2002.06224). G's loss is the mean over the `k =
    ceil(s * N)` best of N fakes, `s = 1 - (1 - share) * min(1, progress / until)`.

    Use it where most fakes are good and some spoil the rest, with batches large enough to drop from; not where fakes
    are all alike: it narrows them further.
    """

    name: Literal["top_k"]
    share: float = Field(default=0.5, gt=0, lt=1)
    """Of the batch, at the end."""
    until: float = Field(default=0.5, gt=0, le=1)
    """Share of the budget over which the whole batch shrinks to that."""


class DiscriminatorSteps(Spec):
    """Several steps of D, each on a batch of its own, to one of G (arXiv 1406.2661, algorithm 1, whose `k = n`; hack 14
    of the GAN hacks).

    Use it with the Wasserstein loss; not where D wins anyway. All its batches count as images shown, so G makes fewer
    steps in a budget.
    """

    name: Literal["discriminator_steps"]
    n: int = Field(default=2, ge=2, le=10)


class SkipDiscriminator(Spec):
    """D makes no step while it tells nearly all images apart. It waits while `a > accuracy`, `a <- 0.9 * a + 0.1 *
    (share of logits on the right side)`; hack 11 of the GAN hacks warns against such balancing.

    Use it to measure that warning; not as the cure for a strong D, before `r1` and `diffaugment` were tried: a D that
    stands still teaches G its mistakes.
    """

    name: Literal["skip_discriminator"]
    accuracy: float = Field(default=0.9, gt=0.5, lt=1)
    """Moving average of the share of logits with the right sign, above which D waits."""


class ClipGradients(Spec):
    """Gradients of each network are scaled down to this Euclidean norm at most (arXiv 1211.5063, section 3.2). `g <- g
    * min(1, max_norm / |g|)`.

    Use it against rare bursts (hack 10 of the GAN hacks: norms over 100 mean trouble); not where every step is clipped:
    Adam undoes a constant factor, so lower the rate instead.
    """

    name: Literal["clip_gradients"]
    max_norm: float = Field(default=10.0, gt=0)


class Pretrain(Spec):
    """G first learns to rebuild the training images, each from a latent of its own (GLO, arXiv 1707.05776). G and the
    latents z_i, which stay on their sphere, minimise `E |G(z_i) - x_i| + perceptual * distance(G(z_i), x_i)`.

    Use it for very small sets: G starts from blurred training images rather than from noise; not for thousands of
    images: each is met too seldom for its latent to be found. Part of the budget.
    """

    name: Literal["pretrain"]
    kimg: float = Field(default=10.0, gt=0)
    """Thousands of real images shown before the game begins."""
    latent_lr: float = Field(default=1.0, gt=0)
    """Learning rate of the latents (plain gradient descent on the sphere)."""
    perceptual: float = Field(default=0.0, ge=0)
    """Weight of the perceptual distance beside L1; needs the embedded extractor where it is above 0."""


class FreezeDiscriminator(Spec):
    """FreezeD: the first layers of a pre-trained D stay as they are (arXiv 2002.10964). `theta = theta_pretrained` in
    the first `layers` stages, counted from the image; the others are trained on.

    Use it with `initial.checkpoint`, to move from a large set to a small one; not between sets of different kinds,
    whose textures have little in common.
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
