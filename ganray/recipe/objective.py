"""What the two networks minimise: one adversarial loss and any number of penalties."""

from typing import Annotated, Literal

from pydantic import Field

from ganray.recipe.base import Spec


class Minimax(Spec):
    """The saturating loss of the original game (arXiv 1406.2661, eq. 1)."""

    name: Literal["minimax"]


class NonSaturating(Spec):
    """The non-saturating loss (arXiv 1406.2661, section 3)."""

    name: Literal["non_saturating"]


class Hinge(Spec):
    """The hinge loss (arXiv 1705.02894, arXiv 1802.05957 eq. 16 and 17)."""

    name: Literal["hinge"]


class LeastSquares(Spec):
    """LSGAN (arXiv 1611.04076, eq. 2) with its targets a (fake), b (real), c (what G wants D to say)."""

    name: Literal["lsgan"]
    a: float = 0.0
    b: float = 1.0
    c: float = 1.0


class Wasserstein(Spec):
    """The critic's difference of means (arXiv 1701.07875, eq. 2); needs a Lipschitz constraint."""

    name: Literal["wasserstein"]


class RelativisticPaired(Spec):
    """RpGAN (arXiv 1807.00734, eq. 5 and 6)."""

    name: Literal["rpgan"]


class RelativisticAverage(Spec):
    """RaGAN (arXiv 1807.00734, eq. 9 and 10)."""

    name: Literal["ragan"]


Adversarial = Annotated[
    Minimax | NonSaturating | Hinge | LeastSquares | Wasserstein | RelativisticPaired | RelativisticAverage,
    Field(discriminator="name"),
]


class WGANGP(Spec):
    """Gradient penalty between reals and fakes (arXiv 1704.00028, eq. 3)."""

    name: Literal["wgan_gp"]
    weight: float = Field(default=10.0, gt=0)
    every: int = Field(default=1, ge=1)
    """Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


class R1(Spec):
    """Gradient penalty on reals, gamma / 2 * E|grad D(x)|^2 (arXiv 1801.04406, eq. 9)."""

    name: Literal["r1"]
    gamma: float = Field(default=10.0, gt=0)
    every: int = Field(default=1, ge=1)
    """Applied each so many steps, its weight multiplied by as much (lazy regularisation, arXiv 1912.04958)."""


Penalty = Annotated[WGANGP | R1, Field(discriminator="name")]


class Objective(Spec):
    """One adversarial loss and its penalties."""

    loss: Adversarial = Hinge(name="hinge")
    penalties: tuple[Penalty, ...] = ()
