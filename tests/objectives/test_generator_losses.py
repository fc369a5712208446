"""G's further losses against values by hand, closed forms and finite differences."""

import copy
from typing import get_args

import pytest
import torch
from torch import nn

from ganray.objectives.generator_losses import (
    GENERATOR_LOSSES,
    MODE_SEEKING_EPSILON,
    Generated,
    build_generator_losses,
)
from ganray.objectives.reconstruction import perceptual
from ganray.recipe import penalties as specs

SIDE, LATENT_DIM = 8, 5


def spec_of(name, **settings):
    (spec,) = (
        m for m in get_args(get_args(specs.GeneratorLoss)[0]) if get_args(m.model_fields["name"].annotation)[0] == name
    )
    return spec(name=name, **settings)


def build(name, features=None, **settings):
    return build_generator_losses([spec_of(name, **settings)], features)[name]


def measured(name, generated, features=None):
    return build(name, features).measure(generated)


def given(n=4, **changes):
    """A batch whose parts mean nothing, but for the changes."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(n, LATENT_DIM, generator=rng)
    images = torch.rand(n, 3, SIDE, SIDE, generator=rng) * 2 - 1
    return Generated(
        **{"generate": lambda z: images, "z": z, "x_fake": images, "x_real": images, "features_fake": (), **changes}
    )


class TinyGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(LATENT_DIM, 6), nn.Tanh(), nn.Linear(6, 3 * SIDE * SIDE), nn.Tanh())

    def forward(self, z):
        return self.layers(z).view(-1, 3, SIDE, SIDE)


def small_extractor():
    torch.manual_seed(7)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Tanh()), nn.Conv2d(4, 6, 3, 2, 1)


def features_of(extractor):
    def maps(x):
        first = extractor[0](x)
        return [first, extractor[1](first)]

    return maps


def played(generator, maps, n=4):
    """What the step hands over, of a small generator and a small discriminator."""
    rng = torch.Generator().manual_seed(3)
    z, own = (torch.randn(n, LATENT_DIM, generator=rng) for _ in range(2))
    x_real = torch.rand(n, 3, SIDE, SIDE, generator=rng) * 2 - 1
    x_fake = generator(z)
    with torch.no_grad():
        features_real = tuple(maps(x_real))
    return Generated(
        generate=generator,
        z=z,
        x_fake=x_fake,
        x_real=x_real,
        features_fake=tuple(maps(x_fake)),
        features_real=features_real,
        pair=(generator(own), 2 * x_real.sign()),  # out of reach, so that no |difference| has its kink nearby
    )


def test_the_registry_holds_every_generator_loss_of_the_recipe():
    names = {get_args(m.model_fields["name"].annotation)[0] for m in get_args(get_args(specs.GeneratorLoss)[0])}
    assert names == set(GENERATOR_LOSSES)


@pytest.mark.parametrize("name", GENERATOR_LOSSES)
def test_every_generator_parameter_gets_a_gradient_and_the_discriminator_none(name):
    torch.manual_seed(0)
    generator = TinyGenerator()
    extractor = nn.ModuleList(small_extractor()).requires_grad_(False)
    maps = features_of(extractor)
    value = build(name, maps)(played(generator, maps))
    assert value.ndim == 0
    assert value.item() > 0
    value.backward()
    for key, parameter in generator.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any(), key
    assert all(parameter.grad is None for parameter in extractor.parameters())


@pytest.mark.parametrize("name", GENERATOR_LOSSES)
def test_gradient_against_finite_differences(name):
    """Along one random direction of G's weights, in single precision, as the losses compute in it."""
    torch.manual_seed(1)
    generator = TinyGenerator()
    maps = features_of([m.requires_grad_(False) for m in small_extractor()])
    direction = [torch.randn_like(p) for p in generator.parameters()]

    def value_at(step):
        moved = copy.deepcopy(generator)
        with torch.no_grad():
            for p, d in zip(moved.parameters(), direction):
                p += step * d
        torch.manual_seed(5)  # path length draws noise
        loss = build(name, maps)
        if name == "path_length":
            loss.mean_length.fill_(0.2)
            loss.spec = loss.spec.model_copy(update={"decay": 1e-12})  # the average is held fixed by the gradient
        return loss(played(moved, maps)), list(moved.parameters())

    value, parameters = value_at(0.0)
    gradients = torch.autograd.grad(value, parameters)
    slope = sum((g * d).sum() for g, d in zip(gradients, direction)).item()
    h = 1e-3  # small enough to cross few kinks of |differences|, large enough for float32
    numerical = (value_at(h)[0] - value_at(-h)[0]).item() / (2 * h)
    assert slope == pytest.approx(numerical, rel=2e-2, abs=1e-3)


