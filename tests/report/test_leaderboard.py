"""The ranking and the intervals, against values worked out by hand."""

import math

import pytest

from ganray.errors import RecipeError, StoreError
from ganray.report.leaderboard import by_recipe, leaderboard
from ganray.report.lookup import experiment_name


def ranking(board):
    return [(e.rank, e.trial_id) for e in board.entries]


def test_best_and_final_rank_differently(store, put_trial, put_scores):
    put_trial("a")
    put_trial("b")
    put_scores("a", {4.0: 90.0, 8.0: 50.0, 12.0: 70.0})
    put_scores("b", {4.0: 95.0, 8.0: 65.0, 12.0: 60.0})
    best = leaderboard(store, "demo")
    assert ranking(best) == [(1, "a"), (2, "b")]
    first = best.entries[0]
    assert (first.best, first.best_kimg, first.final, first.final_kimg) == (50.0, 8.0, 70.0, 12.0)
    assert (first.kid, first.kid_stderr, first.device_s) == (0.05, 0.003, 90.0)
    final = leaderboard(store, "demo", show="final")
    assert ranking(final) == [(1, "b"), (2, "a")]
    assert final.entries[1].kid == 0.07


def test_equal_values_share_a_rank_and_the_earliest_best_counts(store, put_trial, put_scores):
    for name in "abc":
        put_trial(name)
    put_scores("a", {4.0: 50.0, 8.0: 50.0})
    put_scores("b", {8.0: 50.0})
    put_scores("c", {8.0: 60.0})
    board = leaderboard(store, "demo")
    assert ranking(board) == [(1, "a"), (1, "b"), (3, "c")]
    assert board.entries[0].best_kimg == 4.0


def test_failed_trials_come_last_and_are_never_ranked(store, put_trial, put_scores):
    put_trial("good")
    put_trial("dead", "failed", diagnosis="loss_d is NaN at 5 kimg")
    put_trial("new", "running")
    put_trial("cut", "pruned")
    put_scores("dead", {4.0: 1.0})
    put_scores("good", {4.0: 50.0, 8.0: float("nan"), 12.0: float("inf")})
    put_scores("cut", {4.0: 80.0})
    board = leaderboard(store, "demo")
    assert ranking(board) == [(1, "good"), (2, "cut"), (None, "new"), (None, "dead")]
    assert board.entries[-1].diagnosis == "loss_d is NaN at 5 kimg"
    assert board.entries[0].final == 50.0


def test_protocols_are_never_mixed(store, put_trial, put_scores):
    put_trial("a")
    put_trial("b")
    put_scores("a", {4.0: 50.0, 8.0: 40.0})
    put_scores("b", {4.0: 60.0})
    put_scores("b", {4.0: 7.0}, protocol="fid_5k_train")
    board = leaderboard(store, "demo")
    assert board.protocol == "fd_lite0_1k_train"
    assert "fid_5k_train" in board.notes[0]
    other = leaderboard(store, "demo", "fid_5k_train")
    assert ranking(other) == [(1, "b"), (None, "a")]
    assert other.notes == ()
    with pytest.raises(StoreError, match=r"'fid_1k'; there are fd_lite0_1k_train, fid_5k_train"):
        leaderboard(store, "demo", "fid_1k")


def test_extractors_and_data_sets_are_not_mixed_silently(store, put_trial, put_scores):
    put_trial("a")
    put_trial("b", dataset_fingerprint="other")
    put_scores("a", {4.0: 50.0, 8.0: 40.0})
    put_scores("b", {4.0: 1.0}, extractor_checksum="bad")
    board = leaderboard(store, "demo")
    assert ranking(board) == [(1, "a"), (None, "b")]
    assert "1 of 3 evaluations are left out" in board.notes[0]
    assert "2 different data sets" in board.notes[1]


def test_an_unknown_experiment_is_answered_with_those_there(store, put_trial):
    with pytest.raises(StoreError, match="it is empty"):
        leaderboard(store, "demo")
    put_trial("a")
    with pytest.raises(StoreError, match=r"no experiment 'dem' .*: it holds demo"):
        leaderboard(store, "dem")
    board = leaderboard(store, "demo")
    assert (board.protocol, board.notes) == (None, ("nothing has been evaluated yet",))
    with pytest.raises(StoreError, match="no evaluations at all yet"):
        leaderboard(store, "demo", "fid_5k_train")


def test_seeds_become_a_mean_with_students_interval(store, put_trial, put_scores, recipe):
    for seed, value in enumerate((40.0, 44.0, 48.0)):
        put_trial(f"h{seed}", content=recipe("hinge", seed))
        put_scores(f"h{seed}", {12.0: value})
    put_trial("l0", content=recipe("lsgan", 0))
    put_scores("l0", {12.0: 42.0})
    put_trial("l1", "pruned", content=recipe("lsgan", 1))
    put_scores("l1", {4.0: 10.0})
    put_trial("w0", "failed", content=recipe("wasserstein", 0))
    lsgan, hinge, failed = by_recipe(leaderboard(store, "demo"))
    assert (lsgan.rank, lsgan.mean, lsgan.low, lsgan.values, lsgan.n_trials) == (1, 42.0, None, (42.0,), 2)
    assert (hinge.rank, hinge.mean, hinge.seeds) == (2, 44.0, (0, 1, 2))
    # t(2 degrees of freedom, 97.5 %) = 4.30265 (any printed table); s = 4; n = 3.
    half = 4.30265 * 4 / math.sqrt(3)
    assert hinge.low == pytest.approx(44 - half, abs=1e-4)
    assert hinge.high == pytest.approx(44 + half, abs=1e-4)
    assert hinge.device_s == 270.0
    assert (failed.rank, failed.mean, failed.n_trials) == (None, None, 1)


def test_an_interval_does_not_go_below_zero(store, put_trial, put_scores, recipe):
    for seed, value in enumerate((1.0, 9.0)):
        put_trial(f"t{seed}", content=recipe(seed=seed))
        put_scores(f"t{seed}", {12.0: value})
    (group,) = by_recipe(leaderboard(store, "demo"))
    # t(1, 97.5 %) = 12.7062; s = sqrt(32); n = 2.
    assert group.low == 0.0
    assert group.high == pytest.approx(5 + 12.7062 * 4, abs=1e-3)


def test_the_runtime_does_not_split_a_recipe(store, put_trial, recipe):
    put_trial("a", content=recipe(seed=0, runtime={"device": "cpu"}))
    put_trial("b", content=recipe(seed=1, runtime={"device": "cuda"}))
    board = leaderboard(store, "demo")
    assert board.labels == {}
    assert len(by_recipe(board)) == 1


def test_a_grid_of_the_same_checkpoint_serves_all_protocols(store, put_trial, put_scores):
    put_trial("a")
    put_scores("a", {4.0: 50.0, 8.0: 40.0})
    put_scores("a", {8.0: 30.0}, protocol="fid_5k_train", grid_uri="/grid8.png")
    assert leaderboard(store, "demo").entries[0].grid_uri == "/grid8.png"


def test_an_experiment_is_named_by_its_file(tmp_path):
    assert experiment_name("quickstart") == "quickstart"
    path = tmp_path / "my sweep.yaml"
    path.write_text("preset: dcgan\n")
    assert experiment_name(str(path)) == "my sweep"
    path.write_text("name: faces\n")
    assert experiment_name(str(path)) == "faces"
    path.write_text("{")
    with pytest.raises(RecipeError, match=r"my sweep\.yaml"):
        experiment_name(str(path))
    with pytest.raises(RecipeError, match=r"cannot read the experiment file nothing\.yml"):
        experiment_name("nothing.yml")
