"""Protocols: the named ways to compute a metric. The protocol's name is part of the metric's name.

Nothing heavy is imported here: the command line checks names against this table.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

from ganray.errors import RecipeError


@dataclass(frozen=True)
class Protocol:
    """One way to compare generated images with real ones; two protocols' numbers never share a ranking."""

    name: str
    number: str
    """What the number may be called: "FID" belongs to the FID Inception's 2,048 features alone."""
    extractor: Literal["inception", "lite0"]
    dims: int
    """Features per image."""
    n_fake: int
    """Samples drawn from the generator."""
    reals: Literal["train"] = "train"
    """Which real images: `train`, all training images."""
    flips: bool = False
    """Whether the mirror images of the reals count as reals too."""
    description: str = ""


_ALL = (
    Protocol(
        name="fid_5k_train",
        number="FID",
        extractor="inception",
        dims=2048,
        n_fake=5000,
        description="FID as in few-shot papers: 5,000 samples against all training images, pytorch-fid's Inception",
    ),
    Protocol(
        name="fid_768_1k_train",
        number="fid_768",
        extractor="inception",
        dims=768,
        n_fake=1000,
        description="pytorch-fid's 768 features (before the auxiliary classifier); blind to mild blur",
    ),
    Protocol(
        name="fid_192_1k_train",
        number="fid_192",
        extractor="inception",
        dims=192,
        n_fake=1000,
        description="pytorch-fid's 192 features (second pooling): texture and sharpness; read it beside fid_768",
    ),
    Protocol(
        name="fd_lite0_200_train",
        number="FD (EfficientNet-Lite0)",
        extractor="lite0",
        dims=1280,
        n_fake=200,
        description="200 samples, for a laptop's CPU: biased upwards by their small number, alike for every trial",
    ),
    Protocol(
        name="fd_lite0_1k_train",
        number="FD (EfficientNet-Lite0)",
        extractor="lite0",
        dims=1280,
        n_fake=1000,
        description="1,000 samples against all training images, EfficientNet-Lite0; needs no download",
    ),
    Protocol(
        name="fd_lite0_5k_train",
        number="FD (EfficientNet-Lite0)",
        extractor="lite0",
        dims=1280,
        n_fake=5000,
        description="5,000 samples against all training images, EfficientNet-Lite0; needs no download",
    ),
)

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}


def get_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises RecipeError with the nearest names where there is none."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = difflib.get_close_matches(name, PROTOCOLS, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(PROTOCOLS)}"
    raise RecipeError(f"evaluation.protocols: there is no protocol '{name}'; {hint}")
