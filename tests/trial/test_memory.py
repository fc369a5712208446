"""Memory that runs out: one retry with half the images at a time, then a typed end; never a loop."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ganray.store.store import Store
from ganray.training import loop
from ganray.training.distributed import World
from ganray.training.health import Diagnosis
from ganray.trial import attempts
from ganray.trial.memory import RETRY, Retry, halved, is_out_of_memory, keep_retry, read_retry

PLAIN = {"name": "dcgan", "width": 4, "latent_dim": 8, "norm": "none"}
WORDS = "CUDA out of memory. Tried to allocate 20.00 MiB"


@pytest.fixture
def memory(monkeypatch):
    """Room for so many images at once from a step on; returns (step, images at once) of every step that was begun."""

    def make(room, step=12):
        begun, train_step = [], loop.train_step

        def limited(state, game, images):
            at_once = state.recipe.runtime.micro_batch or state.recipe.budget.batch_size
            begun.append((state.step, at_once))
            if state.step >= step and at_once > room:
                raise torch.OutOfMemoryError(WORDS)
            return train_step(state, game, images)

        monkeypatch.setattr(loop, "train_step", limited)
        return begun

    return make


def findings(rows, job):
    (trial,) = rows(job)["trials"]
    return [Diagnosis.from_json(text) for text in trial["diagnoses"]]


def test_the_trial_goes_on_from_its_checkpoint_with_half_the_images_at_a_time(job, run, rows, memory, tmp_path):
    begun = memory(room=2)
    mine = job(generator=PLAIN)
    outcome, reports = run(mine)
    assert (outcome.status, outcome.kimg) == ("completed", 0.08)
    assert begun == [(step, 4) for step in range(13)] + [(step, 2) for step in range(10, 20)]
    assert [report.kimg for report in reports] == [0.04, 0.08]
    (note,) = findings(rows, mine)
    assert (note.name, note.kimg) == ("out-of-memory", 0.048)
    assert note.evidence.startswith(f"retried with micro_batch 2 after {WORDS} [worker 0 (cpu, at most ")
    assert "batch_size 4, 4 images of 32 px at once in each of 1 worker(s); G dcgan of width 4" in note.evidence
    assert "in a training step, at 0.048 kimg" in note.evidence
    found = rows(mine)
    assert (found["trials"][0]["status"], found["trials"][0]["diagnosis"]) == ("completed", None)
    assert [row["kimg"] for row in found["evaluations"]] == [0.04, 0.08]
    assert [row["kimg"] for row in found["curves"]] == [4 * step / 1000 for step in range(1, 21)]


def test_the_retry_trains_what_the_whole_batch_would_have(job, run, memory, monkeypatch, tmp_path):
    # Without random augmentation, whose draws depend on the size of the parts.
    plain = {"generator": PLAIN, "tricks": [{"name": "ema", "decay": 0.9}]}
    whole, _ = run(job(runs=tmp_path / "whole", store=tmp_path / "other", **plain))
    memory(room=2)
    retried, _ = run(job(**plain))
    assert retried.metrics == pytest.approx(whole.metrics, rel=1e-2)


def test_the_second_time_the_trial_fails_with_what_was_needed(job, run, rows, memory):
    begun = memory(room=0)
    mine = job(generator=PLAIN)
    outcome, reports = run(mine)
    assert (outcome.status, outcome.kimg, len(reports)) == ("failed", 0.048, 1)
    assert [at_once for step, at_once in begun if step == 12] == [4, 2]
    assert outcome.diagnosis.startswith(f"out-of-memory: {WORDS} [worker 0")
    assert "2 images of 32 px at once" in outcome.diagnosis
    assert "; it was retried with micro_batch 2 after" in outcome.diagnosis
    assert "lower runtime.micro_batch or budget.batch_size" in outcome.diagnosis
    (trial,) = rows(mine)["trials"]
    assert (trial["status"], trial["diagnosis"]) == ("failed", outcome.diagnosis)
    assert "OutOfMemory" in (mine.folder / "error.txt").read_text()
    assert not (mine.folder / RETRY).exists(), "by hand, and with more memory, it may begin again"


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({}, "no smaller micro-batch is possible: batch norm in the dcgan generator mixes the images of a batch"),
        ({"generator": PLAIN, "runtime": {"micro_batch": 1}}, "no smaller micro-batch is possible: a single image"),
        ({"generator": PLAIN, "objective": {"loss": {"name": "ragan"}}}, "ragan compares each logit with the other"),
    ],
)
def test_where_no_smaller_batch_is_possible_the_trial_fails_at_once(job, run, memory, sections, reason):
    begun = memory(room=0)
    outcome, _ = run(job(**sections))
    assert outcome.status == "failed"
    assert reason in outcome.diagnosis
    assert len([step for step, _ in begun if step == 12]) == 1


def test_a_micro_batch_of_the_file_is_halved(job):
    recipe = job(generator=PLAIN, runtime={"micro_batch": 3}, budget={"kimg": 0.08, "batch_size": 8}).recipe
    assert (halved(recipe, 1), halved(recipe, 4), halved(recipe, 8)) == (1, 1, None)


def test_what_a_process_remembered_holds_for_the_next_one(job, run, rows, memory):
    mine = job(generator=PLAIN)
    keep_retry(mine.folder, Retry("retried with micro_batch 1 after a fire", 0.04, 1))
    begun = memory(room=1, step=0)
    outcome, _ = run(mine)
    assert outcome.status == "completed"
    assert {at_once for _, at_once in begun} == {1}
    assert findings(rows, mine)[0].evidence == "retried with micro_batch 1 after a fire"


def test_a_damaged_memory_of_it_is_none(job):
    folder = job().folder
    folder.mkdir(parents=True)
    for text in ("half a {", "[]", '{"evidence": "x"}'):
        (folder / RETRY).write_text(text)
        assert read_retry(folder) is None


def test_two_kills_without_a_word_are_taken_for_a_lack_of_memory(job, run, rows, memory):
    mine = job(generator=PLAIN)
    mine.folder.mkdir(parents=True)
    begun = memory(room=4)
    for _ in range(2):
        attempts.begin(mine.folder, 0.0)  # whoever began these is dead
    run(mine)
    assert {at_once for _, at_once in begun} == {2}
    assert "its workers were killed 2 times without a word" in findings(rows, mine)[0].evidence


def test_deaths_with_a_diagnosis_are_no_lack_of_memory(job, run, memory):
    mine = job(generator=PLAIN)
    mine.folder.mkdir(parents=True)
    begun = memory(room=4)
    for _ in range(2):
        attempts.begin(mine.folder, 0.0)
        attempts.note(mine.folder, "hang: no progress for 900 s in a training step")
    run(mine)
    assert {at_once for _, at_once in begun} == {4}


def error_of(act):
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_errors_of_allocators_are_known_and_others_are_not():
    assert is_out_of_memory(error_of(lambda: torch.empty(2**50, dtype=torch.uint8)))
    assert is_out_of_memory(error_of(lambda: bytearray(2**60)))
    for text in (
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "NCCL error: Last error: Cuda failure 2 'out of memory'",
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        "MemoryError: ",
    ):
        assert is_out_of_memory(RuntimeError(text)), text
    for other in (RuntimeError("out of memory"), RuntimeError("shape mismatch"), OSError("CUDA out of memory")):
        assert not is_out_of_memory(other)


def test_a_worker_tells_the_others_in_words_that_are_known():
    def refuse():
        raise MemoryError

    assert is_out_of_memory(error_of(lambda: World().on_main(refuse)))


def test_an_allocator_that_really_refuses(tmp_path, photos):
    """In a process of its own, whose steps get little address space once one of them has shown what it needs."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANRAY_CACHE_DIR": str(tmp_path / "cache")}
    environment["MALLOC_MMAP_THRESHOLD_"] = "65536"  # what is freed goes back to the system, rather than into a heap
    script = Path(__file__).with_name("little_memory.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, photos], env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["outcome"]["status"] == "completed", found
    assert found["at_once"] == [32, 64, 64, 32, 32, 32, 32], found
    (trial,) = Store(tmp_path / "store").trials().to_pylist()
    (note,) = trial["diagnoses"]
    assert "retried with micro_batch 32 after" in note
    assert "alloc" in note
