"""A recipe's hash: the same on every machine, blind to what does not matter, changed by all that does."""

import hashlib
import os
import subprocess
import sys

import pytest

from ganray.recipe.presets import PRESETS, load_preset
from ganray.recipe.recipe import Recipe

DATA = {"source": "sample:hubble", "resolution": 64}
BASE = {
    "data": DATA,
    "generator": {"name": "dcgan", "width": 16},
    "discriminator": {"name": "dcgan"},
    "objective": {"loss": {"name": "lsgan", "c": 0.9}},
    "tricks": [{"name": "ema", "decay": 0.9}, {"name": "flips"}],
    "budget": {"kimg": 10},
}
CANONICAL = (
    '{"budget":{"kimg":10.0},"data":{"resolution":64,"source":"sample:hubble"},"discriminator":{"name":"dcgan"},'
    '"generator":{"name":"dcgan","width":16},"objective":{"loss":{"c":0.9,"name":"lsgan"}},'
    '"tricks":[{"decay":0.9,"name":"ema"},{"name":"flips"}]}'
)
# Written down once: a hash must be the same on every machine and in every later version, for it names stored results.
GOLDEN = {
    "dcgan": "244e2ddbd03ced358b4e43b9e08c07677e3275e49c0b9c1a89e00dc794870e4c",
    "fastgan": "00e26783c0671ae04f9d3cdf95f89a46b4634091b4037fc6ecad571ef342be57",
    "fastgan-baseline": "d6cdcf8e7997885ca09ecc8826a387aa6464d37a94274bd107d3dcb1db16058a",
    "fastgan-decode": "5504b226525e904a461a4ad145e9ce976a34ee4e72bd9a09128f1ea187324c74",
    "fastgan-skip": "c32f48e693ad1542a1479dd98f5471863e109cf0c5c41b50d0e6e1bef0a8e3b0",
}


def hash_of(**changes):
    return Recipe.model_validate({**BASE, **changes}).hash


def test_it_is_the_digest_of_the_canonical_json_written_by_hand():
    assert hash_of() == hashlib.sha256(CANONICAL.encode()).hexdigest()


@pytest.mark.parametrize("preset", PRESETS)
def test_golden_values_of_the_presets(preset):
    assert Recipe.model_validate({**load_preset(preset), "data": DATA}).hash == GOLDEN[preset]


def test_another_process_with_other_hash_seeds_agrees():
    code = f"from ganray.recipe.recipe import Recipe; print(Recipe.model_validate({BASE!r}).hash)"
    for seed in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == hash_of()


@pytest.mark.parametrize(
    "same",
    [
        {"runtime": {"device": "cpu", "precision": "bf16", "channels_last": True, "compile": True}},
        {"tricks": [{"name": "flips"}, {"name": "ema", "decay": 0.9}]},
        {"budget": {"kimg": 10.0, "batch_size": 8}},
        {"seed": 0},
        {"generator": {"latent_dim": 128, "width": 16.0, "name": "dcgan"}},
        {"objective": {"loss": {"name": "lsgan", "c": 0.9, "a": 0}, "penalties": []}},
        {"optimizers": {"generator": {"name": "adam", "lr": 0.0002}}},
        {"data": {**DATA, "fit": "crop", "min_images": 10}},
    ],
)
def test_what_means_the_same_hashes_the_same(same):
    assert hash_of(**same) == hash_of()


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"data": {**DATA, "resolution": 128}},
        {"data": {**DATA, "source": "sample:ihc"}},
        {"generator": {"name": "dcgan", "width": 17}},
        {"discriminator": {"name": "dcgan", "spectral_norm": True}},
        {"objective": {"loss": {"name": "lsgan", "c": 0.8}}},
        {"objective": {"loss": {"name": "hinge"}}},
        {"tricks": [{"name": "ema", "decay": 0.9}]},
        {"tricks": []},
        {"budget": {"kimg": 10.5}},
        {"evaluation": {"every_kimg": 5}},
        {"optimizers": {"generator": {"lr": 1e-4}}},
        {"optimizers": {"discriminator": {"lr": 1e-4}}},
    ],
)
def test_what_means_something_else_hashes_otherwise(other):
    assert hash_of(**other) != hash_of()


def test_a_recipe_survives_its_json():
    recipe = Recipe.model_validate(BASE)
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert again.hash == recipe.hash


def test_a_trial_id_is_made_of_the_experiment_and_the_hash():
    recipe = Recipe.model_validate(BASE)
    assert recipe.trial_id("demo") == hashlib.sha256(f"demo\n{recipe.hash}".encode()).hexdigest()[:12]
    assert recipe.trial_id("demo") != recipe.trial_id("other")


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Recipe.model_validate(BASE).seed = 3
