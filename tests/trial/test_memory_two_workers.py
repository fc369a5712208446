"""One of two workers runs out of memory: nobody waits in a collective, and the next processes know what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganray.store.store import Store
from ganray.trial.memory import RETRY

SCRIPT = Path(__file__).with_name("two_short_of_memory.py")
ROUNDS = 4
"""As often as Ray Train has to start the pair: one trial needs a second start, the other a third."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photos):
    """Where pairs of processes ran the same two trials, the next pair where the one before had died."""
    folder = tmp_path_factory.mktemp("short")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANRAY_CACHE_DIR": str(folder / "cache")}
    for turn in range(ROUNDS):
        workers = [
            subprocess.Popen([sys.executable, SCRIPT, str(rank), folder, photos, str(turn)], env=environment)
            for rank in range(2)
        ]
        try:
            codes = [worker.wait(timeout=300) for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
        assert codes == ([0, 0] if turn == ROUNDS - 1 else [1, 1])
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What the last pair found, worker by worker."""
    return [json.loads((folder / f"found-{ROUNDS - 1}-{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture
def trials(folder):
    """By seed."""
    return {row["seed"]: row for row in Store(folder / "store").trials().to_pylist()}


def test_the_worker_without_memory_says_so_and_the_other_is_not_left_waiting(folder):
    for turn in range(ROUNDS - 1):
        assert "CUDA out of memory" in (folder / f"died-{turn}-1.txt").read_text()
        assert (folder / f"died-{turn}-0.txt").exists()


def test_the_next_pair_goes_on_with_fewer_images_at_once(folder, found, trials):
    assert [worker["outcomes"][0]["status"] for worker in found] == ["completed", "completed"]
    assert trials[0]["status"] == "completed"
    (note,) = [json.loads(text) for text in trials[0]["diagnoses"]]
    assert note["evidence"].startswith("retried with micro_batch 1 after CUDA out of memory")
    assert "[worker 1 (" in note["evidence"]
    evaluations = Store(folder / "store").evaluations().to_pylist()
    assert [row["kimg"] for row in evaluations if row["trial_id"] == trials[0]["trial_id"]] == [0.04, 0.08]


def test_the_second_time_the_trial_fails_on_both_without_being_begun_again(folder, found, trials):
    outcomes = [worker["outcomes"][1] for worker in found]
    assert [outcome["status"] for outcome in outcomes] == ["failed", "failed"]
    assert outcomes[0]["diagnosis"] == outcomes[1]["diagnosis"] == trials[1]["diagnosis"]
    assert outcomes[0]["diagnosis"].startswith("out-of-memory: CUDA out of memory")
    assert "; it was retried with micro_batch 1 after" in outcomes[0]["diagnosis"]
    assert trials[1]["status"] == "failed"
    assert [step for worker in found for step in worker["steps"]] == []
    assert not list((folder / "runs").glob(f"demo/trials/{trials[1]['trial_id']}/{RETRY}"))
