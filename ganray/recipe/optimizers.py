"""How fast each network learns: one optimizer per network, and a schedule of both learning rates."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator as Tell
from pydantic import Field, Tag

from ganray.recipe.base import Spec

Rate = Annotated[float, Field(gt=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(Spec):
    """Adam (arXiv 1412.6980).

    Use it as the default; beta1 0.5 as DCGAN, or 0 as StyleGAN2 and R3GAN.
    """

    name: Literal["adam"] = "adam"
    lr: float = Field(default=2e-4, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)


class AdamW(Spec):
    """Adam with decoupled weight decay (arXiv 1711.05101)."""

    name: Literal["adamw"]
    lr: Rate = 2e-4
    beta1: Beta = 0.5
    beta2: Beta = 0.999
    weight_decay: float = Field(default=0.01, ge=0)


class SGD(Spec):
    """Stochastic gradient descent with momentum (hack 9 of the GAN hacks: SGD for D, Adam for G)."""

    name: Literal["sgd"]
    lr: Rate = 1e-2
    momentum: Beta = 0.9


class RMSprop(Spec):
    """RMSprop, as WGAN with weight clipping is trained (arXiv 1701.07875, algorithm 1)."""

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
    """Both rates fall in a straight line to `final` times themselves over the budget."""

    name: Literal["linear"]
    warmup_kimg: float = Field(default=0.0, ge=0)
    """Both rates rise from zero over this many kimg."""
    final: float = Field(default=0.0, ge=0, le=1)


class CosineDecay(Spec):
    """Both rates follow half a cosine down to `final` times themselves over the budget (arXiv 1608.03983, eq. 5)."""

    name: Literal["cosine"]
    warmup_kimg: float = Field(default=0.0, ge=0)
    final: float = Field(default=0.0, ge=0, le=1)


class Constant(Spec):
    """Both rates stay, after a warm-up."""

    name: Literal["constant"]
    warmup_kimg: float = Field(default=0.0, ge=0)


Schedule = Annotated[Constant | LinearDecay | CosineDecay, Field(discriminator="name")]


class Optimizers(Spec):
    """One optimizer per network; two learning rates are TTUR (arXiv 1706.08500)."""

    generator: Optimizer = Adam()
    discriminator: Optimizer = Adam()
    schedule: Schedule | None = None
    """null: both rates stay as they are."""
