"""Optimizers against torch's own, schedules against their closed forms, clipping, frozen parameters."""

import copy
import itertools
import math
from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from ganray.recipe import optimizers as specs
from ganray.training.optimizers import DECAYS, OPTIMIZERS, build_optimizer, clip_gradients, rate_factor, set_rate

TORCHS = {
    "adam": (
        specs.Adam(lr=3e-3, beta1=0.2, beta2=0.9),
        lambda p: torch.optim.Adam(p, lr=3e-3, betas=(0.2, 0.9)),
    ),
    "adamw": (
        specs.AdamW(name="adamw", lr=3e-3, beta1=0.2, beta2=0.9, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=3e-3, betas=(0.2, 0.9), weight_decay=0.1),
    ),
    "sgd": (
        specs.SGD(name="sgd", lr=3e-2, momentum=0.8),
        lambda p: torch.optim.SGD(p, lr=3e-2, momentum=0.8),
    ),
    "rmsprop": (
        specs.RMSprop(name="rmsprop", lr=3e-3, alpha=0.9),
        lambda p: torch.optim.RMSprop(p, lr=3e-3, alpha=0.9),
    ),
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))


def steps(net, optimizer, n=5):
    generator = torch.Generator().manual_seed(1)
    for _ in range(n):
        optimizer.zero_grad()
        net(torch.randn(8, 4, generator=generator)).square().mean().backward()
        optimizer.step()


def test_every_optimizer_and_decay_of_the_recipe_is_here():
    names = {get_args(tagged)[0].model_fields["name"].annotation for tagged in get_args(get_args(specs.Optimizer)[0])}
    assert {get_args(name)[0] for name in names} == set(OPTIMIZERS) == set(TORCHS)
    schedules = get_args(get_args(specs.Schedule)[0])
    assert {get_args(s.model_fields["name"].annotation)[0] for s in schedules} == {*DECAYS, "constant"}


@pytest.mark.parametrize("name", TORCHS)
def test_the_same_as_torchs_own_bit_for_bit(name):
    spec, make = TORCHS[name]
    ours, theirs = network(), network()
    optimizer = build_optimizer(ours.parameters(), spec)
    steps(ours, optimizer)
    steps(theirs, make(theirs.parameters()))
    for a, b in zip(ours.parameters(), theirs.parameters()):
        assert torch.equal(a, b)
    assert not torch.equal(next(ours.parameters()), next(network().parameters()))


@pytest.mark.parametrize("name", TORCHS)
def test_resuming_goes_on_exactly(name):
    spec, _ = TORCHS[name]
    straight, again = network(), network()
    first = build_optimizer(straight.parameters(), spec)
    steps(straight, first)
    second = build_optimizer(again.parameters(), spec)
    again.load_state_dict(straight.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))  # as a file would hold it: not the same tensors
    steps(straight, first)
    steps(again, second)
    for a, b in zip(straight.parameters(), again.parameters()):
        assert torch.equal(a, b)


def test_the_default_is_adam():
    spec = TypeAdapter(specs.Optimizer).validate_python({"lr": 1e-3})
    optimizer = build_optimizer(network().parameters(), spec)
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["betas"] == (0.5, 0.999)
    assert optimizer.defaults["lr"] == 1e-3


def test_frozen_parameters_are_left_out():
    net = network()
    net[0].requires_grad_(False)
    optimizer = build_optimizer(net.parameters(), TORCHS["adamw"][0])
    assert [p is q for p, q in zip(optimizer.param_groups[0]["params"], net[2].parameters())] == [True, True]


CONSTANT = specs.Constant(name="constant", warmup_kimg=20)
LINEAR = specs.LinearDecay(name="linear", final=0.1)
WARM_LINEAR = specs.LinearDecay(name="linear", warmup_kimg=20)
COSINE = specs.CosineDecay(name="cosine", final=0.2)
WARM_COSINE = specs.CosineDecay(name="cosine", warmup_kimg=20)


