"""Which columns tell recipes apart, and what they are called."""

import json

import pytest

from ganray.errors import StoreError
from ganray.report.recipes import differing, flatten, labels

R1 = {"name": "r1", "gamma": 1.0, "every": 1}
AUGMENT = {"name": "diffaugment", "policy": ["color", "translation"]}


def columns(*recipes):
    return differing({str(i): flatten(json.dumps(r), str(i)) for i, r in enumerate(recipes)})


def test_flat_paths_name_sub_models(recipe):
    flat = flatten(json.dumps(recipe("lsgan", tricks=[AUGMENT], penalties=[R1])), "t")
    assert flat["objective.loss.name"] == "lsgan"
    assert flat["tricks.diffaugment.policy"] == "color,translation"
    assert flat["objective.penalties.r1"] is True
    assert flat["objective.penalties.r1.gamma"] == 1.0
    assert flat["budget.kimg"] == 12.0


@pytest.mark.parametrize("text", ["{", "[1]", "null", ""])
def test_a_damaged_recipe_names_its_trial(text):
    with pytest.raises(StoreError, match="recipe of trial t7"):
        flatten(text, "t7")


def test_the_same_recipes_have_no_columns(recipe):
    assert columns(recipe(), recipe()) == ()
    assert columns(recipe()) == ()


def test_a_parameter_that_follows_from_a_choice_is_left_out(recipe):
    lsgan = {"name": "lsgan", "a": 0.0, "b": 1.0}
    assert columns(recipe("hinge"), recipe(lsgan)) == ("objective.loss.name",)
    other = {"name": "lsgan", "a": -1.0, "b": 1.0}
    assert columns(recipe("hinge"), recipe(lsgan), recipe(other)) == ("objective.loss.name", "objective.loss.a")


def test_presence_is_shown_unless_a_parameter_shows_it(recipe):
    assert columns(recipe(), recipe(penalties=[R1])) == ("objective.penalties.r1",)
    stronger = {**R1, "gamma": 10.0}
    found = columns(recipe(), recipe(penalties=[R1]), recipe(penalties=[stronger]))
    assert found == ("objective.penalties.r1.gamma",)


def test_a_sub_model_that_may_be_null_is_shown(recipe):
    without = recipe(discriminator={"name": "fastgan", "decode": None})
    l1 = recipe(discriminator={"name": "fastgan", "decode": {"distance": "l1", "weight": 1.0}})
    lpips = recipe(discriminator={"name": "fastgan", "decode": {"distance": "lpips", "weight": 1.0}})
    assert columns(without, l1) == ("discriminator.decode",)
    assert columns(without, l1, lpips) == ("discriminator.decode.distance",)


def test_labels_are_short_and_unique():
    assert labels(["objective.loss.name", "tricks.flips", "tricks.diffaugment.policy", "budget.kimg", "seed"]) == {
        "objective.loss.name": "loss",
        "tricks.flips": "flips",
        "tricks.diffaugment.policy": "diffaugment",
        "budget.kimg": "budget.kimg",
        "seed": "seed",
    }
    assert list(labels(["objective.penalties.r1.gamma", "objective.penalties.r1.every"]).values()) == [
        "r1.gamma",
        "r1.every",
    ]
    assert list(labels(["a.generator.lr", "b.generator.lr"]).values()) == ["a.G.lr", "b.G.lr"]
    assert list(labels(["generator.name", "optimizers.generator.name"]).values()) == [
        "G",
        "optimizers.G",
    ]
