"""Designs: the recipes follow from the space, each once, the baseline first."""

import pytest

from ganray.errors import RecipeError
from ganray.recipe.design import designed
from ganray.recipe.experiment import load_experiment

SPACE = {
    "a": {"choice": [1, 2, 3]},
    "b": {"choice": ["x", {"name": "y", "c": {"choice": [7, 8]}}]},
    "seed": {"choice": [0, 1]},
    "fixed": 5,
}


def test_one_at_a_time_changes_one_choice_from_the_first_options_for_every_seed():
    found = designed(SPACE, "one_at_a_time")
    baseline = {"a": 1, "b": "x"}
    changed = [baseline, {"a": 2, "b": "x"}, {"a": 3, "b": "x"}, {"a": 1, "b": "y", "b[y].c": 7}]
    assert found == [{**params, "seed": seed} for params in changed for seed in (0, 1)]


def test_the_baseline_may_take_more_seeds_than_the_switches():
    found = designed(SPACE | {"seed": {"choice": [4, 5, 6]}}, "one_at_a_time", 2)
    baseline = {"a": 1, "b": "x"}
    assert found[:3] == [{**baseline, "seed": seed} for seed in (4, 5, 6)]
    assert [params["seed"] for params in found[3:]] == [4, 5] * 3
    assert all({**params, "seed": 0} != {**baseline, "seed": 0} for params in found[3:])


def test_more_seeds_per_switch_than_there_are_is_refused():
    with pytest.raises(RecipeError, match=r"seeds_per_switch is 3, and `seed` offers 2"):
        designed(SPACE, "one_at_a_time", 3)


def test_seeds_per_switch_needs_switches(tmp_path):
    path = tmp_path / "e.yaml"
    path.write_text(EXPERIMENT.replace("sampler: one_at_a_time", "sampler: grid, seeds_per_switch: 2"))
    with pytest.raises(RecipeError, match="seeds_per_switch goes with sampler: one_at_a_time, not with grid"):
        load_experiment(path)


def test_a_grid_is_every_combination_once():
    found = designed(SPACE, "grid")
    assert len(found) == 3 * (1 + 2) * 2 == len({tuple(sorted(params.items())) for params in found})
    assert {params.get("b[y].c") for params in found} == {None, 7, 8}


def test_without_seeds_each_recipe_comes_once():
    assert designed({"a": {"choice": [1, 2]}}, "one_at_a_time") == [{"a": 1}, {"a": 2}]


def test_integers_are_options_too():
    assert [params["n"] for params in designed({"n": {"int": [2, 4]}}, "grid")] == [2, 3, 4]


def test_a_range_is_refused():
    with pytest.raises(RecipeError, match="one_at_a_time runs a list of recipes, and the file holds a range"):
        designed({"a": {"uniform": [0, 1]}}, "one_at_a_time")


def test_a_grid_that_nobody_could_run_is_refused_at_once():
    space = {letter: {"choice": list(range(10))} for letter in "abcdefghijklmnop"}
    with pytest.raises(RecipeError, match="this space has 10,000,000,000,000,000 of them, but a grid holds at most"):
        designed(space, "grid")
    assert len(designed(space, "one_at_a_time")) == 1 + 16 * 9


EXPERIMENT = """\
data: {source: "sample:ihc", resolution: 64}
generator: {name: dcgan, width: 4}
discriminator: {choice: [{name: dcgan, width: 4}, {name: dcgan, width: 4, norm: batch}]}
objective: {penalties: [{choice: [null, {name: r1}]}]}
seed: {choice: [0, 1, 2]}
search: {sampler: one_at_a_time}
"""


def test_an_experiment_runs_its_design_and_only_that_must_make_sense(tmp_path):
    path = tmp_path / "switches.yaml"
    path.write_text(EXPERIMENT)  # batch norm with R1 makes no sense, and the design does not ask for it
    experiment = load_experiment(path)
    assert experiment.trials == 9 == len(experiment.start_params())
    recipes = [experiment.fixed(params) for params in experiment.start_params()]
    assert len({recipe.hash for recipe in recipes}) == 9
    assert [recipe.seed for recipe in recipes[:3]] == [0, 1, 2]
    path.write_text(EXPERIMENT.replace("one_at_a_time", "grid"))
    with pytest.raises(RecipeError, match="batch norm"):
        load_experiment(path)
