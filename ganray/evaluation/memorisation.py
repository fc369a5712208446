"""Memorisation: fakes that are nearer to a training image than any other training image is to it.

The complement of authenticity (Alaa et al., arXiv 2102.08921, section 3): a fake is memorised where its distance to
the nearest training image is below that image's own distance to the nearest other one.

New images of the very same source are no 0: one is memorised where it and its nearest training image are each
other's nearest, which among evenly scattered points has probability 2/3 in one dimension, 0.62 in two and 1/2 in
many. Images are not evenly scattered, and a few are everyone's nearest: halves of the sample sets have 0.28 to 0.43
(benchmarks/results/manifold.json). Far above that is copying; far below, the fakes are far from all training
images, as poor ones are.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganray.evaluation.frechet import FloatArray
from ganray.evaluation.manifold import ROUNDING, centred_pair, squared_distances

MOST_COPIED = 8


@dataclass(frozen=True)
class Pair:
    """A fake and the training image nearest to it, by their numbers."""

    fake: int
    real: int
    ratio: float
    """The fake's distance to the training image over that image's distance to the nearest other; 0 is a copy."""


@dataclass(frozen=True)
class Memorisation:
    """What was found in one set of fakes."""

    share: float | None
    """Of the fakes that are memorised; None where the training images are all alike."""
    pairs: tuple[Pair, ...]
    """The most copied fakes, the smallest ratio first, among equals the smallest number."""


def memorisation(
    features_real: npt.ArrayLike, features_fake: npt.ArrayLike, n: int = MOST_COPIED, n_images: int | None = None
) -> Memorisation:
    """The share of the fakes [m, D] that are copies of the reals [rows, D], and the `n` most copied; in float64.

    Where mirror images count as reals, `n_images` says how many training images there are: row `i` is then of image
    `i % n_images`. Images at distance 0 from each other are one image: neither its duplicate nor its own
    mirror image is the "other" that a fake is measured against, so that a copy of an image which is there twice is
    a copy. Where all training images are alike nothing is measured and the ratios are plain distances.
    Raises ValueError for other shapes and for values that are not finite.
    """
    x, y = centred_pair(features_real, features_fake)
    images = np.arange(len(x)) % (n_images or len(x))
    nearest, reals = _nearest(x, y)
    other = _nearest_other(x, images)[reals]
    apart = bool(np.isfinite(other).all())
    ratios = np.sqrt(nearest / other if apart else nearest)
    most = np.argsort(ratios, kind="stable")[:n]
    return Memorisation(
        share=float((nearest < other * (1 - ROUNDING)).mean()) if apart else None,
        pairs=tuple(Pair(int(i), int(images[reals[i]]), float(ratios[i])) for i in most),
    )


def _nearest(x: FloatArray, y: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """For each row of y the squared distance to the nearest row of x, and that row's number (the first of equals)."""
    nearest, numbers = np.full(len(y), np.inf), np.zeros(len(y), dtype=np.int64)
    for rows, squares in squared_distances(x, y):
        first = squares.argmin(axis=0)
        least = squares[first, np.arange(len(y))]
        closer = least < nearest
        nearest[closer], numbers[closer] = least[closer], rows.start + first[closer]
    return nearest, numbers


def _nearest_other(x: FloatArray, images: npt.NDArray[np.int64]) -> FloatArray:
    """The squared distance of each row to the nearest row of another image that is not the same; inf without any."""
    nearest = np.empty(len(x))
    for rows, squares in squared_distances(x, x):
        squares[(images[rows, None] == images) | (squares == 0)] = np.inf
        nearest[rows] = squares.min(axis=1)
    return nearest
