"""The ranking over all experiments, against values worked out by hand and a plain loop over the rows."""

import json
import math
import random

import pytest

from ganray.errors import StoreError
from ganray.recipe.recipe import Recipe
from ganray.report.across import across, told_apart
from ganray.report.across_rows import Filter, without_seed

HUBBLE = "sample:hubble"


def ranking(board, section=0):
    return [(row.rank, row.mean) for row in board.sections[section].rows]


def notes(board):
    return " / ".join([*board.notes, *(note for section in board.sections for note in section.notes)])


def test_seeds_of_one_recipe_are_one_row_over_all_experiments(store, put_trial, put_scores, recipe):
    for trial, experiment, seed, best in (("a", "one", 0, 50.0), ("b", "one", 1, 60.0), ("c", "two", 2, 70.0)):
        put_trial(trial, content=recipe(seed=seed), experiment=experiment)
        put_scores(trial, {4.0: 90.0, 8.0: best, 12.0: best + 5}, experiment=experiment, memorised=0.25, device_s=40.0)
    put_trial("d", content=recipe("lsgan"), experiment="two")
    put_scores("d", {4.0: 55.0}, experiment="two")
    board = across(store, Filter())
    assert (board.dataset, ranking(board)) == (HUBBLE, [(1, 55.0), (2, 60.0)])
    row = board.sections[0].rows[1]
    assert (row.values, row.seeds, row.n_trials, row.experiments) == ((50.0, 60.0, 70.0), (0, 1, 2), 3, ("one", "two"))
    half = 4.302652729696142 * 10.0 / math.sqrt(3)  # Student's t of 2 degrees of freedom, deviation 10
    assert (row.low, row.high) == (pytest.approx(60 - half), pytest.approx(60 + half))
    assert (row.final, row.kimg, row.memorised, row.device_s, row.is_estimated) == (65.0, 8.0, 0.25, 40.0, False)
    assert (row.kid, row.kid_stderr) == (pytest.approx(0.06), pytest.approx(0.003 / math.sqrt(3)))
    told, labels = told_apart(board.sections[0].rows)
    assert list(labels.values()) == ["loss"]
    assert [r.recipe["objective.loss.name"] for r in told] == ["lsgan", "hinge"]


def test_the_same_seed_in_two_experiments_is_no_second_draw(store, put_trial, put_scores):
    for trial, experiment, best in (("a", "one", 50.0), ("b", "two", 54.0)):
        put_trial(trial, experiment=experiment)
        put_scores(trial, {4.0: best}, experiment=experiment)
    row = across(store, Filter()).sections[0].rows[0]
    assert (row.mean, row.values, row.seeds, row.low) == (52.0, (52.0,), (0,), None)
    assert row.trial_ids == ("a", "b")


def test_a_recipe_written_with_and_without_its_defaults_is_one(recipe):
    short = recipe(seed=3)
    full = Recipe.model_validate(recipe(seed=5)).model_dump_json()
    assert without_seed(json.dumps(short)) == without_seed(full)
    assert without_seed(json.dumps(recipe("lsgan"))) != without_seed(json.dumps(short))
    # A recipe that this GANRay does not know still groups by all but its seed.
    unknown = [json.dumps({"generator": {"name": "new", "seed": n}, "seed": s}) for n, s in ((1, 1), (1, 2), (2, 1))]
    assert without_seed(unknown[0]) == without_seed(unknown[1]) != without_seed(unknown[2])


def test_failed_trials_and_infinite_distances_never_rank(store, put_trial, put_scores, recipe):
    put_trial("dead", "failed", recipe("lsgan"))
    put_scores("dead", {4.0: 1.0})
    put_trial("good")
    put_scores("good", {4.0: 50.0, 8.0: float("nan"), 12.0: float("-inf")})
    board = across(store, Filter())
    assert ranking(board) == [(1, 50.0)]
    assert "1 of 2 trials failed and do not rank" in notes(board)


