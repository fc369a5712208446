"""`overview`: what a file would run, in words."""

import yaml

from ganray.recipe.overview import overview
from ganray.recipe.recipe import Recipe

TEXT = """\
...
name: demo
objective: {loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}}
seed: {int: [0, 2]}
budget: {kimg: {choice: [2, 5]}, batch_size: 8}
evaluation: {protocols: [fd_lite0_1k_train], every_kimg: 0.5}
search: {trials: 7, scheduler: {name: asha}}
resources: {workers_per_trial: 2, cpus_per_worker: 0.5, slots: 3, gpus_per_worker: 0}
"""


def lines(text):
    return {line.split()[0]: line for line in text.splitlines() if line and not line.startswith(" ")}


def test_a_search(load):
    said = lines(overview(load(TEXT)))
    assert said["experiment"].startswith("experiment  demo (")
    # 2 losses x 3 seeds x 2 budgets.
    assert said["space"] == "space       12 combination(s) of choices, and 1 continuous range(s)"
    assert said["search"] == (
        "search      7 trial(s) by tpe, 0 of them given; ASHA stops weak trials from 1 kimg on (reduction factor 3)"
    )
    assert said["metric"] == "metric      fd_lite0_1k_train, of fd_lite0_1k_train"
    assert said["budget"].endswith("scored every 0.5; at most 35 kimg in all")
    assert said["slots"] == "slots       3; each 2 worker(s) with 0.5 CPU(s), 0 GPU(s)"
    assert said["results"] == "results     runs/store"


def test_one_recipe(load):
    said = lines(overview(load("...\nbudget: {kimg: 4}\n"), store="s3://bucket/store"))
    assert said["space"] == "space       one recipe"
    assert said["search"].startswith("search      1 trial(s)")
    assert said["budget"] == "budget      4 kimg a trial, scored every 40; at most 4 kimg in all"
    assert said["slots"].endswith(
        "as many as the cluster has room for; each 1 worker(s) with 1 CPU(s), 1 GPU where there is one"
    )
    assert said["results"] == "results     s3://bucket/store"


DESIGN = """\
...
name: demo
objective: {loss: {choice: [{name: hinge}, {name: lsgan}]}}
tricks: [{choice: [null, {name: flips}]}, {choice: [null, {name: replay}]}]
seed: {choice: [0, 1, 2]}
search: {sampler: one_at_a_time, seeds_per_switch: 2}
"""


def test_a_design_counts_its_own_recipes_and_not_the_combinations(load):
    said = lines(overview(load(DESIGN)))
    # The baseline with three seeds; three switches with two.
    assert said["space"] == "space       4 recipe(s), the baseline and each switch alone, not counting seeds"
    assert said["search"] == (
        "search      9 trial(s) by one_at_a_time, all that the design asks for; no early stopping"
    )
    said = lines(overview(load(DESIGN.replace("one_at_a_time, seeds_per_switch: 2", "grid"))))
    assert said["space"] == "space       8 recipe(s), every combination of the choices, not counting seeds"
    assert said["search"].startswith("search      24 trial(s) by grid, all that")


def test_the_example_is_a_recipe_of_the_space(load):
    experiment = load(TEXT)
    text = overview(experiment, seed=3)
    example = yaml.safe_load(text.partition("an example recipe")[2].partition("\n")[2])
    assert Recipe.model_validate(example) == experiment.sample(3)
    assert f"(hash {experiment.sample(3).hash[:12]})" in text
    assert "\n  generator: {name: dcgan}\n" in text  # of all its options those that are not the default
    assert "\n  objective:\n    loss: {name: " in text
    assert text != overview(experiment, seed=4)
