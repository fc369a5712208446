"""Tiny games of every recipe."""

import functools

import torch
from pydantic import ValidationError

from ganray.models.feature_networks import load_lite0
from ganray.recipe.discriminators import DISCRIMINATOR_RESOLUTIONS
from ganray.recipe.generators import GENERATOR_RESOLUTIONS
from ganray.recipe.recipe import Recipe
from ganray.training.distributed import World
from ganray.training.game import Perception, build_game, needs_features
from ganray.training.state import build_state
from ganray.training.step import train_step

N_IMAGES, BATCH = 10, 4
LITTLE = {
    "dcgan": {"width": 4}, "fastgan": {"width": 4}, "patch": {"width": 4, "layers": 2},
    "multi_scale_patch": {"width": 4, "layers": 1}, "unet": {"width": 4}, "resnet": {"width": 4},
    "projected": {"width": 4}, "autoencoder": {"width": 4, "code_dim": 4},
}  # fmt: skip


def little(name, **fields):
    """The smallest discriminator or generator of that name."""
    own = {"decode": None} if name == "fastgan" and "latent_dim" not in fields else {}
    return {"name": name, **LITTLE[name], **own, **fields}


def content(discriminator="dcgan", generator="dcgan", **sections):
    """A recipe's tree; names of networks may be whole trees."""
    d = discriminator if isinstance(discriminator, dict) else little(discriminator)
    g = generator if isinstance(generator, dict) else little(generator, latent_dim=8)
    side = max(DISCRIMINATOR_RESOLUTIONS[d["name"]][0], GENERATOR_RESOLUTIONS[g["name"]][0])
    return {
        "data": {"source": "synthetic", "resolution": side},
        "generator": g,
        "discriminator": d,
        "budget": {"kimg": 1.0, "batch_size": BATCH},
        **sections,
    }


def allowed(tree):
    """The recipe, or None where it is refused."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError:
        return None


@functools.cache
def pictures(side):
    """uint8 [N, 3, side, side], smooth enough to be told from noise."""
    coarse = torch.rand(N_IMAGES, 3, 4, 4, generator=torch.Generator().manual_seed(7)) * 255
    return torch.nn.functional.interpolate(coarse, size=side, mode="bilinear").round().byte()


@functools.cache
def lite0():
    return load_lite0("cpu")


def begin(recipe):
    """A fresh state and its game; two classes where the recipe uses labels."""
    labelled = recipe.data.labels == "folders"
    features = lite0().maps if needs_features(recipe) else None
    state = build_state(
        recipe,
        N_IMAGES,
        World(),
        labels=torch.arange(N_IMAGES) % 2 if labelled else None,
        classes=("cats", "dogs") if labelled else (),
        features=features,
    )
    distance = torch.nn.functional.l1_loss if getattr(recipe.discriminator, "decode", None) else None
    return state, build_game(state, Perception(distance, features))


def play(recipe, steps):
    """A fresh game after some steps, and what each of them said."""
    state, game = begin(recipe)
    stats = [train_step(state, game, pictures(recipe.data.resolution)) for _ in range(steps)]
    return state, stats
