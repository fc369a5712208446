"""ADA and APA: the rule that moves the probability, by hand; what they do to images; resuming."""

import copy
import math

import pytest
import torch

from ganray.objectives.adversarial import build_adversarial
from ganray.recipe import tricks as specs
from ganray.recipe.recipe import Recipe
from ganray.tricks.ada import Ada
from ganray.tricks.adaptive import AdaptiveProbability, decision_boundary, fixed_boundary
from ganray.tricks.apa import Apa

SURE, UNSURE = torch.ones(4), torch.tensor([1.0, 1.0, -1.0, -1.0])  # r of 1 and of 0


def ada(**fields):
    return Ada(specs.Ada(name="ada", **fields))


def apa(**fields):
    return Apa(specs.Apa(name="apa", **fields))


def recipe(loss, *tricks):
    network = {"name": "dcgan"}
    parts = {"data": {"source": "x"}, "objective": {"loss": loss}, "tricks": tricks}
    return Recipe.model_validate({**parts, "generator": network, "discriminator": network})


BOTH = pytest.mark.parametrize("make", [ada, apa])


@BOTH
def test_moves_by_a_fixed_step_every_interval(make):
    """10 images each 4 steps of 1 kimg: 40/1000 at a time."""
    trick = make(kimg=1.0, interval=4)
    seen = []
    for _ in range(9):
        trick.observe(SURE, 10)
        seen.append(round(trick.probability.item(), 6))
    assert seen == [0, 0, 0, 0.04, 0.04, 0.04, 0.04, 0.08, 0.08]


@BOTH
def test_comes_down_where_d_is_unsure_and_stops_at_zero(make):
    trick = make(kimg=1.0, interval=1)
    trick.probability.fill_(0.05)
    for expected in (0.03, 0.01, 0.0, 0.0):
        trick.observe(UNSURE, 20)
        assert trick.probability.item() == pytest.approx(expected)


@BOTH
def test_crosses_the_whole_range_in_kimg_and_stops_at_one(make):
    trick = make(kimg=0.8, interval=2)
    for i in range(60):
        trick.observe(SURE, 20)
        if i == 39:
            assert trick.probability.item() == pytest.approx(1.0)  # 40 steps of 20 images
    assert trick.probability == 1.0


def test_the_interval_is_judged_as_a_whole():
    """Signs' means 1, 0.5, 0.5, 0.5: 0.625 is above 0.6; one more 0.5 in place of the 1 is below."""
    half = torch.tensor([1.0, 1.0, 1.0, -1.0])
    for first, expected in ((SURE, 0.54), (half, 0.46)):
        trick = ada(kimg=1.0, interval=4)
        trick.probability.fill_(0.5)
        for logits in (first, half, half, half):
            trick.observe(logits * 7, 10)  # the sign counts, not the size
        assert trick.probability.item() == pytest.approx(expected)


def test_all_workers_count():
    """`batch_mean` is the mean over the workers: the other one is unsure here, so the mean of 1 and 0 decides."""
    trick = ada(kimg=1.0, interval=1)
    trick.probability.fill_(0.5)
    trick.observe(SURE, 10, batch_mean=lambda x: (x.mean() + UNSURE.sign().mean()) / 2)
    assert trick.probability.item() == pytest.approx(0.49)


def test_the_boundary_decides_what_is_sure():
    """LSGAN's reals at 0.7 are judged real, at 0.4 fake, though both are above zero."""
    for logit, expected in ((0.7, 0.51), (0.4, 0.49)):
        trick = ada(kimg=1.0, interval=1)
        trick.probability.fill_(0.5)
        trick.observe(torch.full((4, 5), logit), 10, boundary=0.5)
        assert trick.probability.item() == pytest.approx(expected)


def test_boundaries_of_the_losses():
    real, fake = torch.tensor([3.0, 5.0]), torch.tensor([-1.0, 1.0])

    def boundary(loss, *tricks):
        return decision_boundary(recipe(loss, *tricks), real, fake)

    for loss in ("minimax", "non_saturating", "hinge"):
        assert boundary({"name": loss}) == 0.0
    assert boundary({"name": "lsgan", "a": -1, "b": 2}) == 0.5
    assert boundary({"name": "rpgan"}) == torch.tensor(2.0)


