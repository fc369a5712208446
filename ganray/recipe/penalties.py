"""What is added to the adversarial loss: penalties of D, further losses of G, penalties on weights."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec

Every = Annotated[int, Field(ge=1)]
"""Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


class WGANGP(Spec):
    """Gradient penalty between reals and fakes (arXiv 1704.00028, eq. 3).

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
    """Gradient penalty around the reals: weight * E(|grad D(x + noise)| - 1)^2 (arXiv 1705.07215)."""

    name: Literal["dragan"]
    weight: float = Field(default=10.0, gt=0)
    every: Every = 1


class LeCam(Spec):
    """Pulls logits towards the moving average of the other side's (LeCam-GAN, arXiv 2104.03310).

    Use it for small sets, where D runs away from the fakes.
    """

    name: Literal["lecam"]
    weight: float = Field(default=0.01, gt=0)
    decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the moving averages of D's mean logits."""


class Consistency(Spec):
    """D is to say the same of an image and of its flipped and shifted copy (CR-GAN, arXiv 1910.12027).

    Use it where D overfits and DiffAugment is not wanted.
    """

    name: Literal["consistency"]
    weight: float = Field(default=10.0, gt=0)
    balanced: bool = False
    """Of fakes as well as of reals (bCR, arXiv 2002.04724)."""


class CutMix(Spec):
    """D's pixel logits of a mixed image are to be the mix of its pixel logits (U-Net GAN, arXiv 2002.12655).

    Use it with the `unet` discriminator.
    """

    name: Literal["cutmix"]
    weight: float = Field(default=1.0, gt=0)


Penalty = Annotated[WGANGP | R1 | R2 | DRAGAN | LeCam | Consistency | CutMix, Field(discriminator="name")]

GRADIENT_PENALTIES = ("wgan_gp", "r1", "r2", "dragan")
"""Penalties that take the gradient of each sample's logit by its own image."""


class FeatureMatching(Spec):
    """D's mean features of the fakes are to be those of the reals (arXiv 1606.03498, section 3.1)."""

    name: Literal["feature_matching"]
    weight: float = Field(default=1.0, gt=0)


class L1(Spec):
    """Mean absolute difference of each training image and what G makes of its own latent.

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
    """Distance of the mean Gram matrices of fakes and reals (arXiv 1603.08155), on the embedded extractor.

    Use it for textures.
    """

    name: Literal["style"]
    weight: float = Field(default=1.0, gt=0)


class ModeSeeking(Spec):
    """Distance of latents over distance of images, for pairs of fakes (MSGAN, arXiv 1903.05628).

    Use it where fakes are all alike.
    """

    name: Literal["mode_seeking"]
    weight: float = Field(default=0.1, gt=0)


class PathLength(Spec):
    """A step in the latent is to move the image by the same length everywhere (StyleGAN2, arXiv 1912.04958)."""

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
    """Off-diagonal elements of W W' are to vanish (BigGAN, arXiv 1809.11096)."""

    name: Literal["orthogonal"]
    weight: float = Field(default=1e-4, gt=0)
    network: Network = "generator"


class HistoricalAveraging(Spec):
    """Squared distance of the weights to their average over time (arXiv 1606.03498, section 3.3)."""

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
