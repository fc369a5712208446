"""A trial that hangs ends its workers, says where it hung, and is failed when that happens again and again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganray.store.store import Store
from ganray.training.distributed import World
from ganray.training.pulse import OTHERS_S, Pulse
from ganray.trial import attempts
from ganray.trial.watchdog import EXIT_CODE, clear, watched

SCRIPT = Path(__file__).with_name("hanging.py")


@pytest.fixture
def start(tmp_path, photos):
    """Start workers of `hanging.py`."""
    processes = []

    def go(where, *ranks):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANRAY_CACHE_DIR": str(tmp_path / "cache")}
        command = [sys.executable, SCRIPT, where, tmp_path, photos]
        started = [
            subprocess.Popen([*command, *rank], env=environment, stdout=-1, stderr=-1, text=True)
            for rank in [[str(rank)] for rank in ranks] or [[]]
        ]
        processes.extend(started)
        return started

    yield go
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def ended(start):
    """Their exit codes, and what they said."""

    def go(where, *ranks):
        started = start(where, *ranks)
        said = [process.communicate(timeout=300) for process in started]
        return [process.returncode for process in started], ["\n".join(each) for each in said]

    return go


def folder_of(tmp_path):
    (folder,) = (tmp_path / "runs" / "demo" / "trials").iterdir()
    return folder


def noted(tmp_path):
    return json.loads((folder_of(tmp_path) / attempts.ATTEMPTS).read_text())


WHERE = [
    ("step", "a training step", "hang_for_ever"),
    ("data", "reading and decoding the images", "load_images"),
    ("evaluation", "scores of an evaluation", "assess"),
]


@pytest.mark.parametrize(("where", "what", "function"), WHERE, ids=[each[0] for each in WHERE])
def test_a_hang_is_ended_and_the_stacks_name_the_function(ended, tmp_path, where, what, function):
    (code,), (said,) = ended(where)
    assert code == EXIT_CODE, said
    stacks = folder_of(tmp_path) / "stacks-rank0.txt"
    text = stacks.read_text()
    assert text.startswith(f"hang: no progress for 5 s in {what}\nworker 0\n")
    assert f"in {function}\n" in text
    assert "in hang_for_ever\n" in text
    assert f"hang: no progress for 5 s in {what}; stacks in {stacks}; this worker ends, --resume goes on\n" in said
    assert noted(tmp_path)["endings"] == [f"hang: no progress for 5 s in {what}; stacks in {stacks}"]
    (artifact,) = (tmp_path / "store" / "artifacts").glob("*/*/stacks-rank0.txt")
    assert artifact.read_text() == text


def test_without_ray_the_command_ends_with_the_place_of_the_stacks(tmp_path, photos):
    path = tmp_path / "demo.yaml"
    path.write_text(f"""\
