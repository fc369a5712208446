"""Trials that took over another's weights (PBT) are marked, and are no evidence on any one recipe."""

import json

import pytest

from ganray.recipe.recipe import Recipe
from ganray.report.across import across
from ganray.report.across_rows import Filter
from ganray.report.known import best_known
from ganray.report.leaderboard import by_recipe, leaderboard
from ganray.report.render import to_json, to_markdown, to_rich
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

TAKEN = json.dumps({"kimg": 1.0, "from": "0" * 12, "changed": {}, "params": {}})


def put(store, lr, value, lineage=None, seed=0):
    recipe = Recipe.model_validate(
        {
            "data": {"source": "sample:hubble", "resolution": 32},
            "generator": {"name": "dcgan", "width": 4},
            "discriminator": {"name": "dcgan", "width": 4},
            "optimizers": {"generator": {"lr": lr}},
            "seed": seed,
        }
    )
    trial_id = recipe.trial_id("pbt")
    store.put_trial(
        TrialRow(
            trial_id=trial_id, experiment="pbt", recipe_json=recipe.model_dump_json(), recipe_hash=recipe.hash,
            dataset="hubble", dataset_fingerprint="f00d", n_images=100, resolution=32, generator="dcgan",
            discriminator="dcgan", loss="hinge", budget_kimg=2.0, batch_size=8, status="completed", kimg=2.0,
            seed=seed, lineage=lineage,
        )
    )  # fmt: skip
    store.put_evaluation(
        EvaluationRow(
            trial_id=trial_id, experiment="pbt", kimg=2.0, protocol="fd_lite0_200_train", extractor="lite0",
            extractor_checksum="c0de", n_fake=200, n_real=100, frechet=value,
        )
    )  # fmt: skip
    return trial_id


@pytest.fixture
def store(tmp_path):
    """Two seeds of one recipe, one of which changed its recipe as it trained and won, and a third trial."""
    store = Store(tmp_path / "store")
    put(store, 1e-3, 10.0, lineage=(TAKEN, TAKEN))
    put(store, 1e-3, 20.0, seed=1)
    put(store, 2e-3, 30.0)
    return store


def test_the_leaderboard_marks_it_and_means_leave_it_out(store):
    board = leaderboard(store, "pbt")
    assert [(entry.rank, entry.takeovers) for entry in board.entries] == [(1, 2), (2, 0), (3, 0)]
    assert [group.values for group in by_recipe(board)] == [(20.0,), (30.0,)]
    assert any("1 trial(s) marked pbt" in note for note in board.notes)


def test_every_form_of_the_table_shows_the_mark(store):
    from rich.console import Console

    board = leaderboard(store, "pbt")
    lines = to_markdown(board).splitlines()
    header = next(line for line in lines if line.startswith("| #"))
    assert {line.count("|") for line in lines if line.startswith("|")} == {header.count("|")}
    assert "| pbt |" in header
    assert "| 2 taken over |" in to_markdown(board)
    for width, mark in ((120, "  2 taken over  "), (70, "pbt (2 taken over)")):
        console = Console(width=width, record=True)
        console.print(to_rich(board, width))
        assert mark in console.export_text()
    assert json.loads(to_json(board))["trials"][0]["takeovers"] == 2


def test_an_experiment_without_a_population_has_no_such_column(tmp_path):
    store = Store(tmp_path / "store")
    put(store, 1e-3, 10.0)
    put(store, 2e-3, 20.0)
    assert "pbt" not in to_markdown(leaderboard(store, "pbt")).splitlines()[2]


def test_it_is_left_out_where_recipes_are_compared_over_experiments(store):
    found = across(store, Filter(dataset="hubble"))
    assert [row.mean for row in found.sections[0].rows] == [20.0, 30.0]
    assert any("1 trial(s) are left out: members of a population" in note for note in found.notes)


def test_it_is_no_advice_for_the_next_experiment(store):
    (known,) = best_known(store, ["f00d"], 100, 32)
    assert known.trial_id != leaderboard(store, "pbt").entries[0].trial_id
    assert (known.distance, known.n_trials) == (20.0, 1)
