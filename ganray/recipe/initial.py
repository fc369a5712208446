"""Where the weights start from."""

from typing import Self

from pydantic import Field, model_validator

from ganray.recipe.base import Spec


class Initial(Spec):
    """Weights of an earlier training, fitted where names and shapes agree (transfer learning)."""

    checkpoint: str = Field(min_length=1)
    """A checkpoint of GANRay, or one that `ganray import-fastgan` wrote."""
    generator: bool = True
    """Take G's weights (its EMA where there is one)."""
    discriminator: bool = True

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.generator or self.discriminator):
            raise ValueError("generator and discriminator are both false, so nothing is taken; leave `initial` out")
        return self
