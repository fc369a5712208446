"""The loss curve of 20 steps at a fixed seed: a refactoring of the step must not move it.

`golden_curve.json` was written by this very code, so it says nothing about whether the step is right (the other
tests do); it says when a change of code changes the numbers. After a change that is meant to change them, write
it anew and say why in the commit: .venv/bin/python tests/training/test_golden.py

The tolerance of 1e-3 leaves room for other CPUs, whose convolutions add up in another order; over 20 steps that
grows to about 1e-5 here.
"""

import json
from pathlib import Path

import pytest
import torch

from ganray.recipe.presets import PRESETS, load_preset
from ganray.recipe.recipe import Recipe
from ganray.training.distributed import World
from ganray.training.game import Perception, build_game
from ganray.training.state import build_state
from ganray.training.step import train_step

GOLDEN = Path(__file__).with_name("golden_curve.json")
NAMES = ("loss_d", "loss_g", "logits_real", "logits_fake", "grad_norm_d", "grad_norm_g")
STEPS = 20
RECIPES = {
    "dcgan": {
        "data": {"source": "synthetic", "resolution": 32},
        "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "dcgan", "width": 4},
        "objective": {"loss": {"name": "ragan"}, "penalties": [{"name": "r1", "gamma": 1.0}]},
        "tricks": [{"name": "diffaugment"}, {"name": "flips"}],
        "budget": {"batch_size": 4},
    },
    "fastgan": {
        "data": {"source": "synthetic", "resolution": 64},
        "generator": {"name": "fastgan", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "fastgan", "width": 4, "decode": {"distance": "l1"}},
        "tricks": [{"name": "diffaugment"}, {"name": "flips"}, {"name": "noisy_margins"}, {"name": "ema"}],
        "budget": {"batch_size": 2},
    },
}


def preset(name):
    """A preset with the same switches and the smallest networks; LPIPS, whose weights are a download, becomes L1."""
    tree = load_preset(name)
    tree["data"] = {"source": "synthetic", "resolution": 64}
    for network in ("generator", "discriminator"):
        tree[network]["width"] = 4
    tree["generator"]["latent_dim"] = 8
    if tree["discriminator"].get("decode"):
        tree["discriminator"]["decode"]["distance"] = "l1"
    tree["budget"]["batch_size"] = 2
    return tree


RECIPES |= {f"preset {name}": preset(name) for name in PRESETS}


def curve(name):
    """{quantity: its value at each step}."""
    recipe = Recipe.model_validate(RECIPES[name])
    side = recipe.data.resolution
    coarse = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(7)) * 255
    images = torch.nn.functional.interpolate(coarse, size=side, mode="nearest").round().byte()
    state = build_state(recipe, len(images), World())
    game = build_game(state, Perception(torch.nn.functional.l1_loss))
    readings = [train_step(state, game, images) for _ in range(STEPS)]
    return {each: [float(stats[each]) for stats in readings] for each in NAMES}


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_curve_is_the_golden_one(name, one_thread):
    golden, found = json.loads(GOLDEN.read_text())[name], curve(name)
    for each in NAMES:
        assert found[each] == pytest.approx(golden[each], rel=1e-3, abs=1e-4), each


if __name__ == "__main__":
    torch.set_num_threads(1)
    GOLDEN.write_text(
        json.dumps({"about": __doc__.strip(), **{name: curve(name) for name in RECIPES}}, indent=1) + "\n"
    )
