"""Earlier trials in an Optuna study: which are taken, in what form, and that the sampler's model is made of them."""

import dataclasses
import runpy
from collections import Counter
from pathlib import Path

import optuna
import pytest

from ganray.cluster.earlier import WARM, add_warm_trials, as_params, find_warm_trials, rebuild_study
from ganray.cluster.study import build_search, read_progress, study_storage
from ganray.errors import RecipeError
from ganray.recipe.experiment import load_experiment
from ganray.store.store import Store

METRIC = "fd_lite0_200_train"
FILE = """
name: study
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: {int: [4, 64]}}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}}
tricks: [{choice: [null, {name: flips}]}]
optimizers: {generator: {lr: {log_uniform: [1.0e-5, 1.0e-2]}}}
evaluation: {protocols: [fd_lite0_200_train]}
search: {trials: 4, startup_trials: 2, warm_start: {experiment: old}}
"""
put_trial = runpy.run_path(str(Path(__file__).with_name("rows.py")))["put_trial"]


@pytest.fixture
def load(tmp_path):
    def load(*overrides):
        path = tmp_path / "study.yaml"
        path.write_text(FILE)
        return load_experiment(path, overrides)

    return load


@pytest.fixture
def experiment(load):
    return load()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def storage(tmp_path):
    return study_storage(tmp_path / "study.log")


def look(experiment, store, fingerprint="f00d"):
    return find_warm_trials(experiment, store, lambda data: fingerprint)


def trials_of(storage):
    return optuna.load_study(study_name="study", storage=storage).get_trials()


def changed(recipe, **sections):
    return type(recipe).model_validate({**recipe.model_dump(), **sections})


def test_earlier_trials_become_completed_trials_with_their_last_value(experiment, store, storage):
    recipes = [experiment.sample(seed) for seed in range(6)]
    for number, recipe in enumerate(recipes):
        put_trial(store, recipe, "old", 90.0 - number, 50.0 + number, number=number)
    assert add_warm_trials(experiment, storage, look(experiment, store)) == 6
    found = trials_of(storage)
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 6
    assert [trial.value for trial in found] == [50.0 + n for n in range(6)]
    assert [experiment.fixed(trial.params) for trial in found] == recipes
    for trial, recipe in zip(found, recipes):
        assert trial.user_attrs == {WARM: recipe.trial_id("old")}
        conditional = "objective.loss[lsgan].c"
        assert (conditional in trial.params) == (recipe.objective.loss.name == "lsgan")
        assert trial.distributions.keys() == trial.params.keys()


def test_their_distributions_are_those_that_the_search_itself_asks_for(experiment, store, storage):
    for seed in range(8):
        put_trial(store, experiment.sample(seed), "old", 50.0, number=seed)
    add_warm_trials(experiment, storage, look(experiment, store))
    search = build_search(experiment, storage, [], 0)
    for number in range(6):
        search.suggest(str(number))
        search.on_trial_complete(str(number), {METRIC: 3.0, "status": "completed", "training_iteration": 1})
    warm = {name: d for trial in trials_of(storage)[:8] for name, d in trial.distributions.items()}
    own = {name: d for trial in trials_of(storage)[8:] for name, d in trial.distributions.items()}
    assert own == {name: warm[name] for name in own}
    assert len(own) >= 4


def first_proposals(load, storage, n=12):
    """What searches of n different seeds propose first; each proposal fails at once, and so tells nothing."""
    proposals = []
    for seed in range(n):
        search = build_search(load(f"search.seed={seed}"), storage, [], 0)
        proposals.append(search.suggest("a"))
        search.on_trial_complete("a", error=True)
    return proposals