@pytest.mark.parametrize(
    ("schedule", "kimg", "expected"),
    [
        (None, 0, 1.0),
        (None, 70, 1.0),
        (CONSTANT, 0, 0.0),
        (CONSTANT, 5, 0.25),
        (CONSTANT, 20, 1.0),
        (CONSTANT, 100, 1.0),
        (specs.Constant(name="constant"), 0, 1.0),
        (LINEAR, 0, 1.0),
        (LINEAR, 50, 0.55),
        (LINEAR, 100, 0.1),
        (LINEAR, 120, 0.1),  # a last batch may go beyond the budget
        (WARM_LINEAR, 10, 0.5),
        (WARM_LINEAR, 20, 1.0),
        (WARM_LINEAR, 60, 0.5),
        (WARM_LINEAR, 100, 0.0),
        (COSINE, 0, 1.0),
        (COSINE, 25, 0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2),
        (COSINE, 50, 0.6),
        (COSINE, 100, 0.2),
        (WARM_COSINE, 5, 0.25),
        (WARM_COSINE, 60, 0.5),
        (specs.LinearDecay(name="linear", warmup_kimg=200), 100, 0.5),  # a warm-up longer than the budget
        (specs.LinearDecay(name="linear", warmup_kimg=100), 99.9, 0.999),
    ],
)
def test_schedules_by_their_closed_form(schedule, kimg, expected):
    """Over a budget of 100 kimg."""
    assert rate_factor(schedule, kimg, 100) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", [CONSTANT, LINEAR, WARM_LINEAR, COSINE, WARM_COSINE])
def test_schedules_neither_jump_nor_leave_their_range(schedule):
    factors = [rate_factor(schedule, kimg / 10, 100) for kimg in range(1001)]
    assert all(0 <= f <= 1 for f in factors)
    assert max(abs(a - b) for a, b in itertools.pairwise(factors)) < 0.01


def test_the_rate_is_set_and_a_factor_of_one_is_the_recipes_bit_for_bit():
    spec, _ = TORCHS["sgd"]
    optimizer = build_optimizer(network().parameters(), spec)
    set_rate(optimizer, spec, 0.25)
    set_rate(optimizer, spec, 0.5)  # of the spec's rate, not of the last one
    assert optimizer.param_groups[0]["lr"] == 0.015
    set_rate(optimizer, spec, 1.0)
    assert optimizer.param_groups[0]["lr"] == spec.lr


def test_a_rate_of_zero_moves_nothing():
    net, spec = network(), TORCHS["adamw"][0]
    optimizer = build_optimizer(net.parameters(), spec)
    set_rate(optimizer, spec, 0.0)
    steps(net, optimizer, 1)
    for a, b in zip(net.parameters(), network().parameters()):
        assert torch.equal(a, b)


def with_gradients(*gradients):
    parameters = [nn.Parameter(torch.zeros(len(g))) for g in gradients]
    for p, g in zip(parameters, gradients):
        p.grad = torch.tensor(g)
    return parameters


def test_long_gradients_are_scaled_together():
    """Norm 13 of (3, 4) and (12) together, to 6.5."""
    parameters = [*with_gradients([3.0, 4.0], [12.0]), nn.Parameter(torch.zeros(2))]
    clip_gradients(iter(parameters), 6.5)
    torch.testing.assert_close(parameters[0].grad, torch.tensor([1.5, 2.0]))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([6.0]))
    assert parameters[2].grad is None


def test_short_gradients_stay_bit_for_bit():
    parameters = with_gradients([0.1, 0.3])
    clip_gradients(parameters, 1.0)
    assert torch.equal(parameters[0].grad, torch.tensor([0.1, 0.3]))


def test_what_is_not_finite_stays_so():
    parameters = with_gradients([float("nan"), 1.0])
    clip_gradients(parameters, 1.0)
    assert not parameters[0].grad.isfinite().all()
