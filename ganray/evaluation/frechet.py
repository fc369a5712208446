"""The Frechet distance between two sets of features (arXiv 1706.08500, eq. 6), computed without covariances.

With S1 = Xc' Xc / (n - 1) and S2 = Yc' Yc / (m - 1) for centred features Xc [n, D] and Yc [m, D], the non-zero
eigenvalues of S1 S2 are the squared singular values of Xc Yc' over (n - 1)(m - 1), so

    tr sqrt(S1 S2) = || Xc Yc' ||_nuclear / sqrt((n - 1)(m - 1)).

That needs one n x m matrix product and its singular values: a hundred real images against 2,048 dimensions cost
a fraction of a second instead of the square root of a 2,048 x 2,048 matrix. Where both sides have at least D
rows, each is first replaced by the triangle of its QR decomposition, which leaves the nuclear norm as it is.
Nothing is squared on the way, so rank-deficient covariances are no special case and nothing turns complex.
"""

import numpy as np
import numpy.typing as npt
import scipy.linalg

FloatArray = npt.NDArray[np.float64]


def frechet_distance(features_real: npt.ArrayLike, features_fake: npt.ArrayLike) -> float:
    """Squared Frechet distance between Gaussians fitted to two sets of features; covariances with n - 1.

    features_real: [n, D], features_fake: [m, D], n and m >= 2; computed in float64. Never below 0.
    Raises ValueError for other shapes and for values that are not finite.
    """
    x, y = feature_pair(features_real, features_fake, least=2)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)  # [D]
    x_c, y_c = x - mean_x, y - mean_y
    dof_x, dof_y = len(x) - 1, len(y) - 1
    trace_x, trace_y = float(np.sum(x_c**2)) / dof_x, float(np.sum(y_c**2)) / dof_y
    trace_sqrt = _nuclear_norm_of_product(x_c, y_c) / np.sqrt(float(dof_x) * dof_y)
    gap = float(np.sum((mean_x - mean_y) ** 2))
    return max(gap + trace_x + trace_y - 2.0 * float(trace_sqrt), 0.0)


def feature_pair(
    features_real: npt.ArrayLike, features_fake: npt.ArrayLike, least: int
) -> tuple[FloatArray, FloatArray]:
    """Both sets as float64 matrices of equal width with at least `least` rows, or ValueError."""
    x, y = np.asarray(features_real, dtype=np.float64), np.asarray(features_fake, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or x.shape[1] == 0:
        raise ValueError(f"features must be [n, D] and [m, D] with one D; got {x.shape} and {y.shape}")
    if min(len(x), len(y)) < least:
        raise ValueError(f"at least {least} images are needed on each side; got {len(x)} and {len(y)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("features hold values that are not finite")
    return x, y


def _nuclear_norm_of_product(x_c: FloatArray, y_c: FloatArray) -> float:
    """Sum of the singular values of x_c y_c' for x_c [n, D] and y_c [m, D]."""
    if min(len(x_c), len(y_c)) >= x_c.shape[1]:
        # The orthogonal factors leave singular values alone; the triangles are [D, D].
        x_c, y_c = _triangle(x_c), _triangle(y_c)
    return float(np.linalg.svd(x_c @ y_c.T, compute_uv=False).sum())


def _triangle(x_c: FloatArray) -> FloatArray:
    """R of the QR decomposition of x_c [n, D]: [min(n, D), D]."""
    triangle: FloatArray = scipy.linalg.qr(x_c, mode="r", check_finite=False)[0][: x_c.shape[1]]
    return triangle