def test_running_and_pruned_trials_are_marked_and_never_in_a_mean_with_completed_ones(
    store, put_trial, put_scores, recipe
):
    put_trial("a")
    put_trial("b", "pruned", recipe(seed=1))
    put_trial("c", "pruned", recipe("lsgan"))
    put_trial("d", "running", recipe("ragan"))
    for trial, best in (("a", 60.0), ("b", 20.0), ("c", 50.0), ("d", 70.0)):
        put_scores(trial, {4.0: best})
    board = across(store, Filter())
    rows = board.sections[0].rows
    assert [(r.mean, r.status, r.counts) for r in rows] == [
        (50.0, "pruned", False), (60.0, "completed", True), (70.0, "running", False)
    ]  # fmt: skip
    assert (rows[1].n_trials, rows[1].seeds) == (2, (0,))
    assert "no completed trial" in notes(board)


def test_protocols_extractors_and_images_are_never_mixed(store, put_trial, put_scores, recipe):
    put_trial("a")
    put_scores("a", {4.0: 50.0, 8.0: 40.0})
    put_scores("a", {4.0: 5.0}, protocol="fid_5k_train")
    put_trial("b", content=recipe("lsgan"))
    put_scores("b", {4.0: 30.0}, extractor_checksum="other")
    put_trial("c", content=recipe("ragan"), dataset_fingerprint="beef", n_images=60)
    put_scores("c", {4.0: 1.0})
    board = across(store, Filter())
    assert board.protocol == "fd_lite0_1k_train"
    assert [(s.fingerprint, s.n_images) for s in board.sections] == [("f00d", 100), ("beef", 60)]
    assert (ranking(board), ranking(board, 1)) == ([(1, 40.0)], [(1, 1.0)])
    said = notes(board)
    assert "there are also fid_5k_train" in said
    assert "stands for 2 contents of images" in said
    assert "another version of the extractor's weights" in said
    under = across(store, Filter(protocol="fid_5k_train"))
    assert ranking(under) == [(1, 5.0)]
    assert "1 more trials (0 failed) are on images without any evaluation under fid_5k_train" in notes(under)


def test_equal_kimg_takes_the_best_up_to_there_of_those_that_got_there(store, put_trial, put_scores, recipe):
    put_trial("a", kimg=12.0)
    put_scores("a", {4.0: 90.0, 8.0: 60.0, 12.0: 20.0})
    put_trial("b", "pruned", recipe("lsgan"), kimg=8.0)
    put_scores("b", {4.0: 70.0, 8.0: 75.0})
    put_trial("c", "pruned", recipe("ragan"), kimg=4.0)
    put_scores("c", {4.0: 10.0})
    put_trial("d", "running", recipe("wgan"), kimg=4.0)  # its row is older than its evaluations
    put_scores("d", {8.0: 80.0})
    board = across(store, Filter(at_kimg=8.0))
    assert ranking(board) == [(1, 60.0), (2, 70.0), (3, 80.0)]
    assert [(r.kimg, r.final, r.counts) for r in board.sections[0].rows[:2]] == [(8.0, 60.0, True), (4.0, 75.0, True)]
    assert "1 of 4 trials are left out: they have not reached 8 kimg" in notes(board)


def test_equal_device_hours_are_recorded_or_in_proportion_to_the_kimg(store, put_trial, put_scores, recipe):
    put_trial("new", kimg=12.0, device_s=7200.0)
    put_scores("new", {4.0: 90.0}, device_s=3000.0)
    put_scores("new", {8.0: 60.0}, device_s=3600.0)
    put_scores("new", {12.0: 20.0}, device_s=7200.0)
    put_trial("old", content=recipe("lsgan"), kimg=12.0, device_s=7200.0)  # 600 s per kimg
    put_scores("old", {4.0: 95.0, 6.0: 80.0, 8.0: 30.0})
    put_trial("short", content=recipe("ragan"), kimg=12.0, device_s=3000.0)
    put_scores("short", {12.0: 5.0}, device_s=3000.0)
    put_trial("unknown", content=recipe("wgan"), kimg=0.0, device_s=0.0)
    put_scores("unknown", {12.0: 1.0})
    board = across(store, Filter(at_device_hours=1.0))
    assert [(r.mean, r.device_s, r.is_estimated) for r in board.sections[0].rows] == [
        (60.0, 3600.0, False), (80.0, 3600.0, True)
    ]  # fmt: skip
    said = notes(board)
    assert "2 of 4 trials are left out: they have not run for 1 device-hours" in said
    assert "in proportion to the kimg" in said


