"""The status that a sweep's driver keeps, from made-up events of Tune."""

import io
import json
import math
import pickle
import secrets
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from rich.console import Console

from ganray.cluster import status_writer
from ganray.cluster.live import LiveTable
from ganray.cluster.status import LINE, read_status
from ganray.cluster.status_writer import Past, StatusWriter, estimate_s
from ganray.errors import StoreError
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store
from ganray.trial.folder import Runs


class Clock:
    """time.monotonic, moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(status_writer, "time", clock)
    return clock


@pytest.fixture
def table():
    return LiveTable("fd", 4.0, 6, Console(file=io.StringIO(), width=120), done_before=2)


def writer_of(table, runs, **options):
    options = {"store": "/store", "slots": lambda: 2, "slots_wanted": lambda: 3, **options}
    return StatusWriter(table, runs, "demo", **options)


@pytest.fixture
def writer(table, tmp_path, clock):
    return writer_of(table, Runs.at(tmp_path), past=Past(completed=1, failed=1, device_s=3600.0), workers_per_slot=2)


def trial(name, **params):
    return SimpleNamespace(trial_id=name, config={"slot": object(), **params}, last_result={})


def result(kimg, metric, status="running", done=False, **more):
    return {"trial": "id", "kimg": kimg, "fd": metric, "status": status, "done": done, **more}


def happen(writer, which, *results):
    if which.trial_id not in writer.table.lines:
        writer.table.on_trial_start(0, [], which)
    for found in results:
        writer.table.on_trial_result(0, [], which, found)
        writer.on_trial_result(0, [], which, found)


def test_counts_are_those_of_all_runs_of_the_sweep(writer):
    assert writer.status().state == "starting"
    happen(writer, trial("a"), result(4, 20.0, "completed", True, trial="aa"))
    happen(writer, trial("b"), result(2, 50.0, "pruned", True, trial="bb"))
    happen(writer, trial("c", lr=0.5), result(1, 40.0, trial="cc", node="10.0.0.7", **{"train/images_per_s": 12.5}))
    happen(writer, trial("d"))
    status = writer.status()
    assert (status.state, status.trials, status.ended) == ("running", 6, 4)
    assert (status.completed, status.pruned, status.failed, status.running) == (2, 1, 1, 2)
    assert (status.slots, status.slots_wanted, status.workers_per_slot) == (2, 3, 2)
    assert status.images_per_s == 12.5
    first, second = status.trials_running
    assert (first.number, first.trial_id, first.kimg, first.budget_kimg) == (5, "cc", 1, 4.0)
    assert (first.value, first.node, first.recipe, first.images_per_s) == (40.0, "10.0.0.7", "lr=0.5", 12.5)
    assert (second.number, second.trial_id, second.value, second.node) == (6, "", None, None)


def test_the_best_is_that_of_all_runs_with_the_kimg_at_which_it_was(table, tmp_path, clock):
    past = Past(completed=1, best_trial="old", best_value=30.0, best_kimg=3.0)
    writer = writer_of(table, Runs.at(tmp_path), past=past)
    happen(writer, trial("a"), result(1, 35.0, trial="aa"))
    status = writer.status()
    assert (status.best_trial, status.best_value, status.best_kimg) == ("old", 30.0, 3.0)
    happen(writer, trial("a"), result(2, 25.0, trial="aa"), result(3, 28.0, trial="aa"))
    status = writer.status()
    assert (status.best_trial, status.best_value, status.best_kimg) == ("aa", 25.0, 2)


def test_without_any_finite_value_there_is_no_best(writer):
    happen(writer, trial("a"), result(0, math.inf, "failed", True))
    status = writer.status()
    assert (status.best_trial, status.best_value, status.best_kimg) == (None, None, None)
    json.loads(status.to_json())


def test_utilisation_is_that_of_all_slots_there_ever_were_as_they_last_told(writer):
    happen(writer, trial("a"), result(1, 9.0))
    assert writer.status().utilisation is None
    happen(writer, trial("a"), result(2, 9.0, slot="one", busy_s=5.0, slot_s=10.0))
    happen(writer, trial("a"), result(3, 9.0, slot="one", busy_s=90.0, slot_s=100.0))
    happen(writer, trial("b"), result(1, 9.0, slot="two", busy_s=40.0, slot_s=50.0))
    assert writer.status().utilisation == pytest.approx(130 / 150)
    # New workers of a slot begin to count anew; what the old ones told stays.
    happen(writer, trial("b"), result(2, 9.0, slot="two", busy_s=2.0, slot_s=10.0))
    assert writer.status().utilisation == pytest.approx(132 / 160)


def test_device_hours_are_the_earlier_ones_and_the_time_that_slots_were_held(writer, clock):
    assert writer.status().device_hours == pytest.approx(1.0)
    clock.now += 1800
    writer.on_step_end(1, [])
    assert writer.status().device_hours == pytest.approx(1.0 + 0.5 * 2 * 2)  # two slots of two workers


def test_device_hours_may_be_counted_elsewhere(table, tmp_path, clock):
    writer = writer_of(table, Runs.at(tmp_path), device_s=lambda: 7200.0)
    assert writer.status().device_hours == 2.0


def test_an_estimate_by_hand():
    # Ten seconds per kimg; ended trials came to 2 kimg on average. Three wait, one runs at 1 of those 2 kimg:
    # 3 * 20 s + 10 s on two slots.
    ended = [(3.0, 30.0), (1.0, 10.0)]
    assert estimate_s(ended, [(1.0, 10.0, 0.0)], 3, 2, 4.0) == pytest.approx(35.0)
    # One that is beyond the average goes to the budget, and what it did since its report counts.
    assert estimate_s(ended, [(3.0, 30.0, 4.0)], 0, 2, 4.0) == pytest.approx(6.0)
    # The longest trial cannot be split among slots.
    assert estimate_s([], [(1.0, 10.0, 0.0)], 0, 8, 4.0) == pytest.approx(30.0)
    assert estimate_s(ended, [], 0, 2, 4.0) == 0.0


def test_without_progress_or_slots_there_is_no_estimate():
    assert estimate_s([], [(0.0, 0.0, 0.0)], 5, 2, 4.0) is None
    assert estimate_s([(1.0, 10.0)], [], 5, 0, 4.0) is None


def test_the_estimate_counts_idle_time_and_the_deadline(table, tmp_path, clock):
    writer = writer_of(table, Runs.at(tmp_path))
    which = trial("a")
    happen(writer, which, result(4, 20.0, "completed", True, wall_s=40.0, slot="s", busy_s=40.0, slot_s=50.0))
    # Three of six are left (two were done before): 3 * 40 s on two slots, which are busy four fifths of the time.
    assert writer.status().eta_s == pytest.approx(60 / 0.8)
    table.budget.deadline = clock.now + 33.0
    assert writer.status().eta_s == pytest.approx(33.0)


def test_it_is_written_whole_and_not_more_often_than_every_two_seconds(writer, clock, tmp_path):
    runs = Runs.at(tmp_path)
    writer.setup()
    assert read_status(runs, "demo").state == "starting"
    happen(writer, trial("a"), result(1, 9.0))
    clock.now += 1.9
    writer.on_step_end(1, [])
    assert read_status(runs, "demo").state == "starting"
    clock.now += 0.2
    writer.on_step_end(2, [])
    assert read_status(runs, "demo").state == "running"
    assert [file.name for file in (tmp_path / "demo").iterdir()] == ["status.json"]


def test_stopping_and_the_end_are_written_at_once(writer, tmp_path):
    runs = Runs.at(tmp_path)
    writer.setup()
    happen(writer, trial("a"), result(1, 9.0, **{"train/images_per_s": 5.0}))
    writer.stopping("Ctrl-C")
    assert (read_status(runs, "demo").state, read_status(runs, "demo").note) == ("stopping", "Ctrl-C")
    writer.on_experiment_end([])
    status = read_status(runs, "demo")
    assert (status.state, status.note, status.running, status.images_per_s) == ("ended", "Ctrl-C", 0, 0.0)
    assert (status.eta_s, status.trials_running) == (None, ())


def test_a_disk_that_is_full_is_told_of_once_and_ends_nothing(writer, clock, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(status_writer.os, "replace", refuse)
    for _ in range(3):
        writer.on_step_end(1, [])
        clock.now += 5
    assert caplog.text.count("No space left") == 1


def test_a_remote_place_gets_it_once_a_minute_and_its_faults_are_logged(table, clock, monkeypatch, caplog):
    runs = Runs.at(f"memory://{secrets.token_hex(4)}/runs")
    writer = writer_of(table, runs)
    writer.setup()
    first = read_status(runs, "demo").updated_at
    clock.now += 59
    writer.on_step_end(1, [])
    assert read_status(runs, "demo").updated_at == first
    clock.now += 2
    writer.on_step_end(1, [])
    second = read_status(runs, "demo").updated_at
    assert second > first

    def fail(*_):
        raise StoreError("cannot reach the URI")

    monkeypatch.setattr(Runs, "send", fail)
    clock.now += 61
    writer.on_step_end(1, [])
    assert "the sweep's status is not written: cannot reach the URI" in caplog.text


def test_lines_are_printed_where_the_variable_asks_for_them(writer, clock, monkeypatch, capsys):
    writer.on_step_end(1, [])
    assert LINE not in capsys.readouterr().out
    monkeypatch.setenv("GANRAY_STATUS_LINES", "1")
    monkeypatch.setenv("GANRAY_JOB_ID", "raysubmit_1")
    clock.now += 3
    writer.on_step_end(1, [])
    clock.now += 3
    writer.on_step_end(1, [])
    writer.on_experiment_end([])
    lines = capsys.readouterr().out.splitlines()
    states = [json.loads(line.removeprefix(f"{LINE} ")) for line in lines]
    assert [(s["state"], s["job_id"]) for s in states] == [("starting", "raysubmit_1"), ("ended", "raysubmit_1")]


def test_tune_may_pickle_it(writer):
    pickle.loads(pickle.dumps(writer))


def row(trial_id, status, device_s):
    return TrialRow(
        trial_id=trial_id, experiment="demo", recipe_json="{}", recipe_hash=trial_id, dataset="d",
        dataset_fingerprint="f", n_images=1, resolution=32, generator="dcgan", discriminator="dcgan", loss="hinge",
        budget_kimg=4, batch_size=8, status=status, device_s=device_s,
    )  # fmt: skip


def score(trial_id, kimg, protocol, frechet):
    return EvaluationRow(
        trial_id=trial_id, experiment="demo", kimg=kimg, protocol=protocol, extractor="e", extractor_checksum="c",
        n_fake=1, n_real=1, frechet=frechet, created_at=datetime.now(UTC),
    )  # fmt: skip


def test_the_past_is_what_the_store_says(tmp_path):
    store = Store(tmp_path)
    assert Past.of(store, "demo", "fd") == Past()
    for arguments in (("a", "completed", 10.0), ("b", "failed", 2.0), ("c", "running", 5.0), ("d", "pruned", 1.0)):
        store.put_trial(row(*arguments))
    for arguments in (("a", 1.0, "fd", 30.0), ("a", 2.0, "fd", 20.0), ("c", 1.0, "fd", math.inf),
                      ("c", 1.0, "other", 1.0)):  # fmt: skip
        store.put_evaluation(score(*arguments))
    assert Past.of(store, "demo", "fd") == Past(1, 1, 1, 18.0, "a", 20.0, 2.0)
