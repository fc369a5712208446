"""The Frechet distance against pytorch-fid's own function and closed forms."""

import numpy as np
import pytest

from ganray.evaluation.frechet import frechet_distance


def correlated(n, dims, seed, shift=0.0):
    """Features with a decaying spectrum and a non-zero mean, as networks give them."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(dims).normal(size=(dims, dims)) * np.exp(-3 * np.arange(dims) / dims)[:, None]
    return np.abs(rng.normal(size=(n, dims)) @ mixing / np.sqrt(dims) + shift)


def by_pytorch_fid(x, y):
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    statistics = [(f.mean(axis=0), np.cov(f, rowvar=False)) for f in (x, y)]
    return fid_score.calculate_frechet_distance(*statistics[0], *statistics[1])


@pytest.mark.filterwarnings("ignore:Matrix is singular")  # pytorch-fid's side, for rank-deficient covariances
@pytest.mark.parametrize(
    ("n", "m", "dims"),
    [(30, 500, 64), (200, 30, 64), (20, 25, 64), (200, 300, 64), (64, 65, 64), (65, 64, 64), (2, 40, 16)],
)
def test_equals_pytorch_fid(n, m, dims):
    x, y = correlated(n, dims, seed=0), correlated(m, dims, seed=1, shift=0.1)
    assert frechet_distance(x, y) == pytest.approx(by_pytorch_fid(x, y), rel=1e-6)


def test_one_dimension_closed_form():
    x, y = correlated(9, 1, seed=0), correlated(8, 1, seed=1, shift=0.1)
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_diagonal_gaussians_closed_form():
    """Exact moments: orthogonal columns, so d^2 = |mu1 - mu2|^2 + sum (sigma1 - sigma2)^2."""
    x = np.array([[1.0, 2], [1, -2], [-1, 2], [-1, -2]])  # covariance 4/3 diag(1, 4)
    y = 3 * x + np.array([5.0, 0])
    expected = 25 + 4 / 3 * ((3 - 1) ** 2 + (6 - 2) ** 2)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("m", [10, 100])
def test_constant_features_leave_the_other_trace(m):
    """A collapsed generator: S2 = 0, so the distance is |mu1 - c|^2 + tr S1."""
    x, y = correlated(50, 32, seed=0), np.full((m, 32), 0.7)
    expected = ((x.mean(axis=0) - 0.7) ** 2).sum() + np.cov(x, rowvar=False).trace()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_both_constant_is_the_gap_of_the_means():
    assert frechet_distance(np.zeros((5, 3)), np.full((4, 3), 2.0)) == pytest.approx(12.0)


@pytest.mark.parametrize("n", [20, 200])
def test_a_set_against_itself_is_zero_and_never_negative(n):
    x = correlated(n, 64, seed=3)
    assert 0 <= frechet_distance(x, x[::-1]) < 1e-9


@pytest.mark.parametrize(("n", "m"), [(20, 30), (300, 200)])
def test_symmetric_and_both_routes_agree_on_rank_deficient_features(n, m):
    """Repeated columns make the covariances singular; in half the dimensions there is the regular answer times 2."""
    x, y = correlated(n, 32, seed=0), correlated(m, 32, seed=1, shift=0.2)
    single = frechet_distance(x, y)
    assert frechet_distance(y, x) == pytest.approx(single, rel=1e-9)
    assert frechet_distance(np.hstack([x, x]), np.hstack([y, y])) == pytest.approx(2 * single, rel=1e-7)


def test_float32_features_are_computed_in_float64():
    x, y = correlated(50, 16, 0).astype(np.float32), (correlated(60, 16, 1) + 1000).astype(np.float32)
    assert frechet_distance(x, y) == frechet_distance(x.astype(np.float64), y.astype(np.float64))


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4)), "one D"),
        (np.zeros(5), np.zeros(5), "one D"),
        (np.zeros((1, 3)), np.zeros((5, 3)), "at least 2"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "finite"),
    ],
)
def test_unusable_features_are_refused(x, y, text):
    with pytest.raises(ValueError, match=text):
        frechet_distance(x, y)
