"""Tiny recipes and images for the tests of training."""

import pytest
import torch

from ganray.recipe.recipe import Recipe
from ganray.training.game import Perception, build_game
from ganray.training.state import build_state
from ganray.training.step import train_step

DCGAN = {
    "data": {"source": "synthetic", "resolution": 32},
    "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
    "discriminator": {"name": "dcgan", "width": 4},
    "budget": {"kimg": 1.0, "batch_size": 4},
}

FASTGAN = {
    "data": {"source": "synthetic", "resolution": 64},
    "generator": {"name": "fastgan", "width": 4, "latent_dim": 8},
    "discriminator": {"name": "fastgan", "width": 4, "decode": {"distance": "l1"}},
    "tricks": [
        {"name": "diffaugment", "policy": ["color", "translation", "cutout"]},
        {"name": "flips"},
        {"name": "noisy_margins"},
        {"name": "ema", "decay": 0.9},
    ],
    "budget": {"kimg": 1.0, "batch_size": 2},
}


@pytest.fixture
def dcgan():
    """A recipe of DCGAN at 32 px; keywords replace whole sections."""
    return lambda **sections: Recipe.model_validate({**DCGAN, **sections})


@pytest.fixture
def fastgan():
    """A recipe of FastGAN at 64 px with every trick that draws random numbers."""
    return lambda **sections: Recipe.model_validate({**FASTGAN, **sections})


@pytest.fixture
def images():
    """uint8 [n, 3, side, side], smooth enough that networks can tell them from noise."""

    def make(side=32, n=10):
        coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(7)) * 255
        return torch.nn.functional.interpolate(coarse, size=side, mode="bilinear").round().byte()

    return make


@pytest.fixture
def begin(images):
    """A fresh state of a recipe in a world of one, its game, and a function that trains n steps."""

    def make(recipe, world=None):
        from ganray.training.distributed import World

        pixels = images(recipe.data.resolution)
        state = build_state(recipe, len(pixels), world or World())
        distance = torch.nn.functional.l1_loss if getattr(recipe.discriminator, "decode", None) else None
        game = build_game(state, Perception(distance))

        def steps(n):
            return [train_step(state, game, pixels) for _ in range(n)]

        return state, game, steps

    return make