def test_the_first_proposals_come_from_a_model_of_the_earlier_trials(experiment, load, store, storage, tmp_path):
    """Small values lie at width 8 and a rate of 1e-4: a random sampler comes near both once in seven times."""
    for number in range(30):
        params = experiment.params_of(experiment.sample(number))
        good = number % 3 == 0
        params["generator.width"] = 8 if good else 40 + number % 20
        params["optimizers.generator.lr"] = 1e-4 * (1 + number / 100) if good else 5e-3
        put_trial(store, experiment.fixed(params), "old", (10.0 if good else 200.0) + number / 100, number=number)
    add_warm_trials(experiment, storage, look(experiment, store))
    cold = study_storage(tmp_path / "cold.log")

    def near(params):
        return params["generator.width"] <= 24 and 2e-5 < params["optimizers.generator.lr"] < 5e-4

    assert sum(map(near, first_proposals(load, storage))) >= 9
    assert sum(map(near, first_proposals(load, cold))) <= 4


def test_what_is_of_no_use_is_counted_by_its_reason(experiment, load, store):
    use = experiment.sample(0)
    put_trial(store, use, "old", 30.0, number=50)
    twin = changed(use, runtime={"device": "cpu"})
    put_trial(store, twin, "older", 31.0, number=1)
    put_trial(store, changed(use, seed=1), "old", 1.0)
    put_trial(store, changed(use, budget={"kimg": 3}), "old", 1.0)
    put_trial(store, experiment.sample(1), "old", 1.0, protocol="fd_lite0_1k_train")
    put_trial(store, experiment.sample(2), "old", 1.0, dataset_fingerprint="0ther")
    put_trial(store, experiment.sample(3), "old")
    put_trial(store, experiment.sample(4), "old", float("inf"))
    put_trial(store, experiment.sample(5), "old", 1.0, status="failed")
    put_trial(store, experiment.sample(6), "old", 1.0, status="running")
    put_trial(store, experiment.sample(7), "old", 7.0, status="pruned", number=60)
    put_trial(store, experiment.sample(8), "not asked for", 8.0)
    warm = look(load("search.warm_start.experiment=[old, older]"), store)
    assert [found.value for found in warm.found] == [7.0, 30.0]
    assert warm.left_out == Counter(
        {
            "outside the space": 2,
            f"without {METRIC}": 1,
            "of other images": 1,
            "without a value": 2,
            "failed": 1,
            "running": 1,
            "the same recipe again": 1,
        }
    )
    said = str(warm)
    assert said.startswith("warm start: 2 earlier trial(s) taken; left out: 2 ")
    assert "2 outside the space" in said


def test_the_same_images_in_another_folder_are_the_same_images(experiment, store):
    elsewhere = changed(experiment.sample(0), data={"source": "/mnt/photos", "resolution": 32})
    put_trial(store, elsewhere, "old", 30.0)
    assert len(look(experiment, store).found) == 1
    assert look(experiment, store, fingerprint="0ther").left_out == {"of other images": 1}


def test_a_condition_and_a_limit(load, store):
    experiment = load()
    for number in range(6):
        put_trial(store, experiment.sample(number), "old", 40.0 + number, number=number)
    assert [f.value for f in look(load("search.warm_start.where=best < 42.5"), store).found] == [42.0, 41.0, 40.0]
    limited = look(load("search.warm_start.limit=2"), store)
    assert [f.value for f in limited.found] == [45.0, 44.0]
    assert limited.left_out == {"beyond the limit": 4}
    commented = look(load("search.warm_start.where='best < 42.5 OR best > 44.5 -- both ends'"), store)
    assert len(commented.found) == 4


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("search.warm_start.where=besd < 3", 'column "besd" not found'),
        ("search.warm_start.where=best <", "syntax error"),
        ('search.warm_start.where="best < 3); DROP VIEW results; --"', "rror"),
        ("search.warm_start.experiment=[old, odl]", "has no trial of odl; it has old"),
    ],
)
def test_a_question_that_cannot_be_answered(load, store, override, complaint):
    put_trial(store, load().sample(0), "old", 30.0)
    with pytest.raises(RecipeError) as caught:
        look(load(override), store)
    assert complaint in str(caught.value)
    assert "search.warm_start." in str(caught.value)


