"""Latents against closed forms: quantiles by Python's `statistics`, rotations by Gram and Schmidt."""

import math
from itertools import pairwise
from statistics import NormalDist

import pytest
import torch

from ganray.errors import GanrayError
from ganray.models.latents import path_between, require_truncatable, shape_latents, slerp, truncate

PHI = NormalDist()
SHARES = [0.001, 0.1, 0.3, 0.5, 0.8, 0.999]
QUANTILES = torch.tensor([[PHI.inv_cdf(p) for p in SHARES]])


def draws(n=4, dim=16, seed=0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def angle(a, b):
    a, b = a.double(), b.double()
    return torch.acos((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)))


def test_normal_latents_are_the_draws_themselves():
    z = draws()
    assert shape_latents(z, "normal") is z


def test_uniform_latents_keep_the_quantiles():
    expected = torch.tensor([[2 * p - 1 for p in SHARES]])  # of the uniform distribution on [-1, 1]
    torch.testing.assert_close(shape_latents(QUANTILES, "uniform"), expected, rtol=0, atol=1e-6)
    assert shape_latents(100 * draws(), "uniform").abs().max() <= 1


@pytest.mark.parametrize("dim", [2, 16, 1000])
def test_sphere_latents_have_the_radius_and_the_direction_of_their_draw(dim):
    z = draws(dim=dim)
    x = shape_latents(z, "sphere")
    torch.testing.assert_close(x.norm(dim=1), torch.full((4,), math.sqrt(dim)))
    torch.testing.assert_close(x / z, (x[:, :1] / z[:, :1]).expand_as(x))


@pytest.mark.parametrize("psi", [0.3, 1.0, 2.0, 5.0])
def test_truncated_latents_have_the_quantiles_of_the_cut_off_normal(psi):
    low, high = PHI.cdf(-psi), PHI.cdf(psi)
    expected = torch.tensor([[PHI.inv_cdf(low + p * (high - low)) for p in SHARES]])
    torch.testing.assert_close(truncate(QUANTILES, psi), expected, rtol=1e-5, atol=1e-6)


def test_truncation_is_distributed_as_drawing_again_beyond_the_threshold():
    # BigGAN's way, by rejection, and the closed form of the variance: 1 - 2 psi phi(psi) / (Phi(psi) - Phi(-psi)).
    psi = 0.8
    pool = draws(1, 400_000, seed=1)[0]
    resampled = pool[pool.abs() <= psi]
    mapped = truncate(draws(1, 200_000, seed=2)[0], psi)
    variance = 1 - 2 * psi * PHI.pdf(psi) / (PHI.cdf(psi) - PHI.cdf(-psi))
    for x in (resampled, mapped):
        assert x.var().item() == pytest.approx(variance, rel=0.01)
    points = torch.linspace(0.05, 0.95, 10)
    assert (resampled.quantile(points) - mapped.quantile(points)).abs().max() < 0.01


def test_truncation_far_out_changes_nothing_and_extremes_stay_finite():
    torch.testing.assert_close(truncate(draws(), 12.0), draws(), rtol=1e-5, atol=1e-6)
    extreme = torch.tensor([-1e4, -6.0, 6.0, 1e4])
    assert truncate(extreme, 0.5).tolist() == pytest.approx([-0.5, -0.5, 0.5, 0.5], abs=1e-6)
    assert truncate(extreme, 50.0).isfinite().all()


@pytest.mark.parametrize("psi", [0.0, -1.0, math.nan])
def test_a_threshold_that_is_not_above_zero(psi):
    with pytest.raises(GanrayError, match="must be above 0"):
        truncate(draws(), psi)


@pytest.mark.parametrize("kind", ["uniform", "sphere"])
def test_only_normal_latents_have_tails(kind):
    require_truncatable("normal")
    with pytest.raises(GanrayError, match=f"those of generator.latent: {kind}"):
        require_truncatable(kind)
    with pytest.raises(GanrayError, match="latent: normal"):
        path_between(draws(), draws(seed=1), 0.5, kind, truncation=1.0)


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_slerp_rotates_in_the_plane_of_its_ends(t):
    a, b = (shape_latents(draws(seed=seed).double(), "sphere") / 4 for seed in (1, 2))  # unit vectors of 16 numbers
    theta = angle(a, b)[:, None]
    across = b - (a * b).sum(1, keepdim=True) * a
    expected = torch.cos(t * theta) * a + torch.sin(t * theta) * across / across.norm(dim=1, keepdim=True)
    torch.testing.assert_close(slerp(a, b, t), expected)


def test_slerp_of_vectors_of_different_length_by_hand():
    # White's formula, 90 degrees: sin(45) / sin(90) of each.
    middle = slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5)
    assert middle.tolist() == pytest.approx([math.sqrt(2), math.sqrt(0.5)])


def test_slerp_takes_a_share_per_vector():
    a, b = draws(seed=1), draws(seed=2)
    t = torch.tensor([0.0, 0.3, 0.5, 1.0])
    together = slerp(a, b, t[:, None])
    for i, share in enumerate(t.tolist()):
        torch.testing.assert_close(together[i], slerp(a[i], b[i], share))


def test_slerp_of_parallel_and_opposite_vectors_is_a_straight_line():
    a = draws()
    torch.testing.assert_close(slerp(a, a, 0.3), a)
    torch.testing.assert_close(slerp(a, 2 * a, 0.25), 1.25 * a)
    torch.testing.assert_close(slerp(a, -a, 0.25), 0.5 * a)


@pytest.mark.parametrize("small", [1e-6, 1e-3, 0.1])
def test_slerp_is_exact_at_small_angles(small):
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([math.cos(small), math.sin(small)])
    x = slerp(a, b, 0.5)
    assert x.norm().item() == pytest.approx(1, abs=1e-6)
    assert x[1].item() == pytest.approx(math.sin(small / 2), rel=1e-4)


def test_a_path_on_the_sphere_turns_by_equal_angles():
    start, end = draws(seed=1), 3 * draws(seed=2)
    path = [path_between(start, end, k / 4, "sphere") for k in range(5)]
    steps = torch.stack([angle(x, y) for x, y in pairwise(path)])
    torch.testing.assert_close(steps, (angle(start, end) / 4).expand(4, 4), rtol=1e-4, atol=0)
    for x in path:
        torch.testing.assert_close(x.norm(dim=1), torch.full((4,), 4.0))


@pytest.mark.parametrize(("kind", "truncation"), [("normal", None), ("normal", 0.7), ("uniform", None)])
def test_a_path_joins_its_ends_and_stays_within_range(kind, truncation):
    start, end = draws(seed=1), draws(seed=2)
    ends = [shape_latents(z if truncation is None else truncate(z, truncation), kind) for z in (start, end)]
    torch.testing.assert_close(path_between(start, end, 0.0, kind, truncation), ends[0])
    torch.testing.assert_close(path_between(start, end, 1.0, kind, truncation), ends[1])
    limit = 1.0 if kind == "uniform" else truncation or math.inf
    assert path_between(start, end, 0.5, kind, truncation).abs().max() <= limit
