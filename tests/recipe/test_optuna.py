"""A real Optuna study walks the space; the recipes to start from come out exactly as they were written."""

import optuna
import pytest

from ganray.errors import RecipeError

TEXT = """\
...
objective: {loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}}
tricks:
- {choice: [null, {name: flips}]}
- {name: ema, decay: {choice: [0.99, 0.999]}}
optimizers: {generator: {lr: {log_uniform: [1e-5, 1e-3]}}}
budget: {kimg: {uniform: [1, 2]}}
seed: {int: [0, 3]}
"""
START = """\
search:
  start_from:
  - optimizers: {generator: {lr: 2e-4}}
    objective: {loss: {name: hinge}}
    tricks: [{name: ema, decay: 0.99}]
    budget: {kimg: 2}
    seed: 0
  - optimizers: {generator: {lr: 1e-4, beta1: 0.5}}
    generator: {name: dcgan}
    objective: {loss: {c: 0.9, name: lsgan}}
    tricks: [{decay: 0.999, name: ema}, {name: flips}]
    budget: {kimg: 1.5}
    seed: 3
"""


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def study(sampler=optuna.samplers.TPESampler, seed=0):
    return optuna.create_study(sampler=sampler(seed=seed))


def run(study, experiment, trials):
    recipes = []
    for _ in range(trials):
        trial = study.ask()
        recipes.append(experiment.draw(trial))
        study.tell(trial, recipes[-1].optimizers.generator.lr)
    return recipes


@pytest.mark.parametrize("sampler", [optuna.samplers.TPESampler, optuna.samplers.RandomSampler])
def test_define_by_run(load, sampler):
    experiment = load(TEXT)
    asked = study(sampler)
    recipes = run(asked, experiment, 25)
    assert len({recipe.hash for recipe in recipes}) == 25
    for trial, recipe in zip(asked.trials, recipes):
        assert experiment.fixed(trial.params) == recipe
        assert ("objective.loss[lsgan].c" in trial.params) == (recipe.objective.loss.name == "lsgan")
        assert recipe.objective.loss.name in ("hinge", "lsgan")


def test_the_same_seed_gives_the_same_recipes(load):
    experiment = load(TEXT)
    first, again, other = (run(study(seed=seed), experiment, 12) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_start_from_is_tried_first_and_exactly(load):
    experiment = load(TEXT + START)
    asked = study()
    for params in experiment.start_params():
        asked.enqueue_trial(params)
    first, second = run(asked, experiment, 2)
    assert first.optimizers.generator.lr == 2e-4
    assert [trick.name for trick in first.tricks] == ["ema"]
    assert (first.tricks[0].decay, first.budget.kimg, first.seed) == (0.99, 2.0, 0)
    assert (second.objective.loss.name, second.objective.loss.c) == ("lsgan", 0.9)
    assert [trick.name for trick in second.tricks] == ["ema", "flips"]
    assert (second.optimizers.generator.lr, second.budget.kimg, second.seed) == (1e-4, 1.5, 3)


def test_any_recipe_of_the_space_has_its_parameters(load):
    experiment = load(TEXT)
    for seed in range(20):
        recipe = experiment.sample(seed)
        assert experiment.fixed(experiment.params_of(recipe)) == recipe


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("{seed: 0}", "does not lie in this file's space"),
        ("{seed: 9, objective: {loss: {name: hinge}}, tricks: [{name: ema, decay: 0.99}], budget: {kimg: 1}, "
         "optimizers: {generator: {lr: 1e-4}}}", "does not lie in"),
        ("{seed: 0, objective: {loss: {name: hinge}}, tricks: [{name: ema, decay: 0.99}], budget: {kimg: 1}, "
         "optimizers: {generator: {lr: 1e-4, beta1: 0.9}}}", "does not lie in"),
    ],
)  # fmt: skip
def test_an_entry_outside_the_space_is_named_with_the_keys_that_it_must_give(refusal, entry, reason):
    said = refusal(TEXT + f"search:\n  start_from:\n  - {entry}\n")
    assert said.startswith(
        "exp.yaml:14: search.start_from[0] must give a value that the file allows for each of: budget.kimg, "
        "objective.loss, optimizers.generator.lr, seed, tricks[0], tricks[1].decay"
    )
    assert reason in said


def test_a_search_is_no_recipe(load):
    with pytest.raises(RecipeError) as caught:
        load(TEXT).the_recipe()
    said = str(caught.value)
    assert "exp.yaml:5: this command trains one recipe, and the file leaves open: budget.kimg, objective.loss" in said
    assert """--set 'objective.loss={"name": "hinge"}'""" in said
    assert "`ganray sweep" in said


def test_the_advice_of_that_message_works(load):
    values = ["objective.loss={name: hinge}", "tricks[0]=null", "tricks[1].decay=0.99", "optimizers.generator.lr=1e-4",
              "budget.kimg=1", "seed=0"]  # fmt: skip
    recipe = load(TEXT, *values).the_recipe()
    assert [trick.name for trick in recipe.tricks] == ["ema"]