@pytest.mark.parametrize("name", GENERATOR_LOSSES)
def test_weight_and_interval_scale_the_loss(name):
    maps = features_of(small_extractor())
    loss = build(name, maps, weight=3.0)
    generated = played(TinyGenerator(), maps)
    values = []
    for call in (loss, loss.measure):
        torch.manual_seed(2)
        if name == "path_length":
            loss.mean_length.zero_()
        values.append(call(generated).item())
    assert values[0] == pytest.approx(3.0 * loss.every * values[1], rel=1e-5)


@pytest.mark.parametrize("name", GENERATOR_LOSSES)
def test_what_a_loss_needs_it_says(name):
    loss = build(name, features_of(small_extractor()))
    assert loss.needs_real == (name == "feature_matching")
    assert loss.needs_pair == (name in ("l1", "content"))
    if loss.needs_real or loss.needs_pair:
        with pytest.raises(ValueError, match=name):
            loss(given(features_fake=(torch.zeros(4, 1, 2, 2),)))


@pytest.mark.parametrize("name", GENERATOR_LOSSES)
def test_half_precision_inputs_give_full_precision(name):
    maps = features_of(small_extractor())
    generator = TinyGenerator().requires_grad_()
    full = played(generator, maps)
    half = Generated(
        generate=lambda z: generator(z).bfloat16(),
        z=full.z,
        x_fake=full.x_fake.bfloat16(),
        x_real=full.x_real,
        features_fake=tuple(f.bfloat16() for f in full.features_fake),
        features_real=tuple(f.bfloat16() for f in full.features_real),
        pair=(full.pair[0].bfloat16(), full.pair[1]),
    )
    assert build(name, maps)(half).dtype == torch.float32


@pytest.mark.parametrize("name", ["content", "style"])
def test_losses_on_the_extractor_need_it(name):
    with pytest.raises(ValueError, match="pass features="):
        build(name)


def test_an_extractor_that_is_a_module_is_no_part_of_the_losses():
    class Extractor(nn.Conv2d):
        def forward(self, x):
            return [super().forward(x)]

    losses = build_generator_losses([spec_of("content"), spec_of("style")], Extractor(3, 4, 3))
    assert not list(losses.parameters())
    assert not losses.state_dict()


def test_feature_matching_by_hand():
    # Means [2, 4] and [1, 2]: (1 + 4) / (4 + 16) = 1/4; the second map's means agree: 0.
    real = torch.tensor([[1.0, 3.0], [3.0, 5.0]]).view(2, 1, 1, 2)
    fake = torch.tensor([[0.0, 2.0], [2.0, 2.0]]).view(2, 1, 1, 2)
    swapped = torch.tensor([2.0, 7.0]).view(2, 1, 1, 1)
    generated = given(2, features_real=(real, swapped), features_fake=(fake, swapped.flip(0)))
    assert measured("feature_matching", generated).item() == pytest.approx(1 / 8)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_feature_matching_of_blank_fakes_is_one(scale):
    real = scale * torch.rand(4, 6, 2, 2)
    generated = given(features_real=(real,), features_fake=(torch.zeros_like(real),))
    assert measured("feature_matching", generated).item() == pytest.approx(1.0)


def test_feature_matching_of_blank_reals_is_finite():
    blank = torch.zeros(4, 1, 2, 2)
    assert measured("feature_matching", given(features_real=(blank,), features_fake=(blank,))).item() == 0.0


