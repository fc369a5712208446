"""What the two networks minimise: one adversarial loss, and whatever is added to it."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec
from ganray.recipe.penalties import GeneratorLoss, Penalty, WeightPenalty


class Minimax(Spec):
    """The saturating loss of the original game (arXiv 1406.2661, eq. 1). D minimises `-E log sigma(D(x)) - E log(1 -
    sigma(D(G(z))))`, G `E log(1 - sigma(D(G(z))))`.

    Use it to see why nobody does: G learns nothing where D is sure; not for good images, for which `non_saturating` has
    the same D.
    """

    name: Literal["minimax"]


class NonSaturating(Spec):
    """The non-saturating loss (arXiv 1406.2661, section 3). D minimises `-E log sigma(D(x)) - E log(1 -
    sigma(D(G(z))))`, G `-E log sigma(D(G(z)))` (hack 2 of the GAN hacks).

    Use it with `r1`: the pair behind StyleGAN2; not without a penalty, spectral norm or augmentation on small sets,
    where D's logits grow without end.
    """

    name: Literal["non_saturating"]


class Hinge(Spec):
    """The hinge loss (arXiv 1705.02894, arXiv 1802.05957 eq. 16 and 17). D minimises `E max(0, 1 - D(x)) + E max(0, 1 +
    D(G(z)))`, G `-E D(G(z))`.

    Use it as the default: FastGAN, SAGAN, BigGAN and Projected GAN do; not with tricks on labels, for it has margins
    instead (`noisy_margins`).
    """

    name: Literal["hinge"]


class LeastSquares(Spec):
    """LSGAN (arXiv 1611.04076) with its targets a (fake), b (real), c (what G wants D to say). D minimises `(E (D(x) -
    b)^2 + E (D(G(z)) - a)^2) / 2`, G `E (D(G(z)) - c)^2 / 2`.

    Use it where the others are unstable: its gradient does not vanish, and PatchGANs like it; not where single logits
    run far off, for their squares rule the step.
    """

    name: Literal["lsgan"]
    a: float = 0.0
    b: float = 1.0
    c: float = 1.0


class Wasserstein(Spec):
    """The critic's difference of means (arXiv 1701.07875, eq. 2); needs a Lipschitz constraint. D minimises `E D(G(z))
    - E D(x)`, G `-E D(G(z))`.

    Use it with `wgan_gp` and several steps of D per step of G; not in a short budget, which those steps eat up.
    """

    name: Literal["wasserstein"]


class RelativisticPaired(Spec):
    """RpGAN: each real against one fake (RSGAN in arXiv 1807.00734). D minimises `-E log sigma(D(x) - D(G(z)))`, G `-E
    log sigma(D(G(z)) - D(x))`.

    Use it with [r1, r2]: R3GAN (arXiv 2501.05441, section 2) proves that it then converges locally; not alone, where it
    need not converge.
    """

    name: Literal["rpgan"]


class RelativisticAverage(Spec):
    """RaGAN: each side against the other side's mean (RaSGAN in arXiv 1807.00734). D minimises `-E log sigma(D(x) - E
    D(G(z))) - E log(1 - sigma(D(G(z)) - E D(x)))`, G the same with reals and fakes swapped.

    Use it where D wins too early: its loss cannot reach zero on reals alone; not with a few images per batch, whose
    means are noise.
    """

    name: Literal["ragan"]


class RelativisticAverageLeastSquares(Spec):
    """RaLSGAN: LSGAN on the difference to the other side's mean logit (arXiv 1807.00734). D minimises `E (D(x) - E
    D(G(z)) - 1)^2 + E (D(G(z)) - E D(x) + 1)^2`, G the same with reals and fakes swapped.

    Use it as a calmer relative of `ragan`; the author's best on cats at 64 and 128 px, but not at 256 px (`ragan`).
    """

    name: Literal["ralsgan"]


class RelativisticAverageHinge(Spec):
    """RaHingeGAN: the hinge on the difference to the other side's mean logit (arXiv 1807.00734). D minimises `E max(0,
    1 - D(x) + E D(G(z))) + E max(0, 1 + D(G(z)) - E D(x))`, G the same with reals and fakes swapped.

    Use it in place of `hinge` where D wins too early; not with a few images per batch, whose means are noise, nor with
    `noisy_margins`.
    """

    name: Literal["rahinge"]


class DualContrastive(Spec):
    """Each real against all fakes of the batch, and each fake against all reals (arXiv 2103.16748). D minimises `E_x
    log(1 + sum_z e^(D(G(z)) - D(x))) + E_z log(1 + sum_x e^(D(G(z)) - D(x)))`, G the same with reals and fakes swapped.

    Use it with large batches, which give every image many to be compared with; not with a few images per batch, where
    little is left but `rpgan`.
    """

    name: Literal["dual_contrastive"]


class EnergyBased(Spec):
    """EBGAN: D lowers the energy of reals and lifts that of fakes to a margin (arXiv 1609.03126, eq. 1 and 2). D
    minimises `E e(x) + E max(0, margin - e(G(z)))`, G `E e(G(z))`, the energy e being minus the logit.

    Use it with the `autoencoder` discriminator; its margin is in units of the mean squared error in [-1, 1]; not with
    another discriminator, which has no energy.
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
    `D(x, y) = D(x) + <e_y, f(x)>`, f being D's pooled features; G gets z plus an embedding of y.

    Use it with class folders (`data.labels: folders`); not with few images a class, where conditional GANs collapse and
    others do not (arXiv 2201.06578).
    """

    name: Literal["projection"]


class AuxiliaryClassifier(Spec):
    """AC-GAN: D also names the class of reals and fakes, and G wants its own recognised (arXiv 1610.09585, section 3;
    hack 12 of the GAN hacks). D's loss gets `-weight * (E log P(y | x) + E log P(y | G(z, y)))`, G's `-weight * E log
    P(y | G(z, y))`.

    Use it with class folders where classes are easy to tell apart; not where they overlap: G is paid for typical images
    of a class, and leaves the others out.
    """

    name: Literal["acgan"]
    weight: float = Field(default=1.0, gt=0)


Conditioning = Annotated[Projection | AuxiliaryClassifier, Field(discriminator="name")]


class Contrastive(Spec):
    """D's features of two augmented views of one real are to be nearest to each other (NT-Xent, arXiv 2002.05709, eq.
    1). `-weight * E log(e^(s_ij / temperature) / sum_k e^(s_ik / temperature))`: s the cosine, i and j views of one
    real, k every view but i. A row of the FastGAN paper's self-supervision table (arXiv 2101.04775).

    Use it where D overfits a small set and the batch has many rivals for each view; not with a few images per batch,
    where the task is too easy.
    """

    name: Literal["contrastive"]
    weight: float = Field(default=1.0, gt=0)
    temperature: float = Field(default=0.1, gt=0)


class AspectRatio(Spec):
    """D names by which of five ratios a real was squeezed before it was fitted to the square again. `-weight * E log
    P(ratio | squeezed x)`, ratios from 1/2 to 2. A row of the FastGAN paper's self-supervision table (arXiv
    2101.04775).

    Use it on small sets of objects with a shape of their own, to compare with FastGAN's `decode`; not for textures, in
    which no ratio can be seen.
    """

    name: Literal["aspect_ratio"]
    weight: float = Field(default=1.0, gt=0)


class Rotation(Spec):
    """SSGAN: D names the quarter turn of a real, and G's rotated fakes are to be recognised too (arXiv 1811.11212). D's
    loss gets `-weight * E log P(turn | turned x)`, G's `-generator_weight * E log P(turn | turned G(z))`.

    Use it for images with an up and a down, where D forgets what it had learnt; not for textures or views from above,
    which look alike at each turn.
    """

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
