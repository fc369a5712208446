"""How different samples are from one another: mode collapse as a number."""

import numpy as np
import numpy.typing as npt

from ganray.evaluation.frechet import FloatArray

ROWS = 1000
"""Images that are compared with one another; more would cost time and move the mean by less than a percent."""


def diversity(features_real: npt.ArrayLike, features_fake: npt.ArrayLike) -> float | None:
    """Mean distance between the features of two fakes, over that of two reals; features [n, D] and [m, D].

    Near 1 where the fakes differ as much as the reals do, 0 where all of them are one image. None where there are
    not two images on a side, or where the reals are all alike.
    """
    real, fake = mean_distance(features_real), mean_distance(features_fake)
    return None if fake is None or not real else fake / real


def mean_distance(features: npt.ArrayLike) -> float | None:
    """The mean Euclidean distance over all pairs of at most ROWS rows, evenly spaced; None for fewer than two."""
    rows = np.asarray(features, dtype=np.float64)
    if len(rows) < 2:
        return None
    x = rows[np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int)]
    x = x - x.mean(axis=0)  # distances stay, and the subtraction of large squares below loses fewer digits
    squares = (x**2).sum(axis=1)
    distances: FloatArray = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    return float(distances.sum() / (len(x) * (len(x) - 1)))
