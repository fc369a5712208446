"""The kernel distance against double loops, its expectation, and its standard error against repetition."""

import numpy as np
import pytest

from ganray.evaluation.kernel import kernel_distance


def kernel(a, b):
    return (float(np.dot(a, b)) / len(a) + 1) ** 3


def mmd2_by_loops(x, y):
    """arXiv 1801.01401, section 4, pair by pair."""
    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    xy = sum(kernel(a, b) for a in x for b in y) / (n * m)
    return xx + yy - 2 * xy


def jackknife_by_loops(x, y):
    """Each row of either side left out once (Efron and Stein 1981), by calling the loops again."""
    variance = 0.0
    for left_out, others in ((0, x), (1, y)):
        values = []
        for i in range(len(others)):
            rest = np.delete(others, i, axis=0)
            values.append(mmd2_by_loops(rest, y) if left_out == 0 else mmd2_by_loops(x, rest))
        variance += (len(others) - 1) * np.var(values)
    return np.sqrt(variance)


def test_value_and_standard_error_equal_double_loops():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(9, 4)) + 0.3
    value, stderr = kernel_distance(x, y)
    assert value == pytest.approx(mmd2_by_loops(x, y), rel=1e-10)
    assert stderr == pytest.approx(jackknife_by_loops(x, y), rel=1e-10)


def test_blocks_do_not_show(monkeypatch):
    from ganray.evaluation import kernel as module

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 8)), rng.normal(size=(73, 8)) + 0.1
    whole = kernel_distance(x, y)
    monkeypatch.setattr(module, "BLOCK_ROWS", 16)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-9)


def repeated(shift, n=40, m=80, times=300):
    rng = np.random.default_rng(7)
    draws = [kernel_distance(rng.normal(size=(n, 6)), rng.normal(size=(m, 6)) + shift) for _ in range(times)]
    return np.array(draws)


def test_unbiased_and_cautious_where_the_distributions_agree():
    values, stderrs = repeated(shift=0.0).T
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert 0.95 < np.sqrt((stderrs**2).mean()) / values.std() < 1.7


def test_standard_error_is_right_where_they_differ():
    values, stderrs = repeated(shift=0.5).T
    assert values.mean() > 5 * values.std() / np.sqrt(len(values))
    assert np.sqrt((stderrs**2).mean()) / values.std() == pytest.approx(1.0, abs=0.2)


def test_deterministic_and_symmetric():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(30, 5)), rng.normal(size=(20, 5))
    assert kernel_distance(x, y) == kernel_distance(x, y)
    assert kernel_distance(x, y) == pytest.approx(kernel_distance(y, x), rel=1e-9)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        kernel_distance(np.zeros((2, 4)), np.zeros((5, 4)))
