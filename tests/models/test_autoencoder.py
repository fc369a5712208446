"""EBGAN's discriminator: the energy is what it says, and differentiates twice. (Conformance tests do the rest.)"""

import pytest
import torch

from ganray.models.discriminators.autoencoder import AutoEncoderDiscriminator
from ganray.models.outputs import ImagePair
from ganray.recipe import discriminators as specs


def make(resolution=32, **settings):
    spec = specs.AutoEncoderDiscriminator(name="autoencoder", width=4, code_dim=6, **settings)
    torch.manual_seed(0)
    return AutoEncoderDiscriminator(spec, resolution)


def images(n=3, resolution=32, dtype=torch.float32):
    return torch.rand(n, 3, resolution, resolution, dtype=dtype, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("resolution", [32, 64, 256])
def test_shapes(resolution, spectral_norm):
    output = make(resolution, spectral_norm=spectral_norm)(ImagePair(images(2, resolution)), quarter=1, labels=None)
    assert [head.shape for head in output.heads] == [(2,)]
    assert output.code.shape == (2, 6)
    # halved down to 4 x 4, channels doubled up to eight times the width
    n = resolution.bit_length() - 3
    assert [f.shape for f in output.features] == [
        (2, 4 * min(8, 2**i), resolution // 2 ** (i + 1), resolution // 2 ** (i + 1)) for i in range(n)
    ]
    assert output.features[-1].shape[-1] == 4


def test_energy_by_hand():
    discriminator = make()
    last = discriminator.decoder[-1]
    with torch.no_grad():  # whatever the code, the decoder paints everything in one grey
        last.weight.zero_()
        last.bias.fill_(0.25)
    x = torch.stack([torch.full((3, 32, 32), value) for value in (-1.0, 0.25, 1.0)])
    # minus the mean of (0.25 - x)^2
    expected = torch.tensor([-1.5625, 0.0, -0.5625])
    torch.testing.assert_close(discriminator(ImagePair(x)).heads[0], expected)


def test_the_image_passes_through_the_code():
    discriminator = make()
    with torch.no_grad():
        discriminator.to_code[1].weight.zero_()
    output = discriminator(ImagePair(images()))
    rebuilt = discriminator.decoder(discriminator.from_code(output.code))
    assert not output.code.any()
    assert torch.equal(rebuilt[0], rebuilt[1])


def test_stages_are_the_encoder_from_the_image_on():
    discriminator = make()
    x = images()
    output = discriminator(ImagePair(x))
    for stage, feature in zip(discriminator.stages_from_image(), output.features, strict=True):
        x = stage(x)
        assert torch.equal(x, feature)


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_gradients_reach_every_parameter_and_the_image(spectral_norm):
    discriminator = make(spectral_norm=spectral_norm)
    x = images().requires_grad_()
    discriminator(ImagePair(x)).logits.sum().backward()
    assert all(p.grad.any() and p.grad.isfinite().all() for p in discriminator.parameters())
    assert x.grad.any()


def test_reconstruction_learns():
    discriminator = make()
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3)
    smooth = torch.nn.functional.interpolate(images(4, 2), size=32, mode="bilinear")
    energies = []
    for _ in range(30):
        energy = -discriminator(ImagePair(smooth)).logits.mean()
        optimizer.zero_grad()
        energy.backward()
        optimizer.step()
        energies.append(energy.item())
    assert energies[-1] < energies[0] / 2


def test_gradient_penalty_against_finite_differences():
    discriminator = make().double()
    x = images(dtype=torch.float64).requires_grad_()
    weight = discriminator.stages[0][0].weight

    def penalty():
        # the energy itself, without the output's rounding to fp32
        energy = (discriminator.decoder(discriminator.from_code(code_of(x))) - x).square().mean(dim=(1, 2, 3))
        (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
        return gradient.square().sum()

    def code_of(x):
        for stage in discriminator.stages:
            x = stage(x)
        return discriminator.to_code(x)

    (analytic,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn_like(weight)
    values = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight += step * direction
        values.append(penalty().item())
        with torch.no_grad():
            weight -= step * direction
    assert (analytic * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)
    # and through the discriminator itself, in fp32
    discriminator.float()
    x32 = x.detach().float().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(ImagePair(x32)).logits.sum(), x32, create_graph=True)
    (through,) = torch.autograd.grad(gradient.square().sum(), weight)
    torch.testing.assert_close(through.double(), analytic, rtol=1e-3, atol=1e-6)


def test_half_precision_maps_give_an_energy_in_fp32():
    discriminator = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert discriminator(ImagePair(images())).heads[0].dtype == torch.float32
