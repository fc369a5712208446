"""DiffAugment: the ranges of the paper, differentiability, independence of the samples."""

from typing import get_args

import pytest
import torch

from ganray.recipe.tricks import AugmentOp
from ganray.tricks.diffaugment import AUGMENTATIONS, diff_augment

ALL = tuple(AUGMENTATIONS)


def test_the_registry_holds_every_operation_of_the_recipe():
    assert set(AUGMENTATIONS) == set(get_args(AugmentOp))


@pytest.mark.parametrize("size", [4, 9, 32, 64])
@pytest.mark.parametrize("policy", [(op,) for op in ALL] + [ALL], ids="+".join)
def test_any_size_same_shape_finite(policy, size):
    x = torch.rand(3, 3, size, size) * 2 - 1
    out = diff_augment(x, policy)
    assert out.shape == x.shape
    assert out.isfinite().all()


@pytest.mark.parametrize("policy", [(op,) for op in ALL] + [ALL], ids="+".join)
def test_differentiable_once_and_twice(policy):
    x = torch.randn(2, 3, 4, 4, dtype=torch.double, requires_grad=True)

    def augment(x):
        torch.manual_seed(3)
        return diff_augment(x, policy)

    assert torch.autograd.gradcheck(augment, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(
        lambda x: augment(x).tanh(), x, fast_mode=True
    )  # as a gradient penalty needs it


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_and_input_are_kept(dtype):
    x = (torch.rand(4, 3, 16, 16) * 2 - 1).to(dtype)
    before = x.clone()
    assert diff_augment(x, ALL).dtype == dtype
    assert torch.equal(x, before)


@pytest.mark.parametrize("op", ALL)
def test_deterministic_under_the_global_seed(op):
    x = torch.rand(8, 3, 16, 16) * 2 - 1
    torch.manual_seed(0)
    first, second = diff_augment(x, (op,)), diff_augment(x, (op,))
    torch.manual_seed(0)
    assert torch.equal(first, diff_augment(x, (op,)))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("op", ALL)
def test_each_sample_has_draws_of_its_own(op):
    torch.manual_seed(0)
    x = (torch.rand(1, 3, 16, 16) * 2 - 1).expand(8, 3, 16, 16)
    out = diff_augment(x, (op,))
    assert len({tuple(sample.flatten().tolist()) for sample in out}) > 1


@pytest.mark.parametrize("op", ALL)
def test_no_sample_sees_another(op):
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    other = x.clone()
    other[1:] = torch.rand(3, 3, 16, 16)
    torch.manual_seed(0)
    first = diff_augment(x, (op,))[0]
    torch.manual_seed(0)
    assert torch.equal(first, diff_augment(other, (op,))[0])


def test_operations_come_in_the_order_of_the_policy():
    x = torch.ones(64, 3, 16, 16)
    torch.manual_seed(0)
    cut_last = diff_augment(x, ("color", "cutout"))
    torch.manual_seed(0)
    cut_first = diff_augment(x, ("cutout", "color"))
    assert (cut_last == 0).flatten(1).any(dim=1).all()  # what is cut stays zero
    assert not (cut_first == 0).flatten(1).any(dim=1).all()  # brightness moves it again


def test_color_has_the_ranges_of_the_paper():
    """The three factors are read back from the output: mean, grey contrast and chroma each keep the others."""
    torch.manual_seed(0)
    n = 4000
    x = (torch.rand(1, 3, 4, 4, dtype=torch.double) * 2 - 1).expand(n, 3, 4, 4)
    out = diff_augment(x, ("color",))

    def parts(images):
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        grey = images.mean(dim=1, keepdim=True)
        return mean, grey - mean, images - grey

    (mean, grey, chroma), (mean_out, grey_out, chroma_out) = parts(x), parts(out)
    shift = (mean_out - mean).flatten()
    contrast = (grey_out * grey).sum(dim=(1, 2, 3)) / (grey * grey).sum(dim=(1, 2, 3))
    saturation = (chroma_out * chroma).sum(dim=(1, 2, 3)) / (chroma * chroma).sum(dim=(1, 2, 3)) / contrast
    torch.testing.assert_close(grey_out, grey * contrast.view(-1, 1, 1, 1))
    torch.testing.assert_close(chroma_out, chroma * (saturation * contrast).view(-1, 1, 1, 1))
    for draws, low, high in ((shift, -0.5, 0.5), (contrast, 0.5, 1.5), (saturation, 0.0, 2.0)):
        width = high - low
        assert low - 1e-9 <= draws.min() < low + 0.01 * width
        assert high - 0.01 * width < draws.max() <= high + 1e-9
        # a uniform's standard deviation is width / sqrt(12); four standard errors of its mean
        assert draws.mean().item() == pytest.approx((low + high) / 2, abs=4 * width / (12 * n) ** 0.5)
        assert draws.std().item() == pytest.approx(width / 12**0.5, rel=0.05)
    assert torch.corrcoef(torch.stack([shift, contrast, saturation])).triu(1).abs().max() < 0.07


def test_translation_moves_by_up_to_an_eighth_and_pads_with_zeros():
    torch.manual_seed(0)
    size, n = 32, 400
    image = torch.arange(1.0, 3 * size * size + 1).view(3, size, size)  # every pixel has a value of its own
    padded = torch.zeros(3, size + 8, size + 8)
    padded[:, 4:-4, 4:-4] = image
    moved = {
        (dy, dx): padded[:, 4 - dy : 4 - dy + size, 4 - dx : 4 - dx + size]
        for dy in range(-4, 5)
        for dx in range(-4, 5)
    }
    shifts = []
    for out in diff_augment(image.expand(n, 3, size, size), ("translation",)):
        found = [shift for shift, expected in moved.items() if torch.equal(out, expected)]
        assert len(found) == 1
        shifts += found
    for axis in range(2):
        counts = [sum(s[axis] == d for s in shifts) for d in range(-4, 5)]
        assert min(counts) > n / 9 / 2
        assert max(counts) < n / 9 * 2


@pytest.mark.parametrize("size", [16, 18])
def test_cutout_zeroes_one_square_of_half_the_size(size):
    torch.manual_seed(0)
    x = torch.rand(600, 3, size, size) + 1  # no zero of its own
    out = diff_augment(x, ("cutout",))
    cut = out == 0
    assert torch.equal(out[~cut], x[~cut])
    spans = set()
    for mask in cut:
        assert torch.equal(mask[0], mask[1])
        assert torch.equal(mask[0], mask[2])
        rows, columns = mask[0].any(dim=1).nonzero().flatten(), mask[0].any(dim=0).nonzero().flatten()
        height, width = len(rows), len(columns)
        assert height == rows[-1] - rows[0] + 1
        assert mask[0].sum() == height * width  # a full rectangle
        for side, ends in ((height, (rows[0], rows[-1])), (width, (columns[0], columns[-1]))):
            at_border = ends[0] == 0 or ends[1] == size - 1
            assert side == size // 2 or (at_border and size // 4 <= side < size // 2)
        spans |= {(int(rows[0]), height), (int(columns[0]), width)}
    # the centre goes from border to border, where half of the square is left
    smallest = (size // 2 + 1) // 2
    assert {(0, smallest), (size - smallest, smallest)} <= spans
    assert len(spans) == size + (size // 2 + 1) % 2
