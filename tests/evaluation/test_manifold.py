"""The four manifold metrics against the papers' formulas spelled out, closed cases, and what theory expects."""

import math
import tracemalloc

import numpy as np
import pytest

from ganray.evaluation import manifold
from ganray.evaluation.manifold import manifold_metrics


def spelled_out(real, fake, k):
    """(precision, recall, density, coverage), one distance at a time."""

    def distance(a, b):
        return math.sqrt(sum((u - v) ** 2 for u, v in zip(a, b)))

    def radius(i, points):
        others = sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)
        return others[min(k, len(others)) - 1]

    reach_real = [radius(i, real) for i in range(len(real))]
    reach_fake = [radius(i, fake) for i in range(len(fake))]
    inside = [[distance(x, y) <= r for x, r in zip(real, reach_real)] for y in fake]
    precision = sum(any(balls) for balls in inside) / len(fake)
    recall = sum(any(distance(x, y) <= r for y, r in zip(fake, reach_fake)) for x in real) / len(real)
    density = sum(sum(balls) for balls in inside) / (min(k, len(real) - 1) * len(fake))
    coverage = sum(any(balls[i] for balls in inside) for i in range(len(real))) / len(real)
    return precision, recall, density, coverage


def values(found):
    return found.precision, found.recall, found.density, found.coverage


@pytest.mark.parametrize("k", [1, 3, 5, 40])
@pytest.mark.parametrize(("n", "m", "dims", "shift"), [(30, 50, 3, 0.5), (50, 30, 8, 0.0), (7, 40, 2, 1.0)])
def test_the_formulas_spelled_out(monkeypatch, n, m, dims, shift, k):
    monkeypatch.setattr(manifold, "BLOCK_ROWS", 11)  # several blocks, the last one not whole
    rng = np.random.default_rng(n + k)
    real, fake = rng.normal(size=(n, dims)), rng.normal(size=(m, dims)) * 0.8 + shift
    expected = spelled_out(real.tolist(), fake.tolist(), k)
    assert 0 < expected[0] <= 1
    assert values(manifold_metrics(real, fake, k)) == pytest.approx(expected, abs=1e-12)


def test_a_case_by_hand():
    # With k = 1 the balls of 0, 1 and 4 reach 1, 1 and 3: to 1, over [0, 2], and over [1, 7].
    # Fakes 1.5 (in two balls), 6 (in one) and 20 (in none); their balls reach 4.5, 4.5 and 14.
    found = manifold_metrics([[0.0], [1.0], [4.0]], [[1.5], [6.0], [20.0]], k=1)
    assert (found.precision, found.density) == pytest.approx((2 / 3, 3 / 3))
    assert (found.recall, found.coverage) == pytest.approx((1, 2 / 3))


def test_identical_sets():
    x = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32) + 100
    assert values(manifold_metrics(x, x, k=5)) == pytest.approx((1, 1, 6 / 5, 1))


def test_disjoint_sets():
    rng = np.random.default_rng(0)
    assert values(manifold_metrics(rng.normal(size=(50, 8)), rng.normal(size=(60, 8)) + 100)) == (0, 0, 0, 0)


def test_all_fakes_equal_to_one_real():
    real = np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)
    found = manifold_metrics(real, np.repeat(real[7:8], 25, axis=0), k=5)
    holders = sum(
        np.linalg.norm(x - real[7]) <= sorted(np.linalg.norm(real - x, axis=1))[5] + 1e-6 for x in real
    )  # index 0 is the real itself
    assert values(found) == pytest.approx((1, 1 / 40, holders / 5, holders / 40))


def test_a_real_that_is_there_often_keeps_a_ball():
    real = np.concatenate([np.zeros((10, 4)), np.eye(4) * 3])
    found = manifold_metrics(real, np.zeros((5, 4)), k=5)
    assert (found.precision, found.recall, found.coverage) == pytest.approx((1, 10 / 14, 1))


def test_few_images_have_balls_that_reach_to_the_farthest():
    # Two reals 1 apart: both balls reach 1. Fakes at 0.5 lie in both.
    found = manifold_metrics([[0.0], [1.0]], [[0.5], [0.5], [9.0]], k=5)
    assert (found.precision, found.coverage) == pytest.approx((2 / 3, 1))
    assert found.density == pytest.approx(4 / 3)  # 4 hits, 3 fakes, k clipped to 1


def test_what_theory_expects_of_one_distribution():
    """Density 1, and coverage by lemma 2 of arXiv 2002.09797, which is no matter of dimensions."""
    n, m, k = 60, 30, 5
    coverage = 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))
    rng = np.random.default_rng(3)
    found = [manifold_metrics(rng.normal(size=(n, 6)), rng.normal(size=(m, 6)), k) for _ in range(200)]
    assert np.mean([each.density for each in found]) == pytest.approx(1, abs=0.03)
    assert np.mean([each.coverage for each in found]) == pytest.approx(coverage, abs=0.01)


def test_memory_is_not_that_of_all_distances():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(4000, 2)), rng.normal(size=(4000, 2))
    tracemalloc.start()
    manifold_metrics(real, fake)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 4000 * 8 / 3


@pytest.mark.parametrize(
    ("real", "fake", "k"),
    [
        (np.zeros((1, 2)), np.zeros((3, 2)), 5),
        (np.zeros((3, 2)), np.zeros((3, 3)), 5),
        (np.zeros((3, 2)), np.full((3, 2), np.nan), 5),
        (np.zeros((3, 2)), np.zeros((3, 2)), 0),
    ],
    ids=["one image", "widths", "nan", "k"],
)
def test_what_cannot_be_measured_is_refused(real, fake, k):
    with pytest.raises(ValueError, match=r"at least|one D|not finite"):
        manifold_metrics(real, fake, k)