def test_feature_matching_over_two_workers_is_that_of_the_whole_batch():
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(4, 3, 2, 2, generator=rng) for _ in range(2))
    whole = measured("feature_matching", given(features_real=(real,), features_fake=(fake,)))
    others = iter([real[2:].mean(0), fake[2:].mean(0)])  # the means that the other worker brings

    def batch_mean(x, dim):
        return (x.mean(dim) + next(others)) / 2

    share = given(2, features_real=(real[:2],), features_fake=(fake[:2],), batch_mean=batch_mean)
    assert measured("feature_matching", share).item() == pytest.approx(whole.item())


def test_l1_by_hand():
    rebuilt, target = torch.full((2, 3, 2, 2), 0.5), torch.zeros(2, 3, 2, 2)
    target[0] = -0.5  # |0.5 + 0.5| for half of them, |0.5| for the other
    assert measured("l1", given(pair=(rebuilt, target))).item() == pytest.approx(0.75)


def test_content_is_the_perceptual_distance():
    maps = features_of(small_extractor())
    pair = torch.rand(2, 3, SIDE, SIDE), torch.rand(2, 3, SIDE, SIDE)
    assert measured("content", given(pair=pair), maps).item() == pytest.approx(perceptual(maps, *pair).item())
    assert measured("content", given(pair=(pair[0], pair[0])), maps).item() == 0.0


def two_channels(x):
    return [x[:, :2]]


def painted(*channels):
    """One image of three channels and 1 x 2 places, the third channel blank."""
    return torch.tensor([*channels, [0.0, 0.0]]).view(1, 3, 1, 2)


def test_style_by_hand():
    # Gram matrices, up to C h w: [[1, 1], [1, 5]] of the real, [[1, 0], [0, 1]] of the fake.
    # Squared distance 0 + 1 + 1 + 16 over squared length 1 + 1 + 1 + 25.
    real, fake = painted([1.0, 0.0], [1.0, 2.0]), painted([1.0, 0.0], [0.0, 1.0])
    assert measured("style", given(1, x_real=real, x_fake=fake), two_channels).item() == pytest.approx(18 / 28)


def test_style_compares_mean_gram_matrices_of_the_batches():
    # Means over two images: of diag(1, 0) and diag(0, 1), twice diag(1, 1) / 2 whatever the order.
    first, second = painted([1.0, 0.0], [0.0, 0.0]), painted([0.0, 0.0], [1.0, 0.0])
    generated = given(2, x_real=torch.cat([first, second]), x_fake=torch.cat([second, first]))
    assert measured("style", generated, two_channels).item() == pytest.approx(0.0, abs=1e-7)


def test_style_does_not_mind_places_and_extractor_scale():
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(2, 3, 4, 4, generator=rng) for _ in range(2))
    values = [
        measured("style", given(2, x_real=real, x_fake=fake.flip(-1)), lambda x, s=scale: [s * x]).item()
        for scale in (1.0, 100.0)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert values[0] == pytest.approx(measured("style", given(2, x_real=real, x_fake=fake), lambda x: [x]).item())


def test_mode_seeking_by_hand():
    # Pairs (0, 2) and (1, 3); |z| apart by 2 and 4, images by 1 and 1: ratios 1/2 and 1/4, mean 3/8.
    z = torch.tensor([0.0, 0.0, 2.0, 4.0])[:, None].expand(4, 3)
    images = torch.tensor([0.0, 0.0, 1.0, -1.0]).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    assert measured("mode_seeking", given(z=z, x_fake=images)).item() == pytest.approx(8 / 3, rel=1e-4)
    # A fifth image has no partner.
    longer = given(z=torch.cat([z, z[:1] + 9]), x_fake=torch.cat([images, images[:1] + 9]))
    assert measured("mode_seeking", longer).item() == pytest.approx(8 / 3, rel=1e-4)


def test_mode_seeking_with_labels_compares_images_of_the_same_label():
    """G(z, c) = z + 100 c: only what z moves may count, however far the classes are apart."""
    z = torch.tensor([0.0, 1.0, 3.0, 7.0, 5.0])[:, None].expand(5, 3)
    labels = torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0])

    def generate(z):
        return (z[:, 0] + 100 * labels).view(5, 1, 1, 1).expand(5, 3, 2, 2)

    generated = given(5, z=z, x_fake=generate(z), generate=generate, labelled=True)
    assert measured("mode_seeking", generated).item() == pytest.approx(1.0, rel=1e-4)
    single = given(1, labelled=True)
    assert measured("mode_seeking", single).item() == 0.0


