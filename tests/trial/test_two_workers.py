"""Two workers run one trial: one set of rows, and no fault on either leaves the other waiting."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganray.store.store import Store

SCRIPT = Path(__file__).with_name("two_workers.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photos):
    """Where one pair of processes ran trial after trial."""
    folder = tmp_path_factory.mktemp("two")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANRAY_CACHE_DIR": str(folder / "cache")}
    workers = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(rank), folder, photos], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        errors = [worker.communicate(timeout=450)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """The outcomes of the main worker; the other one has the same, but for what only the store's keeper knows."""
    main, other = json.loads((folder / "found.json").read_text())
    assert {name: o["status"] for name, o in main.items()} == {name: o["status"] for name, o in other.items()}
    assert {name: o["diagnosis"] for name, o in main.items()} == {name: o["diagnosis"] for name, o in other.items()}
    return main


@pytest.fixture
def rows(folder):
    return Store(folder / "store").trials().to_pylist()


@pytest.fixture
def trials(rows):
    """By seed, those that began."""
    return {row["seed"]: row for row in rows if row["n_images"]}


def test_a_trial_of_two_workers_has_each_row_once(folder, found, trials):
    straight = found["straight"]
    assert (straight["status"], straight["kimg"]) == ("completed", 0.08)
    rows = Store(folder / "store").evaluations().to_pylist()
    mine = [row for row in rows if row["trial_id"] == straight["trial_id"]]
    assert [(row["kimg"], row["n_fake"]) for row in mine] == [(0.04, 60), (0.08, 60)]
    assert mine[-1]["frechet"] == straight["metrics"]["fd_tiny"]
    trial = trials[0]
    assert (trial["status"], trial["world_size"], trial["kimg"]) == ("completed", 2, 0.08)
    assert trial["device_s"] == pytest.approx(2 * trial["wall_s"])
    assert trial["wall_s"] < mine[-1]["device_s"] <= trial["device_s"]
    assert len({row["pairs_uri"] for row in mine} - {None}) == 2


def test_the_same_recipe_again_is_not_trained_again(found):
    assert found["again"]["metrics"] == found["straight"]["metrics"]
    assert found["again"]["wall_s"] - found["straight"]["wall_s"] < 1


def test_a_weight_that_goes_bad_on_one_worker_fails_the_trial_on_both(found, trials):
    assert found["nan"]["status"] == "failed"
    assert found["nan"]["diagnosis"].startswith("non-finite: ")
    assert "at 0.048 kimg" in found["nan"]["diagnosis"]
    assert trials[1]["status"] == "failed"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("store", "cannot write"),
        ("data", "absent"),
        ("batch", "batch_size 5 cannot be split over 2 workers"),
        ("disk", "checkpoint.pt cannot be written: No space left on device"),
    ],
)
def test_what_fails_on_the_main_worker_fails_the_trial_on_both(found, fault, text):
    assert found[fault]["status"] == "failed"
    assert text in found[fault]["diagnosis"]


def test_what_fails_before_it_begins_is_in_the_store_once(found, rows):
    early = {row["trial_id"]: row for row in rows if not row["n_images"]}
    assert set(early) == {found["data"]["trial_id"], found["batch"]["trial_id"]}
    for fault in ("data", "batch"):
        row = early[found[fault]["trial_id"]]
        assert (row["status"], row["world_size"], row["diagnosis"]) == ("failed", 2, found[fault]["diagnosis"])


def test_a_diagnosis_prunes_on_both_workers(found, trials):
    assert (found["doomed"]["status"], found["doomed"]["kimg"]) == ("pruned", 0.04)
    assert trials[5]["status"] == "pruned"
    assert trials[5]["diagnosis"] == found["doomed"]["diagnosis"]


def test_a_pause_that_one_worker_asks_for_resumes_exactly(found):
    assert (found["paused"]["status"], found["paused"]["kimg"]) == ("running", 0.032)
    assert found["resumed"]["status"] == "completed"
    assert found["resumed"]["metrics"] == found["whole"]["metrics"]
