"""What is added to the adversarial loss: penalties of D, further losses of G, penalties on weights."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec

Every = Annotated[int, Field(ge=1)]
"""Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


class WGANGP(Spec):
    """Gradient penalty at points x' between reals and fakes: weight * E(|grad D(x')| - 1)^2 (arXiv 1704.00028, eq. 3).

    Use it with the Wasserstein loss.
    """

    name: Literal["wgan_gp"]
    weight: float = Field(default=10.0, gt=0)
    every: int = Field(default=1, ge=1)
    """Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


class R1(Spec):
    """Gradient penalty on reals, gamma / 2 * E|grad D(x)|^2 (arXiv 1801.04406, eq. 9).

    Use it with any loss on logits; the smaller the set and the larger the image, the larger gamma.
    """

    name: Literal["r1"]
    gamma: float = Field(default=10.0, gt=0)
    every: int = Field(default=1, ge=1)
    """Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


class R2(Spec):
    """Gradient penalty on fakes, gamma / 2 * E|grad D(G(z))|^2 (arXiv 1801.04406, eq. 10).

    Use it together with `r1` and the `rpgan` loss: the pair of R3GAN (arXiv 2501.05441, section 2).
    """

    name: Literal["r2"]
    gamma: float = Field(default=10.0, gt=0)
    every: Every = 1


class DRAGAN(Spec):
    """Gradient penalty around the reals: weight * E(|grad D(x + noise)| - 1)^2 (arXiv 1705.07215).

    Use it where `wgan_gp` is too strict: D is bound near the data alone, whatever the fakes are. Goes with any loss.
    """

    name: Literal["dragan"]
    weight: float = Field(default=10.0, gt=0)
    every: Every = 1


class LeCam(Spec):
    """Pulls logits towards the moving average of the other side's (LeCam-GAN, arXiv 2104.03310):
    weight * (E(D(x) - a_fake)^2 + E(D(G(z)) - a_real)^2).

    Use it for small sets, where D runs away from the fakes.
    """

    name: Literal["lecam"]
    weight: float = Field(default=0.01, gt=0)
    decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the moving averages of D's mean logits."""


class Consistency(Spec):
    """D is to say the same of an image and of its flipped and shifted copy T(x) (CR-GAN, arXiv 1910.12027):
    weight * E(D(x) - D(T(x)))^2.

    Use it where D overfits and DiffAugment is not wanted.
    """

    name: Literal["consistency"]
    weight: float = Field(default=10.0, gt=0)
    balanced: bool = False
    """Of fakes as well as of reals (bCR, arXiv 2002.04724)."""


class CutMix(Spec):
    """D also learns from mixes of a real and a fake, by what each pixel is from (U-Net GAN, arXiv 2002.12655).
    D's loss takes the mix for a fake and each of its pixels for what it is from; and D's pixel logits of a mix are to
    be the mix of its pixel logits, weight * E(D(mix(x, G(z), M)) - mix(D(x), D(G(z)), M))^2 (eq. 7).

    Use it with the `unet` discriminator: most of what that paper gains comes with it.
    """

    name: Literal["cutmix"]
    weight: float = Field(default=1.0, gt=0)
    """Of the consistency (eq. 7)."""
    mixed_images: bool = True
    """Whether D's loss is of the mixes too; false: the consistency alone."""
    probability: float = Field(default=0.5, gt=0, le=1)
    """Share of D's steps that mix, once it has risen."""
    until: float = Field(default=0.1, ge=0, le=1)
    """Share of the budget over which that rises from 0 (the authors: 20 epochs on FFHQ); 0: no warm-up."""


Penalty = Annotated[WGANGP | R1 | R2 | DRAGAN | LeCam | Consistency | CutMix, Field(discriminator="name")]

GRADIENT_PENALTIES = ("wgan_gp", "r1", "r2", "dragan")
"""Penalties that take the gradient of each sample's logit by its own image."""


class FeatureMatching(Spec):
    """D's mean features of the fakes are to be those of the reals (arXiv 1606.03498, section 3.1):
    weight * |E f(G(z)) - E f(x)|^2 / |E f(x)|^2, the mean over D's feature maps f.

    Use it where G chases D's last word and the loss swings: the statistics of a batch change more slowly.
    """

    name: Literal["feature_matching"]
    weight: float = Field(default=1.0, gt=0)


class L1(Spec):
    """Mean absolute difference of each training image x and what G makes of its own latent z_x: weight * E|x - G(z_x)|
    (a reconstruction term as in arXiv 1611.07004, eq. 3).

    Use it with `pretrain`, which finds those latents: fakes of random latents have no image to be compared with.
    """

    name: Literal["l1"]
    weight: float = Field(default=1.0, gt=0)


class Content(Spec):
    """Perceptual distance of each training image and what G makes of its own latent (arXiv 1603.08155).

    Use it with `pretrain`, which finds those latents. Features of the embedded extractor.
    """

    name: Literal["content"]
    weight: float = Field(default=1.0, gt=0)


class Style(Spec):
    """Distance of the mean Gram matrices A of fakes and reals (arXiv 1603.08155), on the embedded extractor:
    weight * |E A(G(z)) - E A(x)|^2 / |E A(x)|^2, the mean over its feature maps.

    Use it for textures.
    """

    name: Literal["style"]
    weight: float = Field(default=1.0, gt=0)


class ModeSeeking(Spec):
    """Distance of latents over distance of images, for pairs of fakes of one class (MSGAN, arXiv 1903.05628):
    weight / E[d(G(z1), G(z2)) / d(z1, z2)], d the mean absolute difference.

    Use it where fakes are all alike. With class labels G makes a second batch for it, so its steps cost more.
    """

    name: Literal["mode_seeking"]
    weight: float = Field(default=0.1, gt=0)


class PathLength(Spec):
    """A step in the latent is to move the image by the same length everywhere (StyleGAN2, arXiv 1912.04958, eq. 4):
    weight * E(|J' y| - a)^2, J = dG/dz, y an image of noise, a the moving average of the lengths.

    Use it where interpolations jump; it costs a second derivative through G, so it is lazy by default.
    """

    name: Literal["path_length"]
    weight: float = Field(default=2.0, gt=0)
    decay: float = Field(default=0.01, gt=0, le=1)
    """How fast the moving average of the lengths follows."""
    every: Every = 4


GeneratorLoss = Annotated[
    FeatureMatching | L1 | Content | Style | ModeSeeking | PathLength, Field(discriminator="name")
]

Network = Literal["generator", "discriminator", "both"]


class Orthogonal(Spec):
    """Off-diagonal elements of W W' are to vanish: weight * |W W' * (1 - I)|^2 (BigGAN, arXiv 1809.11096, eq. 3).

    Use it on the generator where you mean to truncate latents when sampling.
    """

    name: Literal["orthogonal"]
    weight: float = Field(default=1e-4, gt=0)
    network: Network = "generator"


class HistoricalAveraging(Spec):
    """Squared distance of the weights to their average over time, weight * |w - mean w|^2 (arXiv 1606.03498, sec. 3.3).

    Use it where the two networks circle around each other and the losses swing.
    """

    name: Literal["historical_averaging"]
    weight: float = Field(default=1.0, gt=0)
    network: Network = "both"


class WeightClipping(Spec):
    """D's weights are clipped to [-limit, limit] after each of its steps (arXiv 1701.07875, algorithm 1).

    Use it to see what `wgan_gp` is worth.
    """

    name: Literal["weight_clipping"]
    limit: float = Field(default=0.01, gt=0)


WeightPenalty = Annotated[Orthogonal | HistoricalAveraging | WeightClipping, Field(discriminator="name")]
