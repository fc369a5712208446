"""PatchGAN: the grid and the patches by formula, and the number of parameters of the paper's layers."""

from itertools import pairwise

import pytest
import torch

from ganray.models.discriminators.patch import PatchDiscriminator
from ganray.models.outputs import ImagePair
from ganray.recipe import discriminators as specs


def build(layers, resolution, width=4, **options):
    torch.manual_seed(0)
    spec = specs.PatchDiscriminator(name="patch", layers=layers, width=width, **options)
    return PatchDiscriminator(spec, resolution)


def patch(layers):
    """Side of the patch that a logit sees, layer by layer from the logit back to the image."""
    side = 1
    for kernel, stride in [(4, 1), (4, 1), *[(4, 2)] * layers]:
        side = (side - 1) * stride + kernel
    return side


def test_the_patches_of_the_paper():
    assert [patch(layers) for layers in (1, 2, 3, 4)] == [16, 34, 70, 142]  # arXiv 1611.07004, appendix 6.1.2
    assert [patch(layers) for layers in range(1, 6)] == [9 * 2**layers - 2 for layers in range(1, 6)]


@pytest.mark.parametrize(
    ("layers", "resolution"), [(1, 32), (1, 64), (2, 32), (2, 128), (3, 32), (3, 64), (3, 256), (4, 64), (5, 128)]
)
def test_the_grid_and_the_maps_have_their_sides(layers, resolution):
    with torch.no_grad():
        output = build(layers, resolution)(ImagePair(torch.zeros(2, 3, resolution, resolution), None))
    grid = resolution // 2**layers - 2
    assert [head.shape for head in output.heads] == [(2, 1, grid, grid)]
    assert output.logits.shape == (2, grid**2)
    sides = [*(resolution // 2**i for i in range(1, layers + 1)), resolution // 2**layers - 1]
    channels = [4 * min(8, 2**i) for i in range(layers + 1)]
    assert [f.shape for f in output.features] == [(2, c, side, side) for c, side in zip(channels, sides)]
    assert output.pooled.shape == (2, channels[-1])


@pytest.mark.parametrize(("layers", "resolution"), [(3, 16), (4, 32), (5, 64)])
def test_an_image_below_four_times_the_halvings_has_no_grid(layers, resolution):
    # The rule by which recipes are refused: resolution >= 2^(layers + 2).
    assert resolution < 2 ** (layers + 2)
    with pytest.raises(RuntimeError, match="Kernel size"):
        build(layers, resolution)(ImagePair(torch.zeros(1, 3, resolution, resolution), None))


@pytest.mark.parametrize("down", ["strided", "average"])
@pytest.mark.parametrize(("layers", "resolution"), [(1, 32), (2, 64), (3, 128)])
def test_a_pixel_moves_the_logits_whose_patch_holds_it(layers, resolution, down):
    # Logit i sees the pixels from 2^layers i - padding, where each layer's padding of one counts in steps of its map.
    discriminator = build(layers, resolution, down=down).double()
    image = torch.rand(1, 3, resolution, resolution, dtype=torch.float64) - 0.5
    with torch.no_grad():
        before = discriminator(ImagePair(image, None)).heads[0]
        padding = 3 * 2**layers - 1
        first = torch.arange(before.shape[-1]) * 2**layers - padding
        for row, column in ((0, 0), (resolution // 2, resolution // 2 + 3), (resolution - 1, 5)):
            touched = image.clone()
            touched[:, :, row, column] += 1
            moved = (discriminator(ImagePair(touched, None)).heads[0] != before)[0, 0]
            rows, columns = ((first <= place) & (place < first + patch(layers)) for place in (row, column))
            assert torch.equal(moved, rows[:, None] & columns)
            assert moved.any()


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_parameters_are_those_of_the_papers_layers(layers):
    # C64 - C128 - ... with at most 512 channels, all of 4 x 4; then one channel. No norm, thus a bias each.
    channels = [3, *(64 * min(8, 2**i) for i in range(layers + 1)), 1]
    expected = sum(16 * a * b + b for a, b in pairwise(channels))
    assert sum(p.numel() for p in build(layers, 128, width=64).parameters()) == expected


def test_the_default_is_the_papers_seventy_pixel_patch():
    spec = specs.PatchDiscriminator(name="patch")
    assert patch(spec.layers) == 70
    norms = sum(p.numel() for p in build(3, 32, norm="instance").parameters())
    # Norms on the second to the fourth convolution: a scale and a shift instead of the bias.
    assert norms - sum(p.numel() for p in build(3, 32).parameters()) == 8 + 16 + 32
