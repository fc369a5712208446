"""Precision and recall (arXiv 1904.06991), density and coverage (arXiv 2002.09797): quality and variety apart.

Both papers draw a ball around each feature that reaches to its k-th nearest neighbour in its own set, itself not
counted. The balls are closed ("at most the radius", 1904.06991, eq. 1), for density and coverage as well: with open
ones a real that is there k times more would have an empty ball. Distances are Euclidean.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganray.evaluation.frechet import FloatArray, feature_pair

NEIGHBOURS = 5
"""k of density and coverage in arXiv 2002.09797; 1904.06991 has 3 and notes that more make recall saturate."""
BLOCK_ROWS = 256
ZERO = 1e-10
"""Squared distances below this share of the vectors' squared lengths are 0: one image twice, whatever the rounding."""
ROUNDING = 1e-9
"""Relative: two computations of one squared distance count as equal."""


@dataclass(frozen=True)
class Manifold:
    """Fakes against reals; identical sets have precision, recall and coverage 1 and density (k + 1) / k."""

    precision: float
    """Share of the fakes that lie in a real's ball."""
    recall: float
    """Share of the reals that lie in a fake's ball."""
    density: float
    """Over the fakes, the mean number of reals' balls that hold one, over k; 1 for the same distribution."""
    coverage: float
    """Share of the reals whose ball holds a fake; rises with the number of fakes."""


def manifold_metrics(features_real: npt.ArrayLike, features_fake: npt.ArrayLike, k: int = NEIGHBOURS) -> Manifold:
    """All four for features [n, D] and [m, D], n and m >= 2, in float64, in blocks of rows.

    A set of n <= k images has no k-th neighbour: its balls then reach to the farthest of the other n - 1, and
    density is over n - 1 instead of k.
    Raises ValueError for other shapes, for values that are not finite, and for k < 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    x, y = centred_pair(features_real, features_fake)
    reach_x, reach_y = (_squared_radii(rows, k) * (1 + ROUNDING) for rows in (x, y))
    balls_around_y = np.zeros(len(y), dtype=np.int64)
    covered, recalled = np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool)
    for rows, squares in squared_distances(x, y):
        held = squares <= reach_x[rows, None]
        balls_around_y += held.sum(axis=0)
        covered[rows] = held.any(axis=1)
        recalled[rows] = (squares <= reach_y).any(axis=1)
    return Manifold(
        precision=float((balls_around_y > 0).mean()),
        recall=float(recalled.mean()),
        density=float(balls_around_y.mean() / min(k, len(x) - 1)),
        coverage=float(covered.mean()),
    )


def centred_pair(features_real: npt.ArrayLike, features_fake: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both sets less the reals' mean, at least two rows each: distances stay, and lose fewer digits.

    Raises ValueError as `feature_pair` does.
    """
    x, y = feature_pair(features_real, features_fake, least=2)
    mean = x.mean(axis=0)
    x = x - mean
    return x, y - mean


def squared_distances(x: FloatArray, y: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Yield some rows of x and their squared distances to all of y, [rows, m], which the caller may overwrite."""
    lengths_x, lengths_y = np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y)
    for start in range(0, len(x), BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, len(x)))
        lengths = lengths_x[rows, None] + lengths_y
        squares = x[rows] @ y.T
        squares *= -2
        squares += lengths
        lengths *= ZERO
        squares[squares <= lengths] = 0.0
        yield rows, squares


def _squared_radii(x: FloatArray, k: int) -> FloatArray:
    """The squared distance of each row to its k-th nearest other row, or to the farthest where there are not k: [n]."""
    k = min(k, len(x) - 1)
    radii = np.empty(len(x))
    for rows, squares in squared_distances(x, x):
        squares[np.arange(len(squares)), np.arange(rows.start, rows.stop)] = np.inf  # none is its own neighbour
        squares.partition(k - 1, axis=1)
        radii[rows] = squares[:, k - 1]
    return radii
