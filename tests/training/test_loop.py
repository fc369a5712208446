"""The loop: what is due when, means over steps, stops, pauses, and losses that are not finite."""

import math

import pytest
import torch

from ganray.training.distributed import World
from ganray.training.health import Unhealthy, check_finite
from ganray.training.loop import Ending, Every, Meter, train


@pytest.fixture
def trained(begin, images):
    """Train a recipe of 0.1 kimg and batch 4 (25 steps) with these actions."""

    def run(recipe, actions=(), pause=lambda: False):
        state, game, _ = begin(recipe)
        return state, train(state, game, images(), actions, pause)

    return run


@pytest.fixture
def short(dcgan):
    return dcgan(budget={"kimg": 0.1, "batch_size": 4})


@pytest.mark.parametrize(
    ("every_kimg", "expected"),
    [
        (0.02, [20, 40, 60, 80, 100]),
        (0.03, [32, 60, 92, 100]),  # the first batch that reaches 30, 60, 90, and the end
        (0.001, list(range(4, 101, 4))),  # shorter than a batch: each step, once
        (5.0, [100]),  # longer than the budget: at the end all the same
        (0.1, [100]),  # due and at the end: once
    ],
)
def test_an_action_is_due_once_per_interval_and_at_the_end(trained, short, every_kimg, expected):
    seen = []
    _, ending = trained(short, [Every(every_kimg, lambda state, reading: not seen.append(state.images_shown))])
    assert seen == expected
    assert ending is Ending.COMPLETED


def test_a_budget_that_is_no_multiple_of_the_batch_is_reached(trained, dcgan):
    state, ending = trained(dcgan(budget={"kimg": 0.01, "batch_size": 4}))
    assert (state.images_shown, state.kimg, ending) == (12, 0.012, Ending.COMPLETED)


def test_a_reading_holds_the_means_since_the_last_one():
    meter = Meter()
    meter.add({"loss_d": torch.tensor(1.0)}, 4)
    meter.add({"loss_d": torch.tensor(3.0), "penalty": torch.tensor(5.0)}, 4)  # lazy: not at each step
    reading = meter.read()
    assert reading.pop("images_per_s") > 0
    assert reading == {"loss_d": 2.0, "penalty": 5.0}
    meter.add({"loss_d": torch.tensor(7.0)}, 4)
    assert meter.read()["loss_d"] == 7.0


def test_a_reading_does_not_change_the_tensors_that_it_was_given():
    first = torch.tensor(1.0)
    meter = Meter()
    meter.add({"x": first}, 1)
    meter.add({"x": torch.tensor(1.0)}, 1)
    assert first == 1.0


def test_an_action_that_says_stop_ends_the_training(trained, short):
    calls = []

    def stop_at_40(state, reading):
        calls.append(("a", state.images_shown))
        return state.images_shown < 40

    later = Every(0.02, lambda state, reading: not calls.append(("b", state.images_shown)))
    state, ending = trained(short, [Every(0.02, stop_at_40), later])
    assert ending is Ending.STOPPED
    assert state.images_shown == 40
    assert calls == [("a", 20), ("b", 20), ("a", 40)]


def test_a_pause_ends_at_the_next_step(trained, short):
    asked = iter([False, False, True])
    state, ending = trained(short, pause=lambda: next(asked))
    assert (ending, state.step) == (Ending.PAUSED, 3)


def test_a_pause_is_heard_where_something_is_due_at_each_step(trained, short):
    seen = []
    actions = [Every(0.001, lambda state, reading: not seen.append(state.step))]
    state, ending = trained(short, actions, pause=lambda: len(seen) == 2)
    assert (ending, state.step) == (Ending.PAUSED, 2)


def test_the_end_is_no_pause(trained, short):
    state, ending = trained(short, pause=lambda: False)
    assert (ending, state.is_done) == (Ending.COMPLETED, True)


@pytest.mark.parametrize("poisoned", ["generator", "discriminator"])
def test_a_weight_that_is_not_finite_ends_before_any_action(begin, images, short, poisoned):
    state, game, _ = begin(short)
    with torch.no_grad():
        next(getattr(state, poisoned).parameters()).fill_(math.nan)
    with pytest.raises(Unhealthy, match=r"non-finite: .*loss_d = nan.* at 0\.020 kimg; lower the learning rates"):
        train(state, game, images(), [Every(0.02, lambda state, reading: pytest.fail("an action saw it"))])


def test_a_pause_never_hands_over_weights_that_are_not_finite(begin, images, short):
    state, game, _ = begin(short)
    with torch.no_grad():
        next(state.generator.parameters()).fill_(math.nan)
    with pytest.raises(Unhealthy, match="non-finite"):
        train(state, game, images(), [], pause=lambda: True)


def test_a_learning_rate_without_bounds_is_diagnosed(trained, dcgan):
    adam = {"lr": 1e12}
    recipe = dcgan(budget={"kimg": 0.4, "batch_size": 4}, optimizers={"generator": adam, "discriminator": adam})
    with pytest.raises(Unhealthy) as caught:
        trained(recipe, [Every(0.04, lambda state, reading: True)])
    assert caught.value.diagnosis.name == "non-finite"
    assert "kimg" in caught.value.diagnosis.evidence
    assert "optimizers.*.lr" in caught.value.diagnosis.remedy.text


def test_only_what_is_not_finite_is_named():
    with pytest.raises(Unhealthy, match=r"non-finite: penalty = inf at 1\.500 kimg") as caught:
        check_finite({"loss_d": 1.0, "penalty": math.inf}, 1.5)
    assert "loss_d" not in str(caught.value)
    check_finite({"loss_d": 1.0}, 1.5)


def test_a_world_of_one_answers_itself():
    world = World()
    assert world.mean({"a": 2.0}) == {"a": 2.0}
    assert world.any(True)
    assert not world.any(False)
    assert world.on_main(lambda: 3) == 3
    assert world.in_turn(lambda: 4) == 4
    with pytest.raises(KeyError):
        world.on_main(lambda: {}["missing"])
