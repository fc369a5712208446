"""What the trial learns from: a set of images at one resolution."""

from typing import Literal

from pydantic import Field

from ganray.recipe.base import Spec

Resolution = Literal[32, 64, 128, 256, 512, 1024]


class DataSpec(Spec):
    """A folder, a zip, a built-in sample set or a benchmark data set, decoded to `uint8 [N, 3, R, R]`."""

    source: str = Field(min_length=1)
    """A folder (nested or flat), a zip, `sample:NAME` for a built-in sample set, or a fetched benchmark data set:
    `catalog:NAME`, `catalog:NAME:N` for its first N images."""
    resolution: Resolution = 256
    """Side of the square training images in pixels."""
    fit: Literal["crop", "resize"] = "crop"
    """`crop`: largest centre square, then resize; `resize`: squeeze the whole picture into the square."""
    on_corrupt: Literal["fail", "skip"] = "fail"
    """`fail` names every unreadable file and stops; `skip` leaves them out and records them."""
    min_images: int = Field(default=10, ge=1)
    """Fewer images than this is an error."""
    labels: Literal["none", "folders"] = "none"
    """`folders`: the folder that holds an image names its class (`objective.conditioning` says how it is used)."""
