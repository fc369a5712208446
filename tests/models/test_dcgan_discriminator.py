"""DCGAN's discriminator: the layers of the paper, counted by hand, and the weights that it has always started from."""

import pytest
import torch
from torch import nn

from ganray.models.discriminators.dcgan import DCGANDiscriminator
from ganray.models.outputs import ImagePair
from ganray.recipe import discriminators as specs


def build(resolution=32, width=4, **options):
    torch.manual_seed(0)
    return DCGANDiscriminator(specs.DCGANDiscriminator(name="dcgan", width=width, **options), resolution)


def blank(side, n=2):
    return ImagePair(torch.zeros(n, 3, side, side), None)


@pytest.mark.parametrize(
    ("resolution", "channels"),
    [(32, [3, 64, 128, 256]), (64, [3, 64, 128, 256, 512]), (256, [3, 64, 128, 256, 512, 512, 512])],
)
def test_channels_double_from_the_image_and_stop_at_eight_times_the_width(resolution, channels):
    discriminator = build(resolution, width=64)
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [m.in_channels for m in convolutions] == channels
    parameters = sum(16 * a * b + b for a, b in zip(channels, [*channels[1:], 1]))
    assert sum(p.numel() for p in discriminator.parameters()) == parameters


def test_fewer_layers_leave_a_larger_last_map_that_one_convolution_covers():
    discriminator = build(64, width=8, layers=2)
    assert sum(p.numel() for p in discriminator.parameters()) == 16 * 3 * 8 + 8 + 16 * 8 * 16 + 16 + 16 * 16 * 16 + 1
    output = discriminator(blank(64))
    assert [head.shape for head in output.heads] == [(2,)]
    assert [tuple(f.shape) for f in output.features] == [(2, 8, 32, 32), (2, 16, 16, 16)]


def test_as_many_layers_as_lead_to_4_px_are_the_default():
    plain, told = build(64), build(64, layers=4)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), told.parameters(), strict=True))


@pytest.mark.parametrize(
    ("norm", "layer"),
    [
        ("none", None),
        ("batch", nn.BatchNorm2d),
        ("instance", nn.InstanceNorm2d),
        ("layer", nn.GroupNorm),
        ("group", nn.GroupNorm),
    ],
)
def test_norm_is_on_every_stage_but_the_first(norm, layer):
    kinds = nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm
    norms = [m for m in build(64, norm=norm).modules() if isinstance(m, kinds)]
    assert len(norms) == (0 if layer is None else 3)
    assert all(isinstance(m, layer) for m in norms)


def test_one_logit_per_image_and_the_maps_of_every_stage():
    output = build()(blank(32))
    assert [head.shape for head in output.heads] == [(2,)]
    assert output.logits.shape == (2, 1)
    assert output.pooled.shape == (2, 16)
    assert output.pixels is None
    assert [tuple(f.shape) for f in output.features] == [(2, 4, 16, 16), (2, 8, 8, 8), (2, 16, 4, 4)]


def test_spectral_norm_bounds_every_layer():
    discriminator = build(spectral_norm=True)
    for _ in range(300):  # power iterations converge
        discriminator(blank(32, n=1))
    for module in discriminator.eval().modules():
        if isinstance(module, nn.Conv2d):
            largest = torch.linalg.matrix_norm(module.weight.flatten(1), ord=2)
            assert largest.item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "extra"),
    [({"minibatch_std": True}, 16), ({"minibatch_discrimination": 3}, 16 * 3 + 16 * 16 * 3 * 5)],
)
def test_statistics_of_the_batch_come_before_the_head(options, extra):
    # The head has 16 weights more per channel; minibatch discrimination has F * kernels * 5, F = 16 x 4 x 4.
    plain, changed = (sum(p.numel() for p in build(**o).parameters()) for o in ({}, options))
    assert changed - plain == extra


# Sums of the convolutions' absolute weights at 32 px, width 4 and seed 0, and the draw that follows, recorded before
# this discriminator had options.
RECORDED = [
    ({}, [3.01210122262637, 8.104749106376403, 32.05253346242216, 4.30462346287095], 0.7737193703651428),
    (
        {"norm": "batch"},
        [3.01210122262637, 8.013938163746388, 32.347069360213936, 4.138145848944987],
        0.5898050665855408,
    ),
    (
        {"spectral_norm": True},
        [3.01210122262637, 7.881550967901603, 32.385556411558355, 4.085172769817291],
        0.0944234132766,
    ),
]


@pytest.mark.parametrize(("options", "sums", "draw"), RECORDED)
def test_weights_and_draws_are_those_before_the_options(options, sums, draw):
    # A checkpoint or a golden curve of then has to fit now.
    discriminator = build(**options)
    assert torch.rand(1).item() == pytest.approx(draw, abs=1e-6)
    state = discriminator.state_dict()
    found = [value.double().abs().sum().item() for value in state.values() if value.ndim == 4]
    assert found == pytest.approx(sums, rel=1e-5)
    if not options:
        layers = ("stages.0.0", "stages.1.0", "stages.2.0", "head")
        assert list(state) == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
