"""Instance noise: its line, its size, and nothing at all where it is gone."""

import pytest
import torch

from ganray.recipe import tricks as specs
from ganray.tricks.instance_noise import instance_noise, noise_std

NOISE = specs.InstanceNoise(name="instance_noise", std=0.2, until=0.5)


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.2), (0.125, 0.15), (0.25, 0.1), (0.5, 0.0), (1.0, 0.0)])
def test_it_falls_in_a_straight_line(progress, expected):
    assert noise_std(NOISE, progress) == pytest.approx(expected)


def test_gone_it_changes_and_draws_nothing():
    x = torch.randn(2, 3, 4, 4)
    before = torch.get_rng_state()
    assert instance_noise(x, noise_std(NOISE, 0.5)) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_size_and_independence():
    torch.manual_seed(0)
    x = torch.zeros(100, 3, 16, 16)
    noise = instance_noise(x, 0.1)
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.002)
    assert not torch.equal(noise[0], noise[1])


def test_gradients_pass_as_they_are():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    instance_noise(x, 0.1).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dtype_is_kept(dtype):
    assert instance_noise(torch.zeros(2, 3, 4, 4, dtype=dtype), 0.1).dtype == dtype
