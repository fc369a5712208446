"""Gradient penalties against closed forms and numerical differentiation."""

from typing import get_args

import pytest
import torch
from torch import nn

from ganray.objectives.penalties import PENALTIES, build_penalty, r1, wgan_gp
from ganray.recipe.objective import R1, WGANGP
from ganray.recipe.objective import Penalty as PenaltySpec

SPECS = {"r1": R1(name="r1", gamma=3.0), "wgan_gp": WGANGP(name="wgan_gp", weight=7.0)}


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(4, 3, 4, 4, generator=generator) * 2 - 1 for _ in range(2)]


def small_discriminator():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 2, stride=2))


def test_the_registry_holds_every_penalty_of_the_recipe():
    union = get_args(PenaltySpec)[0]
    names = {get_args(m.model_fields["name"].annotation)[0] for m in get_args(union)}
    assert names == set(PENALTIES) == set(SPECS)


@pytest.mark.parametrize(
    "logits_of",
    [
        lambda s: s,  # [N]
        lambda s: s.view(-1, 1),  # [N, 1]
        lambda s: s.view(-1, 1, 1, 1).expand(-1, 1, 5, 5),  # patches that agree: their mean is the scalar
    ],
    ids=["flat", "column", "patches"],
)
def test_linear_discriminator(images, logits_of):
    w = torch.randn(3, 4, 4)
    norm = w.norm().item()

    def discriminate(x):
        return logits_of((x * w).sum(dim=(1, 2, 3)) + 0.5)

    assert r1(discriminate, *images, SPECS["r1"]).item() == pytest.approx(3.0 / 2 * norm**2, rel=1e-5)
    assert wgan_gp(discriminate, *images, SPECS["wgan_gp"]).item() == pytest.approx(7.0 * (norm - 1) ** 2, rel=1e-4)


def test_patches_that_differ_count_by_their_mean(images):
    # patch p sees <w_p, x>: the mean's gradient is mean_p w_p
    w = torch.randn(5, 3 * 4 * 4)
    value = r1(lambda x: x.flatten(1) @ w.T, *images, SPECS["r1"])
    assert value.item() == pytest.approx(1.5 * w.mean(dim=0).square().sum().item(), rel=1e-5)


def test_r1_of_a_quadratic_discriminator_is_at_the_reals(images):
    x_real, x_fake = images
    a = torch.randn(48, 48)
    a = a + a.T  # D(x) = x' A x / 2, grad = A x
    value = r1(lambda x: (x.flatten(1) @ a * x.flatten(1)).sum(dim=1) / 2, x_real, x_fake, SPECS["r1"])
    expected = 1.5 * (x_real.flatten(1) @ a).square().sum(dim=1).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)


def test_wgan_gp_is_taken_uniformly_between_real_and_fake():
    torch.manual_seed(0)
    length = 2.0
    x_real, x_fake = torch.zeros(40_000, 3, 1, 1), torch.full((40_000, 3, 1, 1), length / 3**0.5)
    # D(x) = |x|^2 / 2 has gradient x; between 0 and a vector of length k its norm is u k, u uniform in [0, 1]:
    # E (u k - 1)^2 = k^2 / 3 - k + 1
    value = wgan_gp(lambda x: x.square().sum(dim=(1, 2, 3)) / 2, x_real, x_fake, WGANGP(name="wgan_gp", weight=1.0))
    assert value.item() == pytest.approx(length**2 / 3 - length + 1, abs=0.01)


@pytest.mark.parametrize("name", PENALTIES)
def test_double_backward_is_right(name):
    """The penalty's gradient by D's weights, against finite differences in double precision."""
    torch.manual_seed(0)
    x_real, x_fake = (torch.randn(2, 3, 2, 2, dtype=torch.double) for _ in range(2))
    weights = [torch.randn(12, 4, dtype=torch.double), torch.randn(4, 3, dtype=torch.double)]

    def penalty(w1, w2):
        torch.manual_seed(1)  # the same points between real and fake each time
        return build_penalty(SPECS[name])(lambda x: (x.flatten(1) @ w1).tanh() @ w2, x_real, x_fake)

    assert torch.autograd.gradcheck(penalty, [w.requires_grad_() for w in weights])


@pytest.mark.parametrize("name", PENALTIES)
def test_every_weight_that_shapes_the_gradient_is_reached(name, images):
    discriminator = small_discriminator()
    x_real, x_fake = images[0], images[1].requires_grad_()
    build_penalty(SPECS[name])(discriminator, x_real, x_fake).backward()
    for weight in (discriminator[0].weight, discriminator[0].bias, discriminator[2].weight):
        assert weight.grad.abs().sum() > 0
    assert x_fake.grad is None  # the generator is not trained by D's penalty
    assert not x_real.requires_grad


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("every", [1, 16])
def test_lazy_factor_is_in_the_built_penalty_only(name, every, images):
    spec = SPECS[name].model_copy(update={"every": every})
    discriminator, penalty = small_discriminator(), build_penalty(spec)
    torch.manual_seed(0)
    plain = PENALTIES[name](discriminator, *images, spec)
    torch.manual_seed(0)
    built = penalty(discriminator, *images)
    assert penalty.every == every
    assert built.item() == pytest.approx(every * plain.item(), rel=1e-6)


def test_a_discriminator_without_gradient_gives_no_nan(images):
    w = torch.zeros(3, 4, 4, requires_grad=True)
    value = wgan_gp(lambda x: (x * w).sum(dim=(1, 2, 3)), *images, SPECS["wgan_gp"])
    value.backward()
    assert value.item() == pytest.approx(7.0)
    assert w.grad.isfinite().all()


def test_fakes_made_in_half_precision_are_accepted(images):
    value = wgan_gp(small_discriminator(), images[0], images[1].bfloat16(), SPECS["wgan_gp"])
    assert value.dtype == torch.float32