data: {{source: {photos}, resolution: 32}}
generator: {{name: dcgan, width: 4, latent_dim: 8}}
discriminator: {{name: dcgan, width: 4}}
budget: {{kimg: 0.08, batch_size: 4}}
evaluation: {{protocols: [fd_lite0_1k_train], every_kimg: 0.04}}
resources: {{stall_minutes: 0.1}}
runs: {tmp_path}/runs
store: {tmp_path}/store
""")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANRAY_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, SCRIPT, "command", "train", path, "--local"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == EXIT_CODE
    stacks = folder_of(tmp_path) / "stacks-rank0.txt"
    assert f"hang: no progress for 6 s in a training step; stacks in {stacks}; this worker ends" in done.stderr
    assert "in hang_for_ever\n" in stacks.read_text()


def test_a_store_that_hangs_is_a_hang_too(ended, tmp_path):
    (code,), (said,) = ended("store")
    assert code == EXIT_CODE, said
    assert "in hang_for_ever\n" in (folder_of(tmp_path) / "stacks-rank0.txt").read_text()
    (why,) = noted(tmp_path)["endings"]
    assert why.startswith("hang: no progress for 5 s in the rows and pictures of an evaluation; stacks in ")


def test_a_call_into_c_that_lets_nothing_else_run_is_ended_as_well(ended, tmp_path):
    (code,), (said,) = ended("lock")
    assert code == 1, said
    folder = folder_of(tmp_path)
    assert "in hold_the_lock\n" in (folder / "blocked-rank0.txt").read_text()
    clear(folder)
    stacks = folder / "stacks-rank0.txt"
    assert "in hold_the_lock\n" in stacks.read_text()
    (why,) = noted(tmp_path)["endings"]
    attempts.note(folder, "hang: said too late")
    assert noted(tmp_path)["endings"] == [why]
    assert why == f"hang: a call into C let no other thread run; stacks in {stacks}"


def test_a_collective_that_one_worker_does_not_join_ends_both_with_their_stacks(ended, tmp_path):
    codes, said = ended("step", 0, 1)
    assert codes == [EXIT_CODE, EXIT_CODE], said
    folder = folder_of(tmp_path)
    main, other = ((folder / f"stacks-rank{rank}.txt").read_text() for rank in range(2))
    assert "in hang_for_ever\n" in other
    assert "in all_reduce\n" in main
    assert noted(tmp_path)["endings"][0].startswith("hang: no progress for 5 s in a training step; stacks in ")


@pytest.mark.parametrize(("where", "ranks"), [("slow", ()), ("verdict", ()), ("verdict", (0, 1))])
def test_what_is_slow_but_moves_is_left_alone(ended, tmp_path, where, ranks):
    codes, said = ended(where, *ranks)
    assert set(codes) == {0}, said
    assert json.loads(said[0].splitlines()[0])["status"] == "completed"
    assert {path.name for path in folder_of(tmp_path).iterdir()} == {"checkpoint.pt", "lock"}


def test_a_process_that_was_stopped_for_a_while_is_not_ended(start, tmp_path):
    (process,) = start("slow")
    while not list(tmp_path.glob("runs/demo/trials/*/blocked-rank0.txt")):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    time.sleep(6)  # longer than the watchdog's patience, shorter than the timer's
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["status"] == "completed"


def test_what_hangs_again_and_again_is_failed_with_the_hang_as_its_diagnosis(ended, tmp_path):
    ended("step")
    folder = folder_of(tmp_path)
    why = noted(tmp_path)["endings"][0]
    for _ in range(attempts.MAX_ATTEMPTS - 1):  # as if three more had hung
        attempts.begin(folder, 0.0)
        attempts.note(folder, why)
    (code,), (said,) = ended("step")
    assert code == 0, said
    outcome = json.loads(said.splitlines()[0])
    assert outcome["status"] == "failed"
    assert outcome["diagnosis"] == f"{why} (4 attempts in a row got no further than 0 kimg)"
    (row,) = Store(tmp_path / "store").trials().to_pylist()
    assert (row["status"], row["diagnosis"]) == ("failed", outcome["diagnosis"])


def test_the_next_attempt_after_a_hang_begins_with_a_clean_slate(tmp_path, ended):
    ended("step")
    (folder_of(tmp_path) / "stalled").write_text("hang: of the attempt before")
    (code,), (said,) = ended("none")
    assert code == 0, said
    assert not (folder_of(tmp_path) / "stalled").exists()


def test_beats_and_their_slack():
    pulse = Pulse()
    pulse.beat("a")
    pulse.alive()
    assert (pulse.beats, pulse.what, pulse.slack_s) == (2, "a", 0)
    with pulse.waiting("b"):
        assert (pulse.beats, pulse.what, pulse.slack_s) == (3, "b", OTHERS_S)
        with pulse.resting("c"):
            assert pulse.slack_s == float("inf")
            with pulse.waiting("d"):
                assert pulse.slack_s == float("inf")
        assert (pulse.what, pulse.slack_s) == ("b", OTHERS_S)
    assert (pulse.what, pulse.slack_s) == ("a", 0)


def test_a_folder_that_cannot_be_written_keeps_nobody_from_training(job, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with watched(job(), World()):
        pass
