"""What is added to the adversarial loss: penalties of D, further losses of G, penalties on weights."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec

Every = Annotated[int, Field(ge=1)]
"""Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


class WGANGP(Spec):
    """Gradient penalty between reals and fakes (arXiv 1704.00028, eq. 3). `weight * E (|grad D(u)| - 1)^2`, u uniform
    on the line from a fake to a real.

    Use it with the Wasserstein loss; not with batch norm in D, which mixes the images' gradients, nor with other losses
    before `r1`.
    """

    name: Literal["wgan_gp"]
    weight: float = Field(default=10.0, gt=0)
    every: int = Field(default=1, ge=1)
    """Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


class R1(Spec):
    """Gradient penalty on reals (arXiv 1801.04406, eq. 9). `gamma / 2 * E |grad D(x)|^2`.

    Use it with any loss on logits; the smaller the set and the larger the image, the larger gamma; not with batch norm
    in D, which mixes the images' gradients.
    """

    name: Literal["r1"]
    gamma: float = Field(default=10.0, gt=0)
    every: int = Field(default=1, ge=1)
    """Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


class R2(Spec):
    """Gradient penalty on fakes (arXiv 1801.04406, eq. 10). `gamma / 2 * E |grad D(G(z))|^2`.

    Use it together with `r1` and the `rpgan` loss: the pair of R3GAN (arXiv 2501.05441, section 2); not with batch norm
    in D, which mixes the images' gradients.
    """

    name: Literal["r2"]
    gamma: float = Field(default=10.0, gt=0)
    every: Every = 1


class DRAGAN(Spec):
    """Gradient penalty around the reals (DRAGAN, arXiv 1705.07215). `weight * E (|grad D(x + e)| - 1)^2`, e Gaussian
    noise of a sixth of the reals' standard deviation.

    Use it with any loss, where a constraint all the way to the fakes (`wgan_gp`) is too much; not before `r1`, which is
    proven to converge locally (arXiv 1801.04406), nor with batch norm in D.
    """

    name: Literal["dragan"]
    weight: float = Field(default=10.0, gt=0)
    every: Every = 1


class LeCam(Spec):
    """Pulls logits towards the moving average of the other side's (LeCam-GAN, arXiv 2104.03310). `weight * (E (D(x) -
    a_fake)^2 + E (D(G(z)) - a_real)^2)`, the a being moving averages of D's mean logits.

    Use it for small sets, where D runs away from the fakes; not where D is weak already, for it holds D back.
    """

    name: Literal["lecam"]
    weight: float = Field(default=0.01, gt=0)
    decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the moving averages of D's mean logits."""


class Consistency(Spec):
    """D is to say the same of an image and of its flipped and shifted copy (CR-GAN, arXiv 1910.12027). `weight * E
    (D(x) - D(T(x)))^2`, T a random flip and a shift by at most an eighth of the side.

    Use it where D overfits and DiffAugment is not wanted; not where time is short: D judges the images and their copies
    once more.
    """

    name: Literal["consistency"]
    weight: float = Field(default=10.0, gt=0)
    balanced: bool = False
    """Of fakes as well as of reals (bCR, arXiv 2002.04724)."""


