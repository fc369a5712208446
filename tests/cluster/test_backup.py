"""What is sent to a remote place while a sweep goes on and at its end."""

import secrets
import time

import pytest

from ganray.cluster import backup
from ganray.cluster.backup import StudyBackup, send_what_waits
from ganray.cluster.claim import MANIFEST, STUDY
from ganray.errors import StoreError
from ganray.store.spool import SpooledFiles
from ganray.store.store import Store
from ganray.trial.folder import Runs
from ganray.trial.mirror import UNSENT


@pytest.fixture
def runs():
    runs = Runs.at(f"memory://{secrets.token_hex(4)}/runs")
    folder = runs.folder / "demo"
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    (folder / STUDY).write_text("one\n")
    return runs


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRAY_SPOOL_DIR", str(tmp_path / "spool"))
    return Store(f"memory://{secrets.token_hex(4)}/store")


def study_at(runs, tmp_path):
    copy = tmp_path / "copy"
    return copy.read_text() if runs.fetch(f"demo/{STUDY}", copy) else None


def step(callback):
    callback.on_step_end(1, [])


def test_the_study_is_sent_at_the_start_and_after_each_trial_that_ends(runs, tmp_path):
    callback = StudyBackup(runs, "demo")
    step(callback)
    assert study_at(runs, tmp_path) == "one\n"
    (runs.folder / "demo" / STUDY).write_text("one\ntwo\n")
    step(callback)
    assert study_at(runs, tmp_path) == "one\n"
    callback.on_trial_complete(1, [], None)
    step(callback)
    assert study_at(runs, tmp_path) == "one\ntwo\n"


def test_a_fault_is_made_good_after_a_pause_and_raises_nothing(runs, tmp_path, monkeypatch):
    tried = []

    def refuse(*_, **__):
        tried.append(1)
        raise StoreError("cannot reach the URI")

    callback = StudyBackup(runs, "demo")
    with monkeypatch.context() as patch:
        patch.setattr(Runs, "send", refuse)
        step(callback)
        step(callback)
    assert len(tried) == 1
    later = time.monotonic() + backup.PAUSE_S + 1
    monkeypatch.setattr(backup.time, "monotonic", lambda: later)
    step(callback)
    assert study_at(runs, tmp_path) == "one\n"


def test_runs_in_a_folder_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Runs, "send", lambda *_: pytest.fail("there is nowhere to send to"))
    here = Runs.at(tmp_path / "runs")
    step(StudyBackup(here, "demo"))
    assert send_what_waits("demo", here, Store(tmp_path / "store")) == []


def test_at_the_end_rows_checkpoints_and_study_go_to_their_places(runs, store, tmp_path):
    store.files.spool.put("trials/experiment=demo/a.parquet", b"row")
    assert send_what_waits("demo", runs, store) == []
    assert store.files.spool.waiting() == []
    assert study_at(runs, tmp_path) == "one\n"


def test_what_cannot_be_sent_is_told_with_what_to_do(runs, store, monkeypatch):
    trial = runs.folder / "demo" / "trials" / "t1"
    trial.mkdir(parents=True)
    (trial / "checkpoint.pt").write_bytes(b"torn")
    (trial / UNSENT).touch()

    def refuse(*_, **__):
        raise StoreError("cannot reach it")

    monkeypatch.setattr(Runs, "send", refuse)
    monkeypatch.setattr(SpooledFiles, "drain", refuse)
    said = "\n".join(send_what_waits("demo", runs, store))
    assert "rows stay on this machine until `ganray store drain`: cannot reach it" in said
    assert f"1 checkpoint(s) wait in {runs.folder} for {runs.uri}; the next --resume" in said
    assert "the study's last state stays on this machine: cannot reach it" in said