SMOOTH, SOFT, FLIPS = {"name": "label_smoothing", "real": 0.8}, {"name": "soft_labels"}, {"name": "label_flips"}
OF_LABELS = [
    ("non_saturating", [SMOOTH], math.log(0.4 / 0.6)),  # targets 0.8 and 0
    ("non_saturating", [SOFT], math.log(0.55 / 0.45)),  # 0.95 and 0.15 on average
    ("minimax", [FLIPS], 0.0),
    ("lsgan", [SMOOTH, FLIPS], 0.4),
    ("lsgan", [SOFT], 0.55),
]


@pytest.mark.parametrize(("loss", "tricks", "expected"), OF_LABELS)
def test_tricks_with_labels_move_the_boundary_to_where_d_is_undecided(loss, tricks, expected):
    """Found anew: where D's loss of as many reals as fakes, all with this one logit, is least."""
    made = recipe({"name": loss}, *tricks)
    assert fixed_boundary(made) == pytest.approx(expected)
    objective = build_adversarial(
        made.objective.loss, **{n: made.trick(n) for n in ("label_smoothing", "soft_labels", "label_flips")}
    )
    logits = torch.full((200_000,), expected, requires_grad=True)
    torch.manual_seed(0)
    objective.discriminator(logits, logits).backward()
    assert logits.grad.sum().abs() < 0.01  # 0 but for the draws; its slope there is 0.25 or more


def test_soft_labels_beyond_probabilities_leave_the_middle_of_both_sides():
    made = recipe({"name": "non_saturating"}, {"name": "soft_labels", "real": [5.0, 6.0], "fake": [0.0, 4.0]})
    assert fixed_boundary(made) is None
    assert decision_boundary(made, torch.tensor([3.0]), torch.tensor([1.0])) == 2.0


@BOTH
def test_the_graph_of_the_logits_is_left_alone(make):
    trick = make(interval=1)
    logits = torch.ones(4, 3, requires_grad=True)
    trick.observe(logits, 10)
    assert not trick.probability.requires_grad
    assert logits.grad is None
    assert not list(trick.parameters())


@BOTH
def test_resuming_in_the_middle_of_an_interval_goes_on_exactly(make):
    torch.manual_seed(0)
    logits = [torch.randn(8) + 0.5 for _ in range(14)]
    straight, first, second = (make(kimg=0.5, interval=4) for _ in range(3))
    for x in logits:
        straight.observe(x, 10)
    for x in logits[:6]:
        first.observe(x, 10)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for x in logits[6:]:
        second.observe(x, 10)
    assert straight.state_dict().keys() == second.state_dict().keys()
    for name, value in straight.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_a_fresh_ada_changes_nothing_and_a_full_one_does():
    trick, x = ada(), torch.rand(4, 3, 16, 16) * 2 - 1
    assert torch.equal(trick.augment(x), x)
    trick.probability.fill_(1.0)
    assert not torch.equal(trick.augment(x), x)


def test_ada_takes_the_recipes_families_only():
    trick = ada(pipeline=("blit",))
    trick.probability.fill_(1.0)
    x = torch.rand(8, 3, 16, 16)
    values = trick.augment(x).flatten(2).unique()
    assert set(values.tolist()) <= set(x.unique().tolist())  # pixels are moved, never mixed


def test_ada_passes_gradients_to_the_fakes():
    trick = ada()
    trick.probability.fill_(0.5)
    x = torch.rand(8, 3, 16, 16, requires_grad=True)
    trick.augment(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().flatten(1).sum(dim=1) > 0).all()


def test_apa_replaces_whole_images_with_the_probability():
    torch.manual_seed(0)
    trick = apa()
    real, fake = torch.zeros(4000, 3, 2, 2), torch.ones(4000, 3, 2, 2, requires_grad=True)
    assert torch.equal(trick.replace(real, fake), real)
    trick.probability.fill_(0.3)
    mixed = trick.replace(real, fake)
    assert not mixed.requires_grad
    per_image = mixed.flatten(1).mean(dim=1)
    assert set(per_image.tolist()) == {0.0, 1.0}
    assert per_image.mean().item() == pytest.approx(0.3, abs=4 * 0.0072)
    trick.probability.fill_(1.0)
    assert torch.equal(trick.replace(real, fake), fake.detach())


def test_state_has_fixed_shapes_from_the_start():
    trick = AdaptiveProbability(0.6, 1.0, 4)
    before = {name: (value.shape, value.dtype) for name, value in trick.state_dict().items()}
    for _ in range(5):
        trick.observe(SURE, 10)
    assert before == {name: (value.shape, value.dtype) for name, value in trick.state_dict().items()}
