"""Penalties on logits against values computed by hand."""

import pytest
import torch

from ganray.objectives.logit_penalties import (
    consistency,
    cutmix,
    cutmix_mask,
    flip_and_shift,
    in_full,
    lecam,
    mix,
    sample_logits,
)


def test_lecam_by_hand():
    real, fake = [torch.tensor([2.0, -1.0])], [torch.tensor([0.5, -3.0])]
    # anchors 1 (reals) and -1 (fakes): reals are 3 and 0 from -1, fakes -0.5 and -4 from 1
    value = lecam(real, fake, torch.tensor([1.0]), torch.tensor([-1.0]))
    assert value.item() == pytest.approx((9 + 0) / 2 + (0.25 + 16) / 2)


def test_lecam_has_anchors_of_its_own_for_each_head_and_heads_count_alike():
    heads = [torch.full((2, 1), 3.0), torch.full((2, 1, 4, 4), -5.0)]
    value = lecam(heads, heads, real=torch.tensor([4.0, -5.0]), fake=torch.tensor([1.0, -6.0]))
    assert value.item() == pytest.approx((4 + 1) / 2 + (1 + 0) / 2)


def test_lecam_moves_no_anchor_by_its_gradient():
    anchors = torch.zeros(1, requires_grad=True)
    logits = torch.tensor([1.0, 3.0], requires_grad=True)
    lecam([logits], [logits.detach()], anchors, anchors).backward()
    assert anchors.grad is None
    # d/dl of the mean of l^2 over two logits
    torch.testing.assert_close(logits.grad, torch.tensor([1.0, 3.0]))


def test_consistency_by_hand():
    images = [torch.tensor([1.0, 2.0]), torch.tensor([[0.0, 2.0], [4.0, 4.0]])]  # means of the second: 1, 4
    copies = [torch.tensor([0.0, 2.0]), torch.tensor([[3.0, 3.0], [4.0, 2.0]])]  # 3, 3
    assert consistency(images, copies).item() == pytest.approx((1 + 0 + 4 + 1) / 4)


def test_consistency_does_not_mind_where_the_patches_went():
    grid = torch.randn(3, 1, 4, 4)
    assert consistency([grid], [grid.flip(3)]).item() == pytest.approx(0, abs=1e-12)


def test_sample_logits_are_means_of_each_head():
    heads = [torch.tensor([1.0, 2.0]), torch.arange(8.0).view(2, 1, 2, 2)]
    torch.testing.assert_close(sample_logits(heads), torch.tensor([[1.0, 2.0], [1.5, 5.5]]))


def test_flip_and_shift_moves_whole_images_by_whole_pixels():
    torch.manual_seed(0)
    side, n = 16, 400
    columns = torch.arange(side).float().expand(3, side, side)
    moved = flip_and_shift(torch.stack([columns] * n))
    # in the middle, away from the border, a shift by s turns column j into j - s; a flip turns the order round
    middle = moved[:, 0, 8, 2:14]
    steps = middle.diff(dim=1)
    assert set(steps.unique().tolist()) == {-1.0, 1.0}
    assert (steps == steps[:, :1]).all()
    flipped = steps[:, 0] < 0
    assert 0.4 < flipped.float().mean() < 0.6
    shifts = torch.where(flipped, (side - 1 - 8) - moved[:, 0, 8, 8], 8 - moved[:, 0, 8, 8])
    assert set(shifts[~flipped].tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert set(shifts[flipped].abs().tolist()) == {0.0, 1.0, 2.0}


def test_flip_and_shift_goes_along_both_axes_and_reflects_at_the_border():
    torch.manual_seed(0)
    side = 16
    rows = torch.arange(side).float()[:, None].expand(3, side, side)
    moved = flip_and_shift(torch.stack([rows] * 100))
    tops = {tuple(image[0, :3, 0].tolist()) for image in moved}
    bottoms = {tuple(15 - row for row in image[0, -3:, 0].flip(0).tolist()) for image in moved}
    # shifted down by 2, the rows come as 2, 1, 0, 1, ...: the border row is not repeated
    assert tops == {(0.0, 1.0, 2.0), (1.0, 0.0, 1.0), (2.0, 1.0, 0.0), (1.0, 2.0, 3.0), (2.0, 3.0, 4.0)}
    assert bottoms == tops


def test_an_image_smaller_than_the_shift_stays_where_it_is():
    x = torch.randn(5, 3, 4, 4)
    moved = flip_and_shift(x)
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(2)) for a, b in zip(moved, x))


