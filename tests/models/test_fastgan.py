"""FastGAN's networks: sizes as published, and what each switch changes."""

import pytest
import torch
from torch.nn import functional as F

from ganray.models.outputs import ImagePair
from ganray.models.registry import build_discriminator, build_generator
from ganray.recipe.discriminators import FastGANDiscriminator
from ganray.recipe.generators import FastGANGenerator

# Measured on the authors' code at width 64, latent 256: G, D with its decoders.
PUBLISHED = {256: (29_127_846, 11_526_160), 512: (29_174_392, 11_526_496), 1024: (29_176_512, 11_528_192)}
PUBLISHED_DECODERS = 3_139_488


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def small_discriminator(resolution=64, **settings):
    torch.manual_seed(0)
    return build_discriminator(FastGANDiscriminator(name="fastgan", width=4, **settings), resolution)


@pytest.mark.parametrize("resolution", PUBLISHED)
def test_trainable_parameters_are_those_of_the_authors(resolution):
    generator = build_generator(FastGANGenerator(name="fastgan"), resolution)
    full = build_discriminator(FastGANDiscriminator(name="fastgan"), resolution)
    plain = build_discriminator(FastGANDiscriminator(name="fastgan", decode=None), resolution)
    assert (count(generator), count(full)) == PUBLISHED[resolution]
    assert count(full) - count(plain) == PUBLISHED_DECODERS


@pytest.mark.parametrize(("resolution", "small"), [(64, 32), (128, 64), (256, 128), (512, 128)])
def test_second_output_and_reconstructions_have_their_sides(resolution, small):
    generator = build_generator(FastGANGenerator(name="fastgan", width=4, latent_dim=4), resolution)
    discriminator = small_discriminator(resolution)
    with torch.no_grad():
        pair = generator(torch.randn(2, 4))
        output = discriminator(pair, quarter=3)
    assert pair.full.shape == (2, 3, resolution, resolution)
    assert pair.small.shape == (2, 3, small, small)
    assert [head.shape for head in output.heads] == [(2, 25), (2, 25)]  # both of 5 x 5 patches, so both count alike
    assert torch.equal(output.logits, torch.cat(output.heads, dim=1))
    made = output.reconstructions
    assert [x.shape[-1] for x in made[:3]] == [min(128, resolution), small, min(128, resolution // 2)]


def test_skip_off_leaves_the_excitation_out():
    on, off = (build_generator(FastGANGenerator(name="fastgan", width=16, skip=skip), 256) for skip in (True, False))
    # Excitations 4 -> 64, 8 -> 128, 16 -> 256 at width 16: one 4 x 4 and one 1 x 1 convolution each.
    gates = [(256, 32), (128, 16), (64, 8)]
    assert count(on) - count(off) == sum(16 * a * b + b * b for a, b in gates)


def test_skip_off_leaves_the_discriminators_excitation_out():
    on, off = (
        build_discriminator(FastGANDiscriminator(name="fastgan", width=16, skip=skip), 256) for skip in (True, False)
    )
    # Excitations 256 -> 32, 128 -> 16 and 64 -> 8 px at width 16.
    gates = [(4, 32), (8, 64), (16, 128)]
    assert count(on) - count(off) == sum(16 * a * b + b * b for a, b in gates)
    assert not [name for name in off.state_dict() if "excitation" in name]
    output = off(ImagePair(torch.zeros(2, 3, 256, 256), None), quarter=0)
    assert output.reconstructions.quarter.isfinite().all()


@pytest.mark.parametrize("resolution", [64, 256, 1024])
def test_stages_of_both_branches_are_side_by_side(resolution):
    discriminator = small_discriminator(resolution)
    stages = discriminator.stages_from_image()
    owned = [{id(p) for p in stage.parameters()} for stage in stages]
    assert sum(map(len, owned)) == len(set.union(*owned))
    others = {name.split(".")[0] for name, p in discriminator.named_parameters() if id(p) not in set.union(*owned)}
    assert others == {"head_full", "head_small", "decoders"}
    convolutions = [m for m in stages[0].modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.in_channels for m in convolutions if m.in_channels == 3] == [3, 3]


def test_linear_output_is_the_tanh_output_before_tanh():
    pairs = []
    for output in ("linear", "tanh"):
        torch.manual_seed(0)
        spec = FastGANGenerator(name="fastgan", width=4, latent_dim=4, output=output)
        pairs.append(build_generator(spec, 64)(torch.ones(2, 4)))
    for linear, bounded in zip(*pairs):
        torch.testing.assert_close(torch.tanh(linear), bounded)


def test_missing_small_image_is_the_full_one_resized():
    discriminator = small_discriminator().eval()
    full = torch.rand(2, 3, 64, 64) * 2 - 1
    resized = F.interpolate(full, size=32, mode="nearest")
    assert torch.equal(discriminator(ImagePair(full, None)).logits, discriminator(ImagePair(full, resized)).logits)
    other = discriminator(ImagePair(full, -resized)).logits
    reference = discriminator(ImagePair(full, resized)).logits
    assert torch.equal(other[:, :25], reference[:, :25])
    assert not torch.isclose(other[:, 25:], reference[:, 25:]).all()


def test_quarter_is_decoded_from_its_corner():
    # A change in the bottom right corner of the picture reaches quarter 3, and not quarter 0. At 128 px the
    # 16 x 16 map's excitation sees the whole picture, so leave it out.
    discriminator = small_discriminator(128).eval()
    discriminator.excitations.clear()
    first = torch.zeros(1, 3, 128, 128)
    second = first.clone()
    second[:, :, -16:, -16:] = 1
    for quarter, changes in ((0, False), (3, True)):
        made = [discriminator(ImagePair(x, None), quarter=quarter).reconstructions.quarter for x in (first, second)]
        assert torch.equal(*made) is not changes
    with pytest.raises(ValueError, match="quarter"):
        discriminator(ImagePair(first, None), quarter=4)


def test_without_decoders_quarter_changes_nothing():
    discriminator = small_discriminator(decode=None)
    assert not [name for name, _ in discriminator.named_parameters() if "decoder" in name]
    assert discriminator(ImagePair(torch.zeros(2, 3, 64, 64), None), quarter=0).reconstructions is None


def test_noise_is_drawn_in_evaluation_too_and_weight_zero_removes_it():
    torch.manual_seed(0)
    generator = build_generator(FastGANGenerator(name="fastgan", width=4, latent_dim=4), 64).eval()
    z = torch.randn(2, 4)
    assert torch.equal(generator(z).full, generator(z).full)
    for parameter in generator.parameters():
        if parameter.shape == (1,):
            torch.nn.init.ones_(parameter)
    assert not torch.equal(generator(z).full, generator(z).full)
