"""Where the weights start from."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from ganray.recipe.base import Spec
from ganray.recipe.uris import refuse_credentials


class Initial(Spec):
    """Weights of an earlier training, fitted where names and shapes agree (transfer learning)."""

    checkpoint: str = Field(min_length=1)
    """A checkpoint of GANRay, or one that `ganray import-fastgan` wrote: a path or an fsspec URI."""
    generator: bool = True
    """Take G's weights (its EMA where there is one)."""
    discriminator: bool = True

    @field_validator("checkpoint")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        return refuse_credentials(value)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.generator or self.discriminator):
            raise ValueError("generator and discriminator are both false, so nothing is taken; leave `initial` out")
        return self
