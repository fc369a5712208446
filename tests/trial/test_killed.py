"""A trial killed at any moment of writing a checkpoint goes on from a whole one, to a straight run's very numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ganray.store.store import Store
from ganray.training.checkpoint import read_checkpoint

SCRIPT = Path(__file__).with_name("killed.py")
KIMG = [0.02, 0.04, 0.06, 0.08]


@pytest.fixture(scope="module")
def killed(tmp_path_factory, photos):
    """A straight run, and one per moment that was killed and gone on with."""
    folder = tmp_path_factory.mktemp("killed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANRAY_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, photos], env=environment, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert json.loads(found["straight"]) == ["completed", KIMG]
    (checkpoint,) = (folder / "straight" / "runs").glob("demo/trials/*/checkpoint.pt")
    return read_checkpoint(checkpoint), evaluations(folder / "straight" / "store"), found["killed"]


def evaluations(store):
    return [(row["kimg"], row["frechet"], row["kid"]) for row in Store(store).evaluations().to_pylist()]


def test_every_kind_of_call_was_a_moment(killed):
    calls = [call for _, _, call, _, _ in killed[2]]
    assert set(calls) == {"write", "fsync", "link", "replace", "unlink", "open"}
    assert len(calls) >= 12


def test_a_whole_checkpoint_is_there_at_each_moment_and_at_most_one_evaluation_is_repeated(killed):
    for _, _, call, there, said in killed[2]:
        assert {"checkpoint.pt", "checkpoint-previous.pt"} & set(there), call
        status, reports = json.loads(said)
        assert status == "completed"
        assert reports in (KIMG[2:], KIMG[3:]), call


def test_the_trial_ends_with_the_numbers_of_a_straight_run_and_each_row_once(killed):
    straight, numbers, runs = killed
    for folder, store, call, _, _ in runs:
        assert evaluations(store) == numbers, call
        assert [row["kimg"] for row in Store(store).curves().to_pylist()] == [4 * step / 1000 for step in range(1, 21)]
        assert [row["status"] for row in Store(store).trials().to_pylist()] == ["completed"]
        found = read_checkpoint(Path(folder) / "checkpoint.pt")
        for part in ("generator", "discriminator", "ema"):
            assert all(torch.equal(found[part][name], straight[part][name]) for name in straight[part]), call


def test_nothing_is_left_behind(killed):
    for folder, _, call, _, _ in killed[2]:
        assert {path.name for path in Path(folder).iterdir()} == {"checkpoint.pt", "lock"}, call
