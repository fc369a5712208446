"""The kernel distance (KID, arXiv 1801.01401): the squared MMD with a cubic polynomial kernel, unbiased."""

import numpy as np
import numpy.typing as npt

from ganray.evaluation.frechet import FloatArray, feature_pair

BLOCK_ROWS = 1024


def kernel_distance(features_real: npt.ArrayLike, features_fake: npt.ArrayLike) -> tuple[float, float]:
    """The unbiased estimate of the squared MMD on all features, and its standard error. Deterministic.

    features_real: [n, D], features_fake: [m, D], n and m >= 3. Kernel k(x, y) = (x.y / D + 1)^3 (arXiv 1801.01401,
    section 4); estimator of Gretton et al. 2012 (JMLR 13), eq. 3, over every pair, not over random
    subsets: a few hundred reals leave no room for subsets. It may be slightly negative where the sets agree.
    The standard error is the two-sample jackknife (each image of either side left out once), in closed form from
    the row sums of the kernel; it errs on the large side (Efron and Stein 1981), at most by a factor of about
    sqrt(2), which is reached where the two distributions agree.
    Raises ValueError for other shapes and for values that are not finite.
    """
    x, y = feature_pair(features_real, features_fake, least=3)
    n, m = len(x), len(y)
    within_x, within_y = _row_sums_within(x), _row_sums_within(y)  # [n], [m]: sums over the others of one's side
    across_x, across_y = _row_sums_across(x, y)  # [n], [m]: sums over the other side
    sum_x, sum_y, sum_xy = within_x.sum(), within_y.sum(), across_x.sum()
    mean_x, mean_y = sum_x / (n * (n - 1)), sum_y / (m * (m - 1))
    estimate = mean_x + mean_y - 2 * sum_xy / (n * m)
    # Leaving row i of x out removes it from both ends of the pairs within x and from its pairs with y.
    without_x = (sum_x - 2 * within_x) / ((n - 1) * (n - 2)) + mean_y - 2 * (sum_xy - across_x) / ((n - 1) * m)
    without_y = mean_x + (sum_y - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (sum_xy - across_y) / (n * (m - 1))
    variance = (n - 1) * without_x.var() + (m - 1) * without_y.var()
    return float(estimate), float(np.sqrt(variance))


def _kernel(x: FloatArray, y: FloatArray) -> FloatArray:
    """k [n, m] of x [n, D] and y [m, D]."""
    product = x @ y.T / x.shape[1] + 1.0
    cube: FloatArray = product * product * product
    return cube


def _row_sums_within(x: FloatArray) -> FloatArray:
    """For each row the sum of the kernel over the other rows: [n]. The symmetric half is computed once."""
    sums = np.zeros(len(x))
    for start in range(0, len(x), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        diagonal = _kernel(x[rows], x[rows])
        np.fill_diagonal(diagonal, 0.0)
        sums[rows] += diagonal.sum(axis=1)
        for later in range(start + BLOCK_ROWS, len(x), BLOCK_ROWS):
            columns = slice(later, later + BLOCK_ROWS)
            block = _kernel(x[rows], x[columns])
            sums[rows] += block.sum(axis=1)
            sums[columns] += block.sum(axis=0)
    return sums


def _row_sums_across(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of the kernel between x and y, for each row of x and for each row of y: [n], [m]."""
    sums_x, sums_y = np.zeros(len(x)), np.zeros(len(y))
    for start in range(0, len(x), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        for other in range(0, len(y), BLOCK_ROWS):
            columns = slice(other, other + BLOCK_ROWS)
            block = _kernel(x[rows], y[columns])
            sums_x[rows] += block.sum(axis=1)
            sums_y[columns] += block.sum(axis=0)
    return sums_x, sums_y