def test_cutmix_by_hand():
    real, fake = torch.full((1, 1, 2, 2), 4.0), torch.full((1, 1, 2, 2), -2.0)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    mixed = torch.tensor([[[[3.0, -2.0], [0.0, -2.0]]]])
    assert cutmix(mixed, real, fake, mask).item() == pytest.approx((1 + 0 + 4 + 0) / 4)


def test_cutmix_of_a_discriminator_that_looks_at_each_pixel_alone_is_zero():
    x_real, x_fake = torch.randn(2, 4, 3, 8, 8)
    mask = cutmix_mask(x_real)

    def pixels(x):
        return x.sum(dim=1, keepdim=True).tanh()

    value = cutmix(pixels(mix(x_real, x_fake, mask)), pixels(x_real), pixels(x_fake), mask)
    assert value.item() == pytest.approx(0, abs=1e-12)


def test_cutmix_trains_both_sides():
    logits = [torch.randn(1, 1, 4, 4, requires_grad=True) for _ in range(3)]
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    by_mixed, by_real, by_fake = torch.autograd.grad(cutmix(*logits, mask), logits)
    assert (by_mixed != 0).all()
    assert torch.equal(by_real != 0, mask.bool())
    assert torch.equal(by_fake != 0, ~mask.bool())


def test_a_mask_is_a_rectangle_or_its_surroundings():
    torch.manual_seed(0)
    masks = cutmix_mask(torch.empty(500, 3, 16, 16))
    assert masks.shape == (500, 1, 16, 16)
    assert masks.dtype == torch.float32
    for mask in masks[:, 0].bool():
        rectangles = [side[side.any(dim=1)][:, side.any(dim=0)] for side in (mask, ~mask)]
        assert any(bool(r.all()) for r in rectangles)
    assert len({tuple(m.flatten().tolist()) for m in masks}) > 400  # each image has its own


def test_real_and_fake_have_the_same_share_on_average():
    torch.manual_seed(0)
    share = cutmix_mask(torch.empty(4000, 3, 16, 16)).mean(dim=(1, 2, 3))
    assert share.mean().item() == pytest.approx(0.5, abs=0.02)
    assert (share < 0.1).float().mean().item() == pytest.approx((share > 0.9).float().mean().item(), abs=0.03)


def test_the_rectangles_have_uniform_shares_before_they_are_clipped():
    torch.manual_seed(0)
    share = cutmix_mask(torch.empty(20_000, 3, 32, 32)).mean(dim=(1, 2, 3))
    # The length of [c - s/2, c + s/2] within [0, 1], by sums over r = s^2 and c, both uniform
    uniform = (torch.arange(1000, dtype=torch.double) + 0.5) / 1000
    side, centre = uniform.sqrt()[:, None], uniform
    length = (centre + side / 2).clamp(max=1) - (centre - side / 2).clamp(min=0)
    first = length.mean(dim=1).square().mean()  # E a of a rectangle of length times length, drawn apart
    second = length.square().mean(dim=1).square().mean()  # E a^2
    # The coin takes a to a or 1 - a and leaves (a - 1/2)^2 as it is
    expected = second - first + 0.25
    assert (share - 0.5).square().mean().item() == pytest.approx(expected.item(), rel=0.03)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_half_precision_is_widened(given, expected):
    assert in_full(torch.zeros(2, dtype=given)).dtype == expected
