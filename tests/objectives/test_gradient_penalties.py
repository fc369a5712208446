"""Gradient penalties against closed forms."""

from functools import partial

import pytest
import torch

from ganray.objectives.gradient_penalties import dragan, input_gradient, wgan_gp, zero_centred

N, SHAPE = 4, (3, 4, 4)
SIZE = 3 * 4 * 4


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(N, *SHAPE, generator=generator) * 2 - 1 for _ in range(2)]


def linear(w):
    """One head, one logit <w, x> per sample, whose gradient is w everywhere."""
    return lambda x: [(x * w).sum(dim=(1, 2, 3))]


SHAPES = {
    "flat": lambda s: s,
    "column": lambda s: s.view(-1, 1),
    "patches that agree": lambda s: s.view(-1, 1, 1, 1).expand(-1, 1, 5, 5),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_linear_discriminator(images, shape):
    w = torch.randn(*SHAPE)
    norm = w.norm().item()

    def discriminate(x):
        return [shape((x * w).sum(dim=(1, 2, 3)) + 0.5)]

    x_real, x_fake = images
    assert zero_centred(discriminate, x_real, 3.0).item() == pytest.approx(3.0 / 2 * norm**2, rel=1e-5)
    assert wgan_gp(discriminate, x_real, x_fake, 7.0).item() == pytest.approx(7.0 * (norm - 1) ** 2, rel=1e-4)
    assert dragan(discriminate, x_real, 7.0).item() == pytest.approx(7.0 * (norm - 1) ** 2, rel=1e-4)


def test_patches_that_differ_count_by_their_mean(images):
    # patch p sees <w_p, x>: the mean's gradient is mean_p w_p
    w = torch.randn(5, SIZE)
    value = zero_centred(lambda x: [x.flatten(1) @ w.T], images[0], 3.0)
    assert value.item() == pytest.approx(1.5 * w.mean(dim=0).square().sum().item(), rel=1e-5)


def test_heads_count_alike_however_many_logits_they_have(images):
    a, b = torch.randn(1, SIZE), torch.randn(5, SIZE)
    value = zero_centred(lambda x: [x.flatten(1) @ a.T, x.flatten(1) @ b.T], images[0], 3.0)
    expected = (a[0] + b.mean(dim=0)) / 2
    assert value.item() == pytest.approx(1.5 * expected.square().sum().item(), rel=1e-5)


def test_a_quadratic_discriminator_shows_where_the_gradient_is_taken(images):
    x, _ = images
    a = torch.randn(SIZE, SIZE)
    a = a + a.T  # D(x) = x' A x / 2, grad = A x
    value = zero_centred(lambda x: [(x.flatten(1) @ a * x.flatten(1)).sum(dim=1) / 2], x, 3.0)
    expected = 1.5 * (x.flatten(1) @ a).square().sum(dim=1).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)


def test_wgan_gp_is_taken_uniformly_between_real_and_fake():
    torch.manual_seed(0)
    length = 2.0
    x_real, x_fake = torch.zeros(40_000, 3, 1, 1), torch.full((40_000, 3, 1, 1), length / 3**0.5)
    # D(x) = |x|^2 / 2 has gradient x; between 0 and a vector of length k its norm is u k, u uniform in [0, 1]:
    # E (u k - 1)^2 = k^2 / 3 - k + 1
    value = wgan_gp(lambda x: [x.square().sum(dim=(1, 2, 3)) / 2], x_real, x_fake, 1.0)
    assert value.item() == pytest.approx(length**2 / 3 - length + 1, abs=0.01)


def points_of(penalty):
    """Where a penalty has D look."""
    seen = []

    def discriminate(x):
        seen.append(x.detach())
        return [x.sum(dim=(1, 2, 3))]

    penalty(discriminate)
    return seen[0]


def test_dragan_adds_gaussian_noise_of_a_sixth_of_the_reals_deviation():
    torch.manual_seed(0)
    x_real = torch.rand(64, 3, 16, 16) * 2 - 1  # uniform in [-1, 1]: standard deviation 1 / sqrt(3)
    noise = points_of(lambda d: dragan(d, x_real, 10.0)) - x_real
    scale = 1 / 3**0.5 / 6
    assert noise.mean().item() == pytest.approx(0, abs=0.002)
    assert noise.std().item() == pytest.approx(scale, rel=0.02)
    assert noise.quantile(torch.tensor(0.8413)).item() == pytest.approx(scale, rel=0.03)  # one deviation, if Gaussian


def test_dragan_takes_the_deviation_from_all_workers():
    halves = torch.zeros(2, *SHAPE), torch.ones(2, *SHAPE)  # each worker's own deviation is 0; together it is 1/2
    noise = points_of(lambda d: dragan(d, halves[0], 10.0, batch_mean=lambda x: torch.tensor(0.5))) - halves[0]
    assert noise.std().item() == pytest.approx(0.5 / 6, rel=0.3)


@pytest.mark.parametrize("name", ["zero_centred", "wgan_gp", "dragan"])
def test_a_discriminator_without_gradient_gives_no_nan(images, name):
    x_real, x_fake = images
    penalty = {
        "zero_centred": (partial(zero_centred, x=x_real, gamma=7.0), 0.0),
        "wgan_gp": (partial(wgan_gp, x_real=x_real, x_fake=x_fake, weight=7.0), 7.0),
        "dragan": (partial(dragan, x_real=x_real, weight=7.0), 7.0),
    }
    w = torch.zeros(*SHAPE, requires_grad=True)
    function, expected = penalty[name]
    value = function(linear(w))
    value.backward()
    assert value.item() == pytest.approx(expected)
    assert w.grad.isfinite().all()


def test_fakes_made_in_half_precision_are_accepted(images):
    value = wgan_gp(linear(torch.randn(*SHAPE)), images[0], images[1].bfloat16(), 10.0)
    assert value.dtype == torch.float32


def test_wgan_gp_draws_one_number_per_pair_and_r1_none(images):
    discriminate = linear(torch.randn(*SHAPE))
    torch.manual_seed(5)
    torch.rand(N)
    after = torch.rand(1)
    torch.manual_seed(5)
    zero_centred(discriminate, images[0], 1.0)
    wgan_gp(discriminate, *images, 1.0)
    assert torch.equal(torch.rand(1), after)


def test_the_gradient_is_per_sample_and_leaves_the_images_alone(images):
    x = images[0].requires_grad_()
    gradient = input_gradient(lambda x: [x.square().sum(dim=(1, 2, 3)) / 2], x)
    torch.testing.assert_close(gradient, x.detach())
    gradient.sum().backward()
    assert x.grad is None