def test_a_name_is_text_and_never_sql(load, store):
    name = "it's' OR 1=1 --"
    put_trial(store, load().sample(0), name, 30.0)
    put_trial(store, load().sample(1), "old", 30.0)
    experiment = load()
    warm_start = experiment.settings.search.warm_start.model_copy(update={"experiment": name})
    search = experiment.settings.search.model_copy(update={"warm_start": warm_start})
    settings = experiment.settings.model_copy(update={"search": search})
    assert len(look(dataclasses.replace(experiment, settings=settings), store).found) == 1


def test_they_are_neither_done_nor_trials_of_the_sweep_and_are_not_doubled(experiment, store, storage):
    for number in range(3):
        put_trial(store, experiment.sample(number), "old", 40.0 + number, number=number)
    warm = look(experiment, store)
    assert add_warm_trials(experiment, storage, warm) == 3
    progress = read_progress(experiment, storage, store)
    assert (progress.finished, progress.unfinished) == (0, ())

    search = build_search(experiment, storage, [], 0)
    params = search.suggest("a")
    search.on_trial_complete("a", {METRIC: 12.0, "status": "completed", "training_iteration": 1})
    put_trial(store, experiment.fixed(params), "study", 12.0)
    put_trial(store, experiment.sample(7), "old", 47.0, number=7)  # came in the meantime
    assert add_warm_trials(experiment, storage, look(experiment, store)) == 1
    assert add_warm_trials(experiment, storage, look(experiment, store)) == 0
    assert read_progress(experiment, storage, store).finished == 1
    assert len(trials_of(storage)) == 5


def test_no_warm_start_is_no_study(load, store, storage):
    experiment = load("search.warm_start=null")
    warm = look(experiment, store)
    assert (warm.found, add_warm_trials(experiment, storage, warm)) == ((), 0)
    assert optuna.get_all_study_names(storage) == []


def test_an_own_trial_of_an_earlier_run_is_not_taken_twice(load, store, storage):
    """A sweep may learn from its own name's earlier trials, after --fresh."""
    experiment = load("search.warm_start.experiment=study")
    params = build_search(experiment, storage, [], 0).suggest("a")
    put_trial(store, experiment.fixed(params), "study", 5.0)
    put_trial(store, experiment.sample(3), "study", 6.0)
    assert add_warm_trials(experiment, storage, look(experiment, store)) == 1


def test_parameters_of_a_recipe_keep_their_types(experiment):
    recipe = changed(experiment.sample(0), optimizers={"generator": {"lr": 0.01}})
    params, distributions = as_params(experiment, recipe.model_dump(mode="json"))
    assert experiment.fixed(params) == recipe
    assert type(params["optimizers.generator.lr"]) is float
    assert distributions["optimizers.generator.lr"] == optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True)
    assert distributions["generator.width"] == optuna.distributions.IntDistribution(4, 64)
    assert distributions["tricks[0]"] == optuna.distributions.CategoricalDistribution((None, "flips"))


def test_a_study_that_another_machine_has_kept_is_rebuilt_from_the_store(experiment, store, storage):
    ours = {"definition_hash": experiment.definition_hash}
    recipes = [experiment.sample(seed) for seed in range(6)]
    put_trial(store, recipes[0], "study", 50.0, 40.0, **ours)
    put_trial(store, recipes[1], "study", 70.0, status="pruned", number=1, **ours)
    put_trial(store, recipes[2], "study", 60.0, status="failed", number=2, **ours)
    put_trial(store, recipes[3], "study", 55.0, status="running", number=3, **ours)
    put_trial(store, recipes[4], "study", 54.0, number=4)  # of `ganray train`
    put_trial(store, recipes[5], "old", 53.0, number=5, **ours)
    rebuild_study(experiment, storage, store)
    found = trials_of(storage)
    assert [(t.state.name, t.value) for t in found] == [
        ("COMPLETE", 40.0),
        ("COMPLETE", 70.0),
        ("FAIL", None),
        ("FAIL", None),
    ]
    progress = read_progress(experiment, storage, store)
    assert (progress.ended, progress.failed) == (2, 1)
    assert [experiment.fixed(params) for params in progress.unfinished] == [recipes[3]]
