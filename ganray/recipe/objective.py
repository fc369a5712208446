"""What the two networks minimise: one adversarial loss, and whatever is added to it."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec
from ganray.recipe.penalties import GeneratorLoss, Penalty, WeightPenalty


class Minimax(Spec):
    """The saturating loss of the original game (arXiv 1406.2661, eq. 1).

    Use it to see why nobody does: G learns nothing where D is sure.
    """

    name: Literal["minimax"]


class NonSaturating(Spec):
    """The non-saturating loss (arXiv 1406.2661, section 3).

    Use it with R1: the pair behind StyleGAN2.
    """

    name: Literal["non_saturating"]


class Hinge(Spec):
    """The hinge loss (arXiv 1705.02894, arXiv 1802.05957 eq. 16 and 17).

    Use it as the default: FastGAN, SAGAN, BigGAN and Projected GAN do.
    """

    name: Literal["hinge"]


class LeastSquares(Spec):
    """LSGAN (arXiv 1611.04076) with its targets a (fake), b (real), c (what G wants D to say).

    Use it where the others are unstable: its gradient does not vanish, and PatchGANs like it.
    """

    name: Literal["lsgan"]
    a: float = 0.0
    b: float = 1.0
    c: float = 1.0


class Wasserstein(Spec):
    """The critic's difference of means (arXiv 1701.07875, eq. 2); needs a Lipschitz constraint.

    Use it with `wgan_gp` and several steps of D per step of G.
    """

    name: Literal["wasserstein"]


class RelativisticPaired(Spec):
    """RpGAN: each real against one fake (RSGAN in arXiv 1807.00734).

    Use it with [r1, r2]: R3GAN (arXiv 2501.05441, section 2) proves that it then converges locally.
    """

    name: Literal["rpgan"]


class RelativisticAverage(Spec):
    """RaGAN: each side against the other side's mean (RaSGAN in arXiv 1807.00734).

    Use it where D wins too early: its loss cannot reach zero on reals alone.
    """

    name: Literal["ragan"]


class RelativisticAverageLeastSquares(Spec):
    """RaLSGAN: LSGAN on the difference to the other side's mean logit (arXiv 1807.00734).

    Use it as a calmer relative of `ragan`; the author's best on cats at 64 and 128 px (`ragan` at 256 px).
    """

    name: Literal["ralsgan"]


class RelativisticAverageHinge(Spec):
    """RaHingeGAN: the hinge on the difference to the other side's mean logit (arXiv 1807.00734)."""

    name: Literal["rahinge"]


class DualContrastive(Spec):
    """Each real against all fakes of the batch, and each fake against all reals (arXiv 2103.16748)."""

    name: Literal["dual_contrastive"]


class EnergyBased(Spec):
    """EBGAN: energy of reals plus max(0, margin - energy of fakes) (arXiv 1609.03126, eq. 1 and 2).

    Use it with the `autoencoder` discriminator; its margin is in units of the mean squared error in [-1, 1].
    """

    name: Literal["ebgan"]
    margin: float = Field(default=0.2, gt=0)
    pull_away: float = Field(default=0.0, ge=0)
    """Weight of the repelling regulariser on the codes of the fakes (eq. 14; the paper uses 0.1); 0 is off."""


Adversarial = Annotated[
    Minimax
    | NonSaturating
    | Hinge
    | LeastSquares
    | Wasserstein
    | RelativisticPaired
    | RelativisticAverage
    | RelativisticAverageLeastSquares
    | RelativisticAverageHinge
    | DualContrastive
    | EnergyBased,
    Field(discriminator="name"),
]


class Projection(Spec):
    """Projection conditioning: the label's embedding times D's features, added to each logit (arXiv 1802.05637, eq. 3).

    Use it with class folders (`data.labels: folders`); G learns the label with its latent.
    """

    name: Literal["projection"]


class AuxiliaryClassifier(Spec):
    """AC-GAN: D also names the class of reals and fakes, and G wants its own recognised (arXiv 1610.09585, section 3).

    Use it with class folders where classes are easy to tell apart.
    """

    name: Literal["acgan"]
    weight: float = Field(default=1.0, gt=0)


Conditioning = Annotated[Projection | AuxiliaryClassifier, Field(discriminator="name")]


class Contrastive(Spec):
    """D's features of two augmented views of one real are to be nearest to each other (NT-Xent, arXiv 2002.05709).

    A row of the FastGAN paper's self-supervision table (arXiv 2101.04775).
    """

    name: Literal["contrastive"]
    weight: float = Field(default=1.0, gt=0)
    temperature: float = Field(default=0.1, gt=0)


class AspectRatio(Spec):
    """D names by which of several ratios a real was squeezed before it was fitted to the square again.

    A row of the FastGAN paper's self-supervision table (arXiv 2101.04775).
    """

    name: Literal["aspect_ratio"]
    weight: float = Field(default=1.0, gt=0)


class Rotation(Spec):
    """SSGAN: D names the quarter turn of a real, and G's rotated fakes are to be recognised too (arXiv 1811.11212)."""

    name: Literal["rotation"]
    weight: float = Field(default=1.0, gt=0)
    """For D; the paper uses 1."""
    generator_weight: float = Field(default=0.2, ge=0)
    """For G; the paper uses 0.2."""


SelfSupervision = Annotated[Contrastive | AspectRatio | Rotation, Field(discriminator="name")]


class Objective(Spec):
    """One adversarial loss, and any number of each of what may be added to it."""

    loss: Adversarial = Hinge(name="hinge")
    penalties: tuple[Penalty, ...] = ()
    """Added to D's loss: on its gradients and on its logits."""
    generator_losses: tuple[GeneratorLoss, ...] = ()
    """Added to G's loss."""
    weight_penalties: tuple[WeightPenalty, ...] = ()
    """On the weights of either network."""
    self_supervision: tuple[SelfSupervision, ...] = ()
    """Further tasks for D (auto-encoding is FastGAN's `discriminator.decode`)."""
    conditioning: Conditioning | None = None
    """How labels are used; needs `data.labels: folders`."""
