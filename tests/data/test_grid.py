"""Pixels out, and pictures side by side."""

import numpy as np
import pytest
import torch

from ganray.data.grid import image_grid, to_uint8


def test_to_uint8_inverts_the_scaling_and_rounds():
    values = torch.arange(256)
    assert torch.equal(to_uint8(values / 127.5 - 1), values.byte())
    # -1 + 1.4 / 127.5 -> 1.4 -> 1; -1 + 1.6 / 127.5 -> 1.6 -> 2; outside is clamped
    x = torch.tensor([-1 + 1.4 / 127.5, -1 + 1.6 / 127.5, -3.0, 3.0, -1.0, 1.0, 0.0])
    assert to_uint8(x).tolist() == [1, 2, 0, 255, 0, 255, 128]
    assert to_uint8(torch.full((2, 3, 4, 4), 0.5, dtype=torch.bfloat16)).unique().tolist() == [191]


def test_a_grid_places_every_image():
    images = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8)
    grid = np.asarray(image_grid(images, columns=3, pad=2))
    assert grid.shape == (2 * (4 + 2) + 2, 3 * (6 + 2) + 2, 3)
    assert np.array_equal(grid[2:6, 2:8], images[0].permute(1, 2, 0))
    assert np.array_equal(grid[8:12, 10:16], images[4].permute(1, 2, 0))
    assert grid[8:12, 18:24].max() == 0
    assert grid[:2].max() == 0


def test_a_grid_has_no_empty_columns():
    assert image_grid(np.zeros((2, 3, 8, 8), np.uint8), columns=10, pad=0).size == (16, 8)


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 3, 4, 4), torch.zeros(0, 3, 4, 4).byte(), torch.zeros(2, 1, 4, 4).byte()]
)
def test_a_grid_refuses_what_it_cannot_show(images):
    with pytest.raises(ValueError, match=r"uint8 \[N, 3, H, W\]"):
        image_grid(images, columns=2)
