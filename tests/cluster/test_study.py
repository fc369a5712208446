"""Optuna's side of a sweep: what the study is told, and what is left to do after a crash."""

import math

import optuna
import pytest

from ganray.cluster.study import build_search, read_progress, study_storage, unfinished_design
from ganray.recipe.experiment import load_experiment
from ganray.store.schema import TrialRow
from ganray.store.store import Store

METRIC = "fd_lite0_200_train"
FILE = """
name: study
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: {int: [4, 64]}}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}}
tricks: [{choice: [null, {name: flips}]}]
evaluation: {protocols: [fd_lite0_200_train]}
search: {trials: 4, startup_trials: 2}
"""


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(FILE)
    return load_experiment(path)


@pytest.fixture
def storage(tmp_path):
    return study_storage(tmp_path / "study.log")


def trials_of(storage):
    return optuna.load_study(study_name="study", storage=storage).get_trials()


def final(value, status="completed"):
    return {METRIC: value, "status": status, "training_iteration": 1}


def test_a_proposal_is_a_recipe_of_the_space(experiment, storage):
    search = build_search(experiment, storage, [], 0)
    params = search.suggest("a")
    recipe = experiment.fixed(params)
    assert experiment.params_of(recipe) == params


def test_given_recipes_come_first(experiment, storage):
    wanted = {"generator.width": 7, "objective.loss": "lsgan", "objective.loss[lsgan].c": 0.9, "tricks[0]": None}
    search = build_search(experiment, storage, [wanted], 0)
    assert search.suggest("a") == wanted


def test_completed_is_complete_and_failed_is_fail(experiment, storage):
    search = build_search(experiment, storage, [], 0)
    for name in "abcd":
        search.suggest(name)
    search.on_trial_result("a", final(5.0, "running"))
    search.on_trial_complete("a", final(4.0))
    search.on_trial_complete("b", final(3.0, "failed"))
    search.on_trial_complete("c", final(math.inf))
    search.on_trial_complete("d", final(math.nan))
    states = [trial.state.name for trial in trials_of(storage)]
    assert states == ["COMPLETE", "FAIL", "FAIL", "FAIL"]
    assert trials_of(storage)[0].value == 4.0


def test_a_trial_that_a_diagnosis_ended_counts_with_its_last_metric(experiment, storage):
    search = build_search(experiment, storage, [], 0)
    search.suggest("a")
    search.on_trial_result("a", final(9.0, "pruned"))
    search.on_trial_complete("a", final(9.0, "pruned"))
    (trial,) = trials_of(storage)
    assert (trial.state.name, trial.value) == ("COMPLETE", 9.0)


def test_an_infinite_report_on_the_way_is_not_passed_on(experiment, storage):
    search = build_search(experiment, storage, [], 0)
    search.suggest("a")
    search.on_trial_result("a", final(math.inf, "running"))
    assert trials_of(storage)[0].intermediate_values == {}


def test_it_proposes_no_more_trials_than_there_is_room_for_now(experiment, storage):
    search = build_search(experiment, storage, [], 0)
    room = [2]
    search.allowed = lambda: room[0]
    assert search.suggest("a")
    assert search.suggest("b")
    assert search.suggest("c") is None
    assert len(trials_of(storage)) == 2, "what is not proposed leaves nothing in the study"
    room[0] = 3  # a node has come
    assert search.suggest("c")
    room[0] = 1  # two are gone; their trials wait
    search.on_trial_complete("a", final(4.0))
    assert search.suggest("d") is None
    search.on_trial_complete("b", error=True)
    search.on_trial_complete("c", final(math.inf, "failed"))
    assert search.suggest("d")


def put(store, experiment, params, status):
    recipe = experiment.fixed(params)
    store.put_trial(
        TrialRow(
            trial_id=recipe.trial_id("study"),
            experiment="study",
            recipe_json=recipe.model_dump_json(),
            recipe_hash=recipe.hash,
            dataset="d",
            dataset_fingerprint="f",
            n_images=1,
            resolution=32,
            generator="dcgan",
            discriminator="dcgan",
            loss="hinge",
            budget_kimg=1,
            batch_size=8,
            status=status,
        )
    )


def test_after_a_crash_the_unfinished_are_begun_again_and_the_finished_are_not(experiment, storage, tmp_path):
    store = Store(tmp_path / "store")
    search = build_search(experiment, storage, [], 0)
    params = {name: search.suggest(name) for name in "abcde"}
    for name, status in (("a", "completed"), ("b", "pruned"), ("c", "failed"), ("d", "running")):
        put(store, experiment, params[name], status)
    search.on_trial_complete("a", final(4.0))
    search.on_trial_complete("b", final(9.0, "running"))
    search.on_trial_complete("c", final(math.inf, "failed"))
    # The driver is killed: d was training, e had only just been proposed.

    progress = read_progress(experiment, study_storage(tmp_path / "study.log"), store)
    assert progress.finished == 3
    assert list(progress.unfinished) == [params["d"], params["e"]]
    assert all(trial.state.is_finished() for trial in trials_of(storage)), "nothing may stay RUNNING for ever"


def test_a_second_crash_does_not_double_the_unfinished(experiment, storage, tmp_path):
    store = Store(tmp_path / "store")
    params = build_search(experiment, storage, [], 0).suggest("a")
    put(store, experiment, params, "running")
    for _ in range(2):
        progress = read_progress(experiment, storage, store)
        assert (progress.finished, list(progress.unfinished)) == (0, [params])
        build_search(experiment, storage, list(progress.unfinished), 0).suggest("a")


def test_a_new_study_has_nothing_done(experiment, storage, tmp_path):
    progress = read_progress(experiment, storage, Store(tmp_path / "store"))
    assert (progress.finished, progress.unfinished) == (0, ())


def test_given_recipes_that_were_never_proposed_are_proposed_after_all(experiment, storage, tmp_path):
    wanted = [{"generator.width": w, "objective.loss": "hinge", "tricks[0]": None} for w in (5, 6)]
    build_search(experiment, storage, wanted, 0)  # and the driver dies at once
    progress = read_progress(experiment, storage, Store(tmp_path / "store"))
    assert list(progress.unfinished) == wanted
    search = build_search(experiment, storage, list(progress.unfinished), 0)
    assert [search.suggest("a"), search.suggest("b")] == wanted
    assert search.suggest("c") not in wanted


def test_what_is_left_of_a_design_follows_from_the_store_alone(tmp_path):
    path = tmp_path / "grid.yaml"
    text = FILE.replace("{int: [4, 64]}", "4").replace(", c: {uniform: [0.8, 1.0]}", "")
    path.write_text(text.replace("search: {", "seed: {choice: [0, 1]}\nsearch: {sampler: grid, "))
    experiment = load_experiment(path)
    store = Store(tmp_path / "store")
    design = list(experiment.design)
    assert len(design) == 8
    for params, status in zip(design, ("completed", "running", "failed", "pruned")):
        put(store, experiment, params, status)
    assert unfinished_design(experiment, store) == [design[1], *design[4:]]