def test_the_sql_agrees_with_a_plain_loop_over_the_rows(store, put_trial, put_scores, recipe):
    draw = random.Random(0)
    expected = {}
    for i in range(12):
        put_trial(f"t{i}", content=recipe({"name": "lsgan", "c": 0.8 + i / 100}), kimg=12.0)
        values = {float(k): draw.choice([draw.uniform(10, 99), 50.0, math.nan, math.inf]) for k in range(1, 13)}
        put_scores(f"t{i}", values)
        within = [(v, k) for k, v in values.items() if math.isfinite(v) and k <= 7.0]
        if within:
            expected[f"t{i}"] = (*min(within), max(within, key=lambda pair: pair[1])[0])
    rows = across(store, Filter(at_kimg=7.0)).sections[0].rows
    assert {r.trial_ids[0]: (r.mean, r.kimg, r.final) for r in rows} == expected


def test_both_fronts_are_marked(store, put_trial, put_scores, recipe):
    points = {"hinge": (10.0, 90.0, 0.9), "lsgan": (20.0, 30.0, 0.9), "ragan": (30.0, 60.0, 0.1)}
    for loss, (best, cost, copied) in points.items():
        put_trial(loss, content=recipe(loss))
        put_scores(loss, {4.0: best}, device_s=cost, memorised=copied)
    marks = {r.trial_ids[0]: (r.on_cost_front, r.on_memory_front) for r in across(store, Filter()).sections[0].rows}
    assert marks == {"hinge": (True, True), "lsgan": (True, False), "ragan": (False, True)}


def test_unknown_names_are_answered_with_the_nearest(store, put_trial, put_scores):
    with pytest.raises(StoreError, match="is empty"):
        across(store, Filter())
    put_trial("a", experiment="losses")
    with pytest.raises(StoreError, match="nothing to rank"):
        across(store, Filter())
    put_scores("a", {4.0: 50.0}, experiment="losses")
    with pytest.raises(StoreError, match="did you mean 'sample:hubble'"):
        across(store, Filter(dataset="sample:hubbel"))
    with pytest.raises(StoreError, match="did you mean 'fd_lite0_1k_train'"):
        across(store, Filter(protocol="fd_lite_1k_train"))
    with pytest.raises(StoreError, match="did you mean 'losses'"):
        across(store, Filter(experiment="looses"))
    with pytest.raises(StoreError, match="resolutions: 64"):
        across(store, Filter(resolution=128))
    put_trial("b", experiment="losses", dataset="it's; DROP TABLE trials")
    with pytest.raises(StoreError, match=r"2 data sets; choose one with --dataset: .*sample:hubble \(1 trial\)"):
        across(store, Filter())
    put_scores("b", {4.0: 44.0}, experiment="losses")
    assert ranking(across(store, Filter(dataset="it's; DROP TABLE trials"))) == [(1, 44.0)]


@pytest.mark.parametrize("budget", [math.nan, math.inf])
def test_a_budget_must_be_a_number(store, budget):
    with pytest.raises(StoreError, match=f"--at-kimg {budget:g} is no budget"):
        across(store, Filter(at_kimg=budget))
    with pytest.raises(StoreError, match=f"--at-device-hours {budget:g} is no budget"):
        across(store, Filter(at_device_hours=budget))


def test_experiments_are_chosen_by_a_pattern(store, put_trial, put_scores, recipe):
    for experiment, loss, best in (("losses", "hinge", 50.0), ("hacks", "lsgan", 40.0)):
        put_trial(experiment, content=recipe(loss), experiment=experiment)
        put_scores(experiment, {4.0: best}, experiment=experiment)
    assert ranking(across(store, Filter(experiment="loss*"))) == [(1, 50.0)]


def test_different_hardware_is_said(store, put_trial, put_scores, recipe):
    for loss, device in (("hinge", "A100"), ("lsgan", "T4")):
        put_trial(loss, content=recipe(loss), device=device)
        put_scores(loss, {4.0: 50.0})
    board = across(store, Filter())
    assert ranking(board) == [(1, 50.0), (1, 50.0)]
    assert "2 kinds of hardware (A100, T4)" in notes(board)
