"""Horizontal flips."""

import pytest
import torch

from ganray.tricks.flips import random_flip


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_each_image_is_kept_or_mirrored_as_a_whole(dtype):
    torch.manual_seed(0)
    x = torch.randint(0, 256, (400, 3, 4, 5), dtype=torch.uint8).to(dtype)
    before = x.clone()
    out = random_flip(x)
    kept = (out == x).flatten(1).all(dim=1)
    mirrored = (out == x.flip(-1)).flatten(1).all(dim=1)
    assert out.dtype == dtype
    assert torch.equal(x, before)
    assert (kept ^ mirrored).all()
    assert 160 < kept.sum() < 240  # 200 +- 4 standard deviations of 10


def test_deterministic_under_the_global_seed():
    x = torch.rand(16, 3, 4, 4)
    torch.manual_seed(0)
    first, second = random_flip(x), random_flip(x)
    torch.manual_seed(0)
    assert torch.equal(first, random_flip(x))
    assert not torch.equal(first, second)
