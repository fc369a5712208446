"""The share of copies by hand, with duplicates and mirror images, and the floor that honest images have."""

import math

import numpy as np
import pytest

from ganray.evaluation import manifold
from ganray.evaluation.memorisation import Pair, memorisation

LINE = [[0.0], [1.0], [4.0]]  # the nearest other image is 1, 1 and 3 away


@pytest.fixture(params=[2, 256], ids=["in blocks", "at once"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(manifold, "BLOCK_ROWS", request.param)


@pytest.mark.usefixtures("_blocks")
def test_a_case_by_hand():
    # 2.4 is 1.4 from 1, whose nearest other is 1 away; 6 is 2 of 3 from 4; 0.1 is 0.1 of 1 from 0; -2 is 2 of 1 from 0.
    found = memorisation(LINE, [[2.4], [6.0], [0.1], [-2.0]])
    assert found.share == 2 / 4
    assert [(pair.fake, pair.real) for pair in found.pairs] == [(2, 0), (1, 2), (0, 1), (3, 0)]
    assert [pair.ratio for pair in found.pairs] == pytest.approx([0.1, 2 / 3, 1.4, 2.0])


def test_the_very_distance_of_the_nearest_other_is_no_copy():
    assert memorisation(LINE, [[-1.0], [-0.999]]).share == 1 / 2


def test_only_so_many_pairs_as_are_wanted():
    fakes = [[0.3], [0.2], [0.1], [0.2]]
    assert [pair.fake for pair in memorisation(LINE, fakes, n=3).pairs] == [2, 1, 3]


def test_copies_are_copies():
    real = np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32) + 50
    found = memorisation(real, real[::-1])
    assert found.share == 1
    assert found.pairs == tuple(Pair(i, 39 - i, 0.0) for i in range(8))


@pytest.mark.usefixtures("_blocks")
def test_a_copy_of_an_image_that_is_there_twice_is_a_copy():
    twice = [[0.0], [1.0], [0.0], [4.0]]
    found = memorisation(twice, [[0.0], [0.5], [-3.0]])
    assert found.share == 2 / 3
    assert found.pairs[0] == Pair(0, 0, 0.0)
    assert [pair.ratio for pair in found.pairs[1:]] == pytest.approx([0.5, 3.0])


def test_the_rounding_of_a_network_does_not_tell_duplicates_apart():
    real = np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32)
    again = real[3] * np.float32(1 + 1e-6)
    assert memorisation(np.vstack([real, again]), real[[3, 3]] * 1.01).share == 1


def test_images_that_are_all_alike_measure_nothing():
    found = memorisation(np.ones((4, 2)), [[1.0, 1.0], [1.0, 3.0]])
    assert found.share is None
    assert found.pairs == (Pair(0, 0, 0.0), Pair(1, 0, 2.0))


def test_its_own_mirror_image_is_no_other_image():
    # Two images at 0 and 4; their mirror images at 0.2 and 4.2. A fake at 0.7 is 0.5 from the mirror image of the
    # first, whose nearest other image is 3.8 away.
    reals = [[0.0], [4.0], [0.2], [4.2]]
    fakes = [[0.7], [9.0]]
    mirrored = memorisation(reals, fakes, n_images=2)
    assert mirrored.share == 1 / 2
    assert mirrored.pairs == (Pair(0, 0, pytest.approx(0.5 / 3.8)), Pair(1, 1, pytest.approx(4.8 / 4.0)))
    assert memorisation(reals, fakes).share == 0


@pytest.mark.parametrize(
    ("dims", "mutual"), [(1, 2 / 3), (2, 6 * math.pi / (8 * math.pi + 3 * math.sqrt(3)))], ids=["line", "plane"]
)
def test_new_points_of_the_same_source_are_mutual_neighbours_as_often_as_theory_says(dims, mutual):
    """The floor: halves of one set. Mutual nearest neighbours of a Poisson process (Pickard 1982, table 1)."""
    points = np.random.default_rng(1).uniform(size=(8000, dims))
    assert memorisation(points[:4000], points[4000:]).share == pytest.approx(mutual, abs=0.03)


def test_blurred_copies_are_told_from_new_images():
    points = np.random.default_rng(2).normal(size=(400, 32))
    real, new = points[:200], points[200:]
    copies = real + 0.1 * np.random.default_rng(3).normal(size=real.shape)
    assert memorisation(real, copies).share == 1
    assert memorisation(real, new).share < 0.5


def test_images_far_from_all_training_images_are_no_copies():
    points = np.random.default_rng(2).normal(size=(400, 32))
    assert memorisation(points[:200], points[200:] + 20).share == 0


@pytest.mark.parametrize("fake", [np.zeros((3, 3)), np.full((3, 2), np.inf)], ids=["width", "infinite"])
def test_what_cannot_be_measured_is_refused(fake):
    with pytest.raises(ValueError, match=r"one D|not finite"):
        memorisation(np.zeros((3, 2)), fake)
