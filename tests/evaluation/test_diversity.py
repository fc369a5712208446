"""Mean pairwise distances against sums over every pair."""

import numpy as np
import pytest

from ganray.evaluation import diversity as diversity_
from ganray.evaluation.diversity import diversity, mean_distance


def by_hand(rows):
    n = len(rows)
    return sum(float(np.linalg.norm(a - b)) for a in rows for b in rows) / (n * (n - 1))


def test_the_mean_is_over_every_pair():
    rows = np.random.default_rng(0).normal(size=(17, 5)) + 1000  # far from the origin: squares would lose digits
    assert mean_distance(rows) == pytest.approx(by_hand(rows), rel=1e-9)
    assert mean_distance([[0.0, 0.0], [3.0, 4.0]]) == pytest.approx(5.0)
    assert mean_distance([[1.0, 2.0]]) is None


def test_diversity_is_the_fakes_mean_over_the_reals():
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(20, 6)), 0.25 * rng.normal(size=(30, 6))
    assert diversity(real, fake) == pytest.approx(by_hand(fake) / by_hand(real), rel=1e-9)
    assert diversity(real, 5 + 0.5 * real) == pytest.approx(0.5)
    assert diversity(real, np.ones((30, 6))) == 0.0
    assert diversity(np.ones((20, 6)), fake) is None
    assert diversity(real, fake[:1]) is None


def test_many_rows_are_thinned_out_evenly(monkeypatch):
    monkeypatch.setattr(diversity_, "ROWS", 3)
    rows = np.array([[0.0], [99.0], [1.0], [99.0], [2.0]])
    assert mean_distance(rows) == pytest.approx((1 + 1 + 2) / 3)
