"""10 steps equal 5 + save + restore + 5, bit for bit."""

import pytest
import torch

from ganray.training.checkpoint import restore_checkpoint, save_checkpoint
from ganray.training.inputs import next_batch

R1 = {"loss": {"name": "non_saturating"}, "penalties": [{"name": "r1", "gamma": 1.0, "every": 2}]}


def everything(state):
    """All that the rest of the training depends on, under readable names."""
    found = {"rng": torch.get_rng_state(), "position": state.sampler.position, "step": state.step}
    found["images_shown"] = state.images_shown
    modules = {"generator": state.generator, "discriminator": state.discriminator, "ema": state.ema}
    for name, module in modules.items():
        if module is not None:
            found |= {f"{name}.{key}": value.clone() for key, value in module.state_dict().items()}
    for name, optimizer in (("adam_g", state.optimizer_g), ("adam_d", state.optimizer_d)):
        for index, moments in optimizer.state_dict()["state"].items():
            found |= {f"{name}.{index}.{key}": value.clone() for key, value in moments.items()}
    return found


def assert_same(a, b):
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(torch.as_tensor(a[name]), torch.as_tensor(b[name]))]
    assert not different


@pytest.fixture(params=["fastgan", "dcgan-r1"])
def recipe(request, fastgan, dcgan):
    if request.param == "fastgan":
        return fastgan()
    return dcgan(
        objective=R1,
        discriminator={"name": "dcgan", "width": 4, "norm": "instance"},
        tricks=[{"name": "label_smoothing"}, {"name": "flips"}, {"name": "ema", "decay": 0.9}],
    )


def test_ten_steps_equal_five_saved_and_five(recipe, begin, images, tmp_path):
    straight, _, train = begin(recipe)
    train(10)
    names = everything(straight)  # the RNG is the process's: read it before anything else draws

    first, _, train = begin(recipe)
    train(5)
    save_checkpoint(first, tmp_path / "checkpoint.pt")

    second, _, train = begin(recipe)
    torch.manual_seed(12345)  # whatever this process drew before must not matter
    restore_checkpoint(second, tmp_path / "checkpoint.pt")
    train(5)

    assert any("running_mean" in name for name in names)
    assert "ema.n_averaged" in names
    assert int(straight.ema.n_averaged) == 10
    assert any("running_mean" in name for name in names if name.startswith("ema."))
    assert_same(names, everything(second))
    pixels = images(recipe.data.resolution)
    next_second = next_batch(second, pixels)
    torch.set_rng_state(names["rng"])
    next_straight = next_batch(straight, pixels)
    assert torch.equal(next_straight.z, next_second.z)
    assert torch.equal(next_straight.x_real, next_second.x_real)


def test_saving_and_restoring_change_nothing_else(dcgan, begin, tmp_path):
    recipe = dcgan(tricks=[{"name": "diffaugment"}])
    state, _, train = begin(recipe)
    train(2)
    before = everything(state)
    save_checkpoint(state, tmp_path / "checkpoint.pt")
    assert_same(before, everything(state))
    state.last_metrics, state.started_at_s = {"fd": 1.5}, 1234.5
    save_checkpoint(state, tmp_path / "checkpoint.pt")
    restored, _, _ = begin(recipe)
    restore_checkpoint(restored, tmp_path / "checkpoint.pt")
    assert (restored.last_metrics, restored.started_at_s) == ({"fd": 1.5}, 1234.5)
    assert restored.wall_s >= state.wall_s > 0


def test_the_runtime_does_not_enter_the_hash_and_may_change_on_resume(dcgan, begin, tmp_path):
    recipe = dcgan()
    other = dcgan(runtime={"precision": "bf16", "channels_last": True, "device": "cpu"})
    assert recipe.hash == other.hash
    state, _, train = begin(recipe)
    train(1)
    save_checkpoint(state, tmp_path / "checkpoint.pt")
    resumed, _, train = begin(other)
    restore_checkpoint(resumed, tmp_path / "checkpoint.pt")
    assert all(torch.isfinite(value) for stats in train(2) for value in stats.values())
