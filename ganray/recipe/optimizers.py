"""How fast each network learns: one optimizer per network, and a schedule of both learning rates."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator as Tell
from pydantic import Field, Tag

from ganray.recipe.base import Spec

Rate = Annotated[float, Field(gt=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(Spec):
    """Adam (arXiv 1412.6980, algorithm 1). `m <- beta1 * m + (1 - beta1) * g`, `v <- beta2 * v + (1 - beta2) * g^2`,
    `theta <- theta - lr * m' / (sqrt(v') + 1e-8)`, m' and v' being corrected for their start at 0.

    Use it as the default; beta1 0.5 as DCGAN, or 0 as StyleGAN2 and R3GAN; not with the usual 0.9, which made DCGAN
    oscillate (arXiv 1511.06434, section 4).
    """

    name: Literal["adam"] = "adam"
    lr: float = Field(default=2e-4, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)


class AdamW(Spec):
    """Adam with decoupled weight decay (arXiv 1711.05101). As `adam`, and `theta <- theta - lr * weight_decay * theta`
    in each step.

    Use it where weights grow without end; not in networks under spectral norm or batch norm, where the size of a weight
    means nothing, and decay only changes how fast it turns.
    """

    name: Literal["adamw"]
    lr: Rate = 2e-4
    beta1: Beta = 0.5
    beta2: Beta = 0.999
    weight_decay: float = Field(default=0.01, ge=0)


class SGD(Spec):
    """Stochastic gradient descent with momentum (hack 9 of the GAN hacks: SGD for D, Adam for G). `m <- momentum * m +
    g`, `theta <- theta - lr * m`.

    Use it for D, to try that hack; not at Adam's rate: it wants one of its own, found by a search.
    """

    name: Literal["sgd"]
    lr: Rate = 1e-2
    momentum: Beta = 0.9


class RMSprop(Spec):
    """RMSprop, as WGAN with weight clipping is trained (arXiv 1701.07875, algorithm 1). `v <- alpha * v + (1 - alpha) *
    g^2`, `theta <- theta - lr * g / (sqrt(v) + 1e-8)`.

    Use it with `wasserstein` and `weight_clipping`, as their paper does; not elsewhere: `adam` with beta1 0 does the
    same, and corrects the start.
    """

    name: Literal["rmsprop"]
    lr: Rate = 5e-5
    alpha: Beta = 0.99


def _name(value: Any) -> str | None:
    """An optimizer without a name is Adam; what is no mapping has no name at all."""
    name = value.get("name", "adam") if isinstance(value, dict) else getattr(value, "name", None)
    return None if name is None else str(name)


Optimizer = Annotated[
    Annotated[Adam, Tag("adam")]
    | Annotated[AdamW, Tag("adamw")]
    | Annotated[SGD, Tag("sgd")]
    | Annotated[RMSprop, Tag("rmsprop")],
    Tell(_name),
]


class LinearDecay(Spec):
    """Both rates fall in a straight line to `final` times themselves over the budget. `lr * (1 - (1 - final) * p)`, p
    the share of the budget behind the warm-up that is spent; as CycleGAN's second half (arXiv 1703.10593).

    Use it where the end of the training wobbles and the budget is fixed; not where runs of different lengths are
    compared: the rate at a given kimg depends on the budget.
    """

    name: Literal["linear"]
    warmup_kimg: float = Field(default=0.0, ge=0)
    """Both rates rise from zero over this many kimg."""
    final: float = Field(default=0.0, ge=0, le=1)


class CosineDecay(Spec):
    """Both rates follow half a cosine down to `final` times themselves over the budget (arXiv 1608.03983, eq. 5). `lr *
    (final + (1 - final) * (1 + cos(pi * p)) / 2)`, p the share of the budget behind the warm-up that is spent.

    Use it in place of `linear`, to spend more of the budget at high rates and at low ones; not where runs of different
    lengths are compared: the rate at a given kimg depends on the budget.
    """

    name: Literal["cosine"]
    warmup_kimg: float = Field(default=0.0, ge=0)
    final: float = Field(default=0.0, ge=0, le=1)


class Constant(Spec):
    """Both rates stay, after a warm-up. `lr * min(1, kimg / warmup_kimg)` (gradual warm-up: arXiv 1706.02677, section
    2.2).

    Use it for a warm-up alone, where the first steps throw the game off; not without one: leaving the schedule out does
    the same.
    """

    name: Literal["constant"]
    warmup_kimg: float = Field(default=0.0, ge=0)


Schedule = Annotated[Constant | LinearDecay | CosineDecay, Field(discriminator="name")]


class Optimizers(Spec):
    """One optimizer per network; two learning rates are TTUR (arXiv 1706.08500)."""

    generator: Optimizer = Adam()
    discriminator: Optimizer = Adam()
    schedule: Schedule | None = None
    """null: both rates stay as they are."""
