"""Multi-scale PatchGAN: each head is a PatchGAN on an image averaged by hand, and regions are quarters."""

import pytest
import torch

from ganray.models.discriminators.multi_scale_patch import MultiScalePatchDiscriminator
from ganray.models.discriminators.patch import PatchGAN
from ganray.models.outputs import ImagePair
from ganray.recipe import discriminators as specs


def build(resolution=64, width=4, **settings):
    torch.manual_seed(0)
    spec = specs.MultiScalePatchDiscriminator(name="multi_scale_patch", width=width, **settings)
    return MultiScalePatchDiscriminator(spec, resolution)


def images(n=3, side=64):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("layers", "scales", "regions", "resolution"),
    [(1, 1, False, 32), (1, 1, True, 32), (1, 4, False, 64), (2, 2, True, 32), (3, 2, True, 64), (2, 3, True, 128)],
)
def test_a_head_per_scale_and_one_for_the_region(layers, scales, regions, resolution):
    # The rule by which recipes are refused: each PatchGAN's image has to be of at least 2^(layers + 2) px.
    assert resolution >= 2 ** (layers + 1 + max(scales, 2 if regions else 1))
    discriminator = build(resolution, layers=layers, scales=scales, regions=regions)
    output = discriminator(ImagePair(images(2, resolution), None))
    sides = [resolution // 2**i for i in range(scales)] + [resolution // 2] * regions
    grids = [side // 2**layers - 2 for side in sides]
    assert [head.shape for head in output.heads] == [(2, 1, g, g) for g in grids]
    assert output.logits.shape == (2, sum(g * g for g in grids))
    assert len(output.features) == (scales + regions) * (layers + 1)


@pytest.mark.parametrize(
    ("layers", "scales", "regions", "resolution"), [(3, 2, False, 32), (1, 4, False, 32), (3, 1, True, 32)]
)
def test_a_coarsest_image_that_is_too_small_has_no_grid(layers, scales, regions, resolution):
    assert resolution < 2 ** (layers + 1 + max(scales, 2 if regions else 1))
    with pytest.raises(RuntimeError, match="Kernel size"):
        build(resolution, layers=layers, scales=scales, regions=regions)(ImagePair(images(1, resolution), None))


def test_each_scale_judges_the_image_averaged_over_squares():
    discriminator = build(scales=3, layers=1)
    x = images()
    output = discriminator(ImagePair(x, None))
    for i, head in enumerate(output.heads):
        square, side = 2**i, 64 // 2**i
        averaged = x.reshape(3, 3, side, square, side, square).mean(dim=(3, 5))
        torch.testing.assert_close(head, discriminator.scales[i](averaged)[0])


def test_parameters_are_those_of_so_many_patchgans_with_weights_of_their_own():
    one = count(PatchGAN(specs.MultiScalePatchDiscriminator(name="multi_scale_patch", width=64), 3, 64))
    assert count(build(width=64)) == 2 * one  # the default: two scales, no region
    assert count(build(width=64, scales=4, regions=True, layers=3, resolution=256)) == 5 * one
    first, second = (patches.state_dict()["stages.0.0.weight"] for patches in build().scales)
    assert not torch.equal(first, second)


def quarters_seen(discriminator, x):
    """Which quarter each image's region was: the one whose judgement the head is."""
    with torch.no_grad():
        head = discriminator(ImagePair(x, None)).heads[-1]
        corners = [x[:, :, r : r + 32, c : c + 32] for r in (0, 32) for c in (0, 32)]
        judged = torch.stack([discriminator.region(corner)[0] for corner in corners])
    same = torch.isclose(judged, head[None], rtol=1e-4, atol=0).flatten(2).all(dim=2)  # [4, N]
    assert torch.equal(same.sum(dim=0), torch.ones(len(x), dtype=torch.long))
    return same.long().argmax(dim=0)


def test_regions_are_random_quarters_in_training_each_as_often():
    discriminator = build(regions=True)
    torch.manual_seed(3)
    seen = torch.cat([quarters_seen(discriminator, images(8)) for _ in range(50)])
    shares = torch.bincount(seen, minlength=4) / len(seen)
    # 400 draws: a share of 1/4 has a standard deviation of 0.022.
    assert (shares - 0.25).abs().max() < 0.08
    torch.manual_seed(3)
    again = quarters_seen(discriminator, images(8))
    assert torch.equal(again, seen[:8])


def test_the_region_is_the_top_left_quarter_in_evaluation_and_draws_nothing():
    discriminator = build(regions=True).eval()
    state = torch.get_rng_state()
    assert not quarters_seen(discriminator, images(4)).any()
    assert torch.equal(torch.get_rng_state(), state)


def test_without_regions_nothing_is_drawn_and_the_scales_are_the_same():
    plain, regional = build(), build(regions=True)
    state = torch.get_rng_state()
    output = plain(ImagePair(images(), None))
    assert torch.equal(torch.get_rng_state(), state)
    with_region = regional(ImagePair(images(), None))
    assert all(torch.equal(a, b) for a, b in zip(output.heads, with_region.heads[:2]))
    assert all(torch.equal(a, b) for a, b in zip(output.features, with_region.features[4:]))


@pytest.mark.parametrize("regions", [False, True])
def test_pooled_features_are_the_coarsest_scales(regions):
    discriminator = build(regions=regions)
    x = images()
    pooled = discriminator(ImagePair(x, None)).pooled
    coarse = discriminator.scales[-1](torch.nn.functional.avg_pool2d(x, 2))[1][-1]
    torch.testing.assert_close(pooled, coarse.mean(dim=(2, 3)))


def test_a_sample_feels_no_other_samples_region():
    x = images().requires_grad_()
    torch.manual_seed(0)
    build(regions=True)(ImagePair(x, None)).heads[-1][1].sum().backward()
    assert [bool(g.any()) for g in x.grad] == [False, True, False]
    assert (x.grad[1].abs().sum(dim=0) > 0).sum() <= 32 * 32
