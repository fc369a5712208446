"""D's further tasks by hand, and on every discriminator."""

import math
from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from ganray.models.conditional import feature_channels
from ganray.models.outputs import ImagePair
from ganray.models.registry import DISCRIMINATORS, build_discriminator
from ganray.objectives.self_supervision import (
    ASPECT_RATIOS,
    SELF_SUPERVISION,
    build_self_supervision,
    contrastive_loss,
    squeezed,
    turned,
)
from ganray.recipe import objective as specs
from ganray.recipe.discriminators import Discriminator

CHANNELS = 6


def build(name, n_features=CHANNELS, **settings):
    spec = TypeAdapter(specs.SelfSupervision).validate_python({"name": name, **settings})
    torch.manual_seed(0)
    return build_self_supervision([spec], n_features)[name]


def images(n=4, side=16, seed=1):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Eye(nn.Module):
    """A tiny D's pooled features, which counts the images it is shown."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Tanh(), nn.Conv2d(4, CHANNELS, 3, 2), nn.Tanh())
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return self.layers(x).mean(dim=(2, 3))


def without_gradient(module):
    return [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]


def test_the_registry_holds_every_task_of_the_recipe():
    names = {get_args(m.model_fields["name"].annotation)[0] for m in get_args(get_args(specs.SelfSupervision)[0])}
    assert names == set(SELF_SUPERVISION)


@pytest.mark.parametrize("name", SELF_SUPERVISION)
def test_head_and_discriminator_learn_in_one_batch_of_reals(name):
    task, eye, x_fake = build(name), Eye(), images(seed=2).requires_grad_()
    value = task.discriminator(eye, images(), x_fake)
    assert value.ndim == 0
    assert value.dtype == torch.float32
    value.backward()
    assert not without_gradient(task)
    assert not without_gradient(eye)
    assert eye.seen == [8 if name == "contrastive" else 4]
    assert x_fake.grad is None


@pytest.mark.parametrize("name", SELF_SUPERVISION)
def test_weight_scales_the_task(name):
    values = []
    for weight in (1.0, 2.5):
        task = build(name, weight=weight)
        torch.manual_seed(3)
        values.append(task.discriminator(Eye(), images(), images()).item())
    assert values[1] == pytest.approx(2.5 * values[0])


@pytest.mark.parametrize("name", SELF_SUPERVISION)
def test_state_round_trip(name):
    first, second = build(name), build(name)
    for parameter in second.parameters():
        nn.init.zeros_(parameter)
    second.load_state_dict(first.state_dict())
    values = []
    for task in (first, second):
        torch.manual_seed(3)
        values.append(task.discriminator(Eye(), images(), images()).item())
    assert values[0] == values[1]


@pytest.mark.parametrize("name", SELF_SUPERVISION)
def test_a_single_real_is_enough(name):
    value = build(name).discriminator(Eye(), images(1), images(1))
    value.backward()
    assert value.isfinite()


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_every_task_on_every_discriminator(discriminator):
    spec = TypeAdapter(Discriminator).validate_python({"name": discriminator, "width": 4})
    torch.manual_seed(0)
    network = build_discriminator(spec, 64)
    x_real, x_fake = images(2, 64), images(2, 64, seed=2)
    names = [{"name": name} for name in SELF_SUPERVISION]
    tasks = build_self_supervision(
        [TypeAdapter(specs.SelfSupervision).validate_python(name) for name in names], feature_channels(network, 64)
    )
    terms = [task.discriminator(lambda x: network(ImagePair(x)).pooled, x_real, x_fake) for task in tasks.values()]
    torch.stack(terms).sum().backward()
    assert not without_gradient(tasks)
    assert any(p.grad is not None and p.grad.any() for p in network.parameters())
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", ["contrastive", "aspect_ratio"])
def test_tasks_of_the_discriminator_alone(name):
    eye = Eye()
    assert build(name).generator(eye, images()) is None
    assert not eye.seen


def test_the_generator_learns_through_a_frozen_head_and_discriminator():
    task, eye = build("rotation", weight=3.0, generator_weight=0.5), Eye().requires_grad_(False)
    x_fake = images().requires_grad_()
    torch.manual_seed(3)
    value = task.generator(eye, x_fake)
    value.backward()
    assert all(image.any() for image in x_fake.grad)
    assert all(p.grad is None for p in [*task.parameters(), *eye.parameters()])
    assert eye.seen == [4]
    torch.manual_seed(3)
    assert task.discriminator(eye, x_fake, x_fake).item() == pytest.approx(6 * value.item())


def test_a_generator_weight_of_zero_costs_nothing():
    task, eye = build("rotation", generator_weight=0.0), Eye()
    before = torch.get_rng_state()
    assert task.generator(eye, images()) is None
    assert not eye.seen
    assert torch.equal(before, torch.get_rng_state())


def test_contrastive_by_hand():
    # Views of two images at right angles: itself left out, its partner e^1, the other image's two views e^0 each.
    views = torch.eye(2).repeat(2, 1)
    assert contrastive_loss(views, 1.0).item() == pytest.approx(-math.log(math.e / (math.e + 2)))
    # Lengths do not count; a temperature of 1/2 doubles the cosines.
    expected = -math.log(math.e**2 / (math.e**2 + 2))
    assert contrastive_loss(3 * views, 0.5).item() == pytest.approx(expected)


def test_contrastive_prefers_views_of_the_same_image():
    together, apart = torch.eye(2).repeat(2, 1), torch.eye(2).repeat_interleave(2, dim=0)
    assert contrastive_loss(together, 0.1) < contrastive_loss(apart, 0.1)


def test_contrastive_views_differ_and_are_of_the_same_image():
    shown = []

    def eye(x):
        shown.append(x)
        return x.mean(dim=(2, 3)).repeat(1, 2)

    levels = torch.tensor([-0.9, 0.9]).view(2, 1, 1, 1).expand(2, 3, 32, 32)
    torch.manual_seed(0)
    build("contrastive").discriminator(eye, levels, levels)
    (views,) = shown
    assert views.shape == (4, 3, 32, 32)
    assert not torch.equal(views[:2], views[2:])
    centres = views[:, :, 16, 16].mean(dim=1)  # a shift of up to 4 px leaves the centre inside
    assert (centres[[0, 2]] < 0).all()
    assert (centres[[1, 3]] > 0).all()


def test_turned_is_a_turn_to_the_left():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(4, 3, 2, 2)
    expected = torch.tensor([[[1.0, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]])
    assert torch.equal(turned(x, torch.arange(4)), expected[:, None].expand(4, 3, 2, 2))


def test_rotation_rewards_a_discriminator_that_sees_the_turn():
    # One bright corner, top left; a turn to the left moves it to bottom left, bottom right, top right.
    x = torch.zeros(64, 3, 8, 8)
    x[:, :, :4, :4] = 1.0
    task = build("rotation", n_features=4)
    with torch.no_grad():
        task.head.weight.copy_(20 * torch.eye(4))
        task.head.bias.zero_()

    def corners(x):
        return torch.stack([x[:, 0, 0, 0], x[:, 0, -1, 0], x[:, 0, -1, -1], x[:, 0, 0, -1]], dim=1)

    assert task.discriminator(corners, x, x).item() == pytest.approx(0.0, abs=1e-6)
    blind = task.discriminator(lambda x: torch.zeros(len(x), 4), x, x)
    assert blind.item() == pytest.approx(math.log(4))


def test_all_turns_and_all_ratios_are_drawn():
    for name, n in (("rotation", 4), ("aspect_ratio", 5)):
        task = build(name, n_features=n, weight=1.0)
        with torch.no_grad():
            task.head.weight.zero_()
            task.head.bias.copy_(torch.arange(n).float())
        # Of a head that always says the same, the loss is linear in the mean answer: log sum e^k - E[answer].
        value = task.discriminator(lambda x, n=n: torch.zeros(len(x), n), images(2000, 4), images(1, 4))
        expected = math.log(sum(math.exp(k) for k in range(n))) - (n - 1) / 2
        assert value.item() == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("index", range(len(ASPECT_RATIOS)))
def test_squeezed_changes_the_ratio_of_a_round_spot(index):
    side = 64
    at = torch.arange(side) - (side - 1) / 2
    spot = torch.exp(-(at[:, None].square() + at.square()) / (2 * 4.0**2)).expand(1, 3, side, side)
    (seen,) = squeezed(spot, torch.tensor([index]))
    assert seen.shape == (3, side, side)
    weights = seen[0] / seen[0].sum()
    height, width = ((weights.sum(dim=d) * at.square()).sum().sqrt().item() for d in (1, 0))
    # A wide window is squeezed along its width: the spot in it becomes narrow.
    assert width / height == pytest.approx(1 / ASPECT_RATIOS[index], rel=0.05)


def test_squeezed_gives_each_image_its_own_ratio():
    x = images(5, 16)
    together = squeezed(x, torch.arange(5))
    alone = torch.cat([squeezed(x[i : i + 1], torch.tensor([i])) for i in range(5)])
    torch.testing.assert_close(together, alone)
    grey = torch.full_like(x, 0.3)
    torch.testing.assert_close(squeezed(grey, torch.arange(5)), grey)


def detail(x):
    """Share of the power that two by two pixels' means do not hold."""
    coarse = nn.functional.interpolate(nn.functional.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
    return ((x - coarse).square().mean() / x.square().mean()).item()


def test_every_window_loses_the_detail_that_the_most_enlarged_one_never_had():
    x = torch.randn(50, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert detail(x) > 0.5
    for index in range(len(ASPECT_RATIOS)):
        assert detail(squeezed(x, torch.full((50,), index))) < 0.12


@pytest.mark.parametrize("name", SELF_SUPERVISION)
def test_every_step_draws_afresh(name):
    task, eye = build(name), Eye()
    torch.manual_seed(3)
    first, second = (task.discriminator(eye, images(), images()).item() for _ in range(2))
    assert first != second