class CutMix(Spec):
    """D also learns from mixes of a real and a fake, by what each pixel is from (U-Net GAN, arXiv 2002.12655, section
    3.2). `weight * E (D(mix(x, G(z), M)) - mix(D(x), D(G(z)), M))^2` of the pixels' logits (eq. 7), and D's own loss of
    the mix, taken for a fake as a whole and pixel by pixel for what it is from; `mix(a, b, M) = M * a + (1 - M) * b`.

    Use it with the `unet` discriminator, where D goes by textures or marks that a mix of two images does not change;
    not with other discriminators, which have no logit per pixel.
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
    """D's mean features of the fakes are to be those of the reals (arXiv 1606.03498, section 3.1). `weight * |E f(G(z))
    - E f(x)|^2 / |E f(x)|^2`, the mean over D's feature maps f.

    Use it where G and D run in circles and G needs a calmer target; not with a few images per batch, whose means are
    noise, nor in place of the adversarial loss: means do not make single images sharp.
    """

    name: Literal["feature_matching"]
    weight: float = Field(default=1.0, gt=0)


class L1(Spec):
    """Mean absolute difference of each training image and what G makes of its own latent. `weight * E |G(z_i) - x_i|`,
    z_i as pre-training found it (GLO, arXiv 1707.05776); beside a GAN's loss as in pix2pix (arXiv 1611.07004, section
    3.1).

    Use it with `pretrain`, which finds those latents: fakes of random latents have no image to be compared with; not
    with much weight, which ends in blurred copies of the set.
    """

    name: Literal["l1"]
    weight: float = Field(default=1.0, gt=0)


class Content(Spec):
    """Perceptual distance of each training image and what G makes of its own latent (arXiv 1603.08155). `weight * E
    |f(G(z_i)) - f(x_i)|^2`, the mean over places and maps, f the embedded extractor's feature vectors scaled to length
    1.

    Use it with `pretrain`, which finds those latents; not with much weight, which ends in copies, nor ranked by
    fd_lite0 protocols, which look through the same extractor.
    """

    name: Literal["content"]
    weight: float = Field(default=1.0, gt=0)


class Style(Spec):
    """Distance of the mean Gram matrices of fakes and reals (arXiv 1603.08155), on the embedded extractor. `weight * |E
    M(G(z)) - E M(x)|^2 / |E M(x)|^2`, the mean over its maps f; `M = f f' / (C h w)`.

    Use it for textures; not where layout matters, which Gram matrices do not see, nor ranked by fd_lite0 protocols,
    which look through the same extractor.
    """

    name: Literal["style"]
    weight: float = Field(default=1.0, gt=0)


class ModeSeeking(Spec):
    """Fakes of different latents are to differ (MSGAN, arXiv 1903.05628). `weight / E[d(G(z1), G(z2)) / d(z1, z2)]`, d
    the mean absolute difference, for pairs of fakes of one class.

    Use it where fakes are all alike; not where they differ already: it pays for noise and artefacts too. With class
    labels G makes a second batch for it, so its steps cost more.
    """

    name: Literal["mode_seeking"]
    weight: float = Field(default=0.1, gt=0)


class PathLength(Spec):
    """A step in the latent is to move the image by the same length everywhere (StyleGAN2, arXiv 1912.04958, section
    3.2). `weight * E (|J' y| - a)^2`, `J = dG / dz`, y an image of noise from N(0, 1) / sqrt(pixels), a the moving
    average of |J' y|.

    Use it for even interpolations and for latents that can be found from images; not on a tight budget, for it
    differentiates G twice, nor with batch norm in G.
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
    """Off-diagonal elements of W W' are to vanish (BigGAN, arXiv 1809.11096, section 3.1). `weight * sum |W W' * (1 -
    I)|^2` over the network's filter matrices W.

    Use it where images of truncated latents break, as its authors do; not where latents are never truncated.
    """

    name: Literal["orthogonal"]
    weight: float = Field(default=1e-4, gt=0)
    network: Network = "generator"


class HistoricalAveraging(Spec):
    """Squared distance of the weights to their average over time (arXiv 1606.03498, section 3.3). `weight * |theta -
    (theta_1 + ... + theta_t) / t|^2`, theta_i the weights after step i.

    Use it where G and D circle around each other and do not settle; not with a large weight: it is a sum over all
    parameters, and brakes whatever has to move far, as at the beginning.
    """

    name: Literal["historical_averaging"]
    weight: float = Field(default=1.0, gt=0)
    network: Network = "both"


class WeightClipping(Spec):
    """D's weights are clipped to [-limit, limit] after each of its steps (arXiv 1701.07875, algorithm 1). `theta <-
    max(-limit, min(limit, theta))`.

    Use it to see what `wgan_gp` is worth; not for good images: a clipped D learns simple functions, and its gradients
    vanish or explode (arXiv 1704.00028, section 3).
    """

    name: Literal["weight_clipping"]
    limit: float = Field(default=0.01, gt=0)


WeightPenalty = Annotated[Orthogonal | HistoricalAveraging | WeightClipping, Field(discriminator="name")]
