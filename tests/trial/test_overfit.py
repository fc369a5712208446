"""ADA's heuristics, on discriminators whose answers are known."""

import pytest
import torch
from torch import nn

from ganray.models.outputs import DiscriminatorOutput
from ganray.models.registry import DISCRIMINATORS
from ganray.training.distributed import World
from ganray.training.state import build_state
from ganray.trial import overfit
from ganray.trial.overfit import Overfit, measure_overfitting, slightly_changed


class Judge(nn.Module):
    """Logits by a rule; one head of two logits per image, whose mean is the rule's value."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, images, *, quarter=None, labels=None):
        value = self.rule(images.full)
        return DiscriminatorOutput(heads=(torch.stack([value - 1, value + 1], dim=1),), features=())


@pytest.fixture
def pictures():
    """Twelve pictures of 32 px with a bright left half."""
    coarse = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(7)) * 100
    coarse[..., :2] += 120
    return torch.nn.functional.interpolate(coarse, size=32, mode="bilinear").byte()


@pytest.fixture
def state_of(job):
    def make(rule, **sections):
        state = build_state(job(**sections).recipe, 12, World())
        state.discriminator = Judge(rule)
        return state

    return make


def left_is_brighter(x):
    """Far above 0 for the pictures, far below for their mirror images, and near 0 for what an untrained G makes."""
    return 10 * (x[..., :16].mean(dim=(1, 2, 3)) - x[..., 16:].mean(dim=(1, 2, 3)))


def brightness(x):
    return 10 * x.mean(dim=(1, 2, 3)) + 5


def test_a_discriminator_that_only_knows_the_training_images(state_of, pictures):
    found = measure_overfitting(state_of(left_is_brighter), pictures)
    assert found.lost > 1.5, "mirrored images are judged far below the fakes"
    assert found.sure == 1.0


def test_a_discriminator_that_sees_what_the_images_have_in_common(state_of, pictures):
    found = measure_overfitting(state_of(lambda x: -brightness(x)), pictures)
    assert abs(found.lost) < 0.3
    assert found.sure < 1


def test_the_quotient_of_noise_is_left_out(state_of, pictures):
    assert measure_overfitting(state_of(lambda x: torch.zeros(len(x))), pictures).lost is None
    noise = iter(torch.randn(1000, 4, generator=torch.Generator().manual_seed(0)))
    assert measure_overfitting(state_of(lambda x: next(noise)[: len(x)]), pictures).lost is None


def test_what_sure_means_depends_on_the_loss(state_of, pictures):
    def half(x):
        return torch.full((len(x),), 0.4)

    def sure(loss, *tricks):
        return measure_overfitting(state_of(half, objective={"loss": loss}, tricks=tricks), pictures).sure

    assert sure({"name": "hinge"}) == 1.0
    assert sure({"name": "lsgan"}) == -1.0, "nearer to the target of fakes, 0, than to that of reals, 1"
    assert sure({"name": "lsgan", "a": -1, "b": 1, "c": 0}) == 1.0
    assert sure({"name": "lsgan"}, {"name": "label_smoothing", "real": 0.5}) == 1.0, "nearer to 0.5 than to 0"
    assert sure({"name": "ragan"}) is None


def test_nothing_is_known_before_the_game(state_of, pictures):
    state = state_of(left_is_brighter, tricks=[{"name": "pretrain", "kimg": 0.04}])
    assert measure_overfitting(state, pictures) == Overfit(None, None)
    state.images_shown = 40
    assert measure_overfitting(state, pictures).lost is not None


def test_training_does_not_notice(job, pictures):
    """Batch norm's statistics, random numbers and modes stay; the answer is the same twice."""
    state = build_state(
        job(discriminator={"name": "dcgan", "width": 4, "norm": "batch"}, tricks=[]).recipe, 12, World()
    )
    state.generator.train()
    state.discriminator.train()
    before = {name: value.clone() for name, value in state.discriminator.state_dict().items()}
    rng = torch.get_rng_state()
    first = measure_overfitting(state, pictures)
    assert measure_overfitting(state, pictures) == first
    assert torch.equal(torch.get_rng_state(), rng)
    assert state.discriminator.training
    assert state.generator.training
    assert all(torch.equal(before[name], value) for name, value in state.discriminator.state_dict().items())


def test_of_many_images_some_are_looked_at(state_of, pictures, monkeypatch):
    monkeypatch.setattr(overfit, "IMAGES", 5)
    seen = []

    def count(x):
        seen.append(len(x))
        return left_is_brighter(x)

    measure_overfitting(state_of(count), pictures)
    assert sum(seen) == 15, "five images, the same changed, five fakes"
    assert max(seen) == 4, "never more than a training batch"


def test_a_changed_image_is_another_one_of_the_same_kind():
    x = torch.linspace(-1, 0.5, 32).expand(1, 3, 32, 32)
    changed = slightly_changed(x)
    assert changed.shape == x.shape
    # Mirrored: the first column is the padded picture's last, which is column 30 again.
    assert changed[0, 0, 0].tolist() == [*x[0, 0, 0, [30, 31]].tolist(), *x[0, 0, 0, 1:31].flip(0).tolist()]


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_discriminator_can_be_asked(job, name, monkeypatch):
    """And random numbers are left alone, also by those that look at random places."""
    monkeypatch.setattr(overfit, "IMAGES", 6)
    extra = {"regions": True, "layers": 2} if name == "multi_scale_patch" else {}
    loss = "ebgan" if name == "autoencoder" else "hinge"
    recipe = job(
        data={"source": "x", "resolution": 64},
        discriminator={"name": name, "width": 4, **extra},
        objective={"loss": {"name": loss}},
    ).recipe
    state = build_state(recipe, 12, World())
    images = torch.randint(0, 255, (12, 3, 64, 64), dtype=torch.uint8)
    rng = torch.get_rng_state()
    found = measure_overfitting(state, images)
    assert (found.sure is None) == (loss == "ebgan")
    assert torch.equal(torch.get_rng_state(), rng)


def test_images_of_classes_are_judged_as_what_they_are(job, pictures):
    recipe = job(
        data={"source": "x", "resolution": 32, "labels": "folders"},
        objective={"conditioning": {"name": "projection"}},
    ).recipe
    labels = torch.arange(12) % 2
    state = build_state(recipe, 12, World(), labels=labels, classes=("cats", "dogs"))
    seen = []
    state.discriminator.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["labels"].clone()), with_kwargs=True
    )
    measure_overfitting(state, pictures)
    asked = torch.cat(seen)
    assert torch.equal(asked[:12], labels)
    assert torch.equal(asked[12:24], labels)
    assert torch.equal(asked[24:], torch.arange(overfit.IMAGES) % 2)