def test_mode_seeking_of_a_single_image_costs_nothing():
    image = torch.rand(1, 3, 2, 2, requires_grad=True)
    value = measured("mode_seeking", given(1, x_fake=image))
    value.backward()
    assert value.item() == 0.0
    assert not image.grad.any()


def test_mode_seeking_is_finite_where_all_fakes_are_alike():
    images = torch.zeros(4, 3, 2, 2, requires_grad=True)
    value = measured("mode_seeking", given(x_fake=images))
    value.backward()
    assert value.item() == pytest.approx(1 / MODE_SEEKING_EPSILON)
    assert images.grad.isfinite().all()


class Linear(nn.Module):
    """G(z) = A z, whose Jacobian is A everywhere."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(a)

    def forward(self, z):
        return (z @ self.a.T).view(len(z), 3, SIDE, SIDE)


def test_path_length_of_a_linear_generator():
    """|A' y| and its gradient, of the same noise, by a formula without a second derivative."""
    torch.manual_seed(0)
    generator = Linear(torch.randn(3 * SIDE * SIDE, LATENT_DIM))
    loss = build("path_length", decay=0.25)
    loss.mean_length.fill_(2.0)
    torch.manual_seed(4)
    value = loss.measure(given(6, generate=generator))
    torch.manual_seed(4)
    y = torch.randn(6, 3, SIDE, SIDE).flatten(1) / SIDE
    a = generator.a.detach().clone().requires_grad_()
    lengths = (y @ a).square().sum(dim=1).sqrt()
    mean = 0.75 * 2.0 + 0.25 * lengths.mean().item()
    expected = (lengths - mean).square().mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    assert loss.mean_length.item() == pytest.approx(mean, rel=1e-5)
    (found,) = torch.autograd.grad(value, generator.a)
    torch.testing.assert_close(found, torch.autograd.grad(expected, a)[0], rtol=1e-4, atol=1e-6)


def test_path_lengths_have_the_mean_of_a_chi_distribution():
    # A = s U with orthonormal columns: |A' y| is s / sqrt(pixels) times chi with 5 degrees of freedom,
    # whose mean is sqrt(2) Gamma(3) / Gamma(5/2) = 2.1277.
    torch.manual_seed(0)
    u = torch.linalg.qr(torch.randn(3 * SIDE * SIDE, LATENT_DIM)).Q
    loss = build("path_length", decay=1.0)
    loss.measure(given(5000, generate=Linear(4.0 * u), x_fake=torch.zeros(1), x_real=torch.zeros(1)))
    assert loss.mean_length.item() == pytest.approx(4.0 / SIDE * 2.1277, rel=0.02)


def test_path_length_of_a_constant_generator_is_finite():
    generator = Linear(torch.zeros(3 * SIDE * SIDE, LATENT_DIM))
    value = build("path_length").measure(given(generate=generator))
    value.backward()
    assert value.item() == 0.0
    assert generator.a.grad.isfinite().all()


def test_path_length_average_is_that_of_all_workers():
    loss = build("path_length", decay=0.5)
    loss.measure(
        given(generate=Linear(torch.ones(3 * SIDE * SIDE, LATENT_DIM)), batch_mean=lambda x: torch.tensor(6.0))
    )
    assert loss.mean_length.item() == pytest.approx(3.0)


def test_path_length_average_survives_a_resume():
    first, second = (build_generator_losses([spec_of("path_length")], None) for _ in range(2))
    first["path_length"](given(generate=Linear(torch.ones(3 * SIDE * SIDE, LATENT_DIM))))
    assert first["path_length"].mean_length > 0
    second.load_state_dict(first.state_dict())
    assert torch.equal(first["path_length"].mean_length, second["path_length"].mean_length)


def test_losses_other_than_path_length_draw_nothing():
    maps = features_of(small_extractor())
    losses = build_generator_losses([spec_of(name) for name in GENERATOR_LOSSES if name != "path_length"], maps)
    generated = played(TinyGenerator(), maps)
    before = torch.get_rng_state()
    for loss in losses.values():
        loss(generated)
    assert torch.equal(before, torch.get_rng_state())
