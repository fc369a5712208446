"""How long, how it is judged, and on what it runs."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ganray.recipe.base import Spec


class Budget(Spec):
    """How many real images are shown."""

    kimg: float = Field(default=400.0, gt=0)
    """Thousands of real images shown; the paper trains for 400."""
    batch_size: int = Field(default=8, ge=2)
    """Real images per step over all workers."""


class Evaluation(Spec):
    """When and under which protocols checkpoints are scored."""

    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("fid_5k_train",)
    """Names of protocols; the first one is what trials are ranked by unless `search.metric` says otherwise."""
    every_kimg: float = Field(default=40.0, gt=0)
    """The last checkpoint is always scored."""

    @field_validator("protocols")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a protocol is named twice")
        return value


class Runtime(Spec):
    """What changes speed and not meaning; leaves the recipe's hash alone."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    micro_batch: int | None = Field(default=None, ge=1)
    """Images that each worker passes through the networks at once, its part of the batch in several passes whose
    gradients add up; left out: all in one. Saves memory, costs one more pass of G. Refused where the batch matters
    as a whole, as to batch norm."""
