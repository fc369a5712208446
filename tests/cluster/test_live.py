"""The live table and the rows that the driver writes, from made-up events of Tune."""

import io
import math
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from ganray.cluster.budget import Budget
from ganray.cluster.live import LiveTable, brief
from ganray.cluster.prune import PrunedRows
from ganray.cluster.worker import as_result
from ganray.errors import StoreError
from ganray.store.schema import TrialRow
from ganray.store.store import Store
from ganray.training.health import Diagnosis
from ganray.trial.job import Report


def trial(name="t", **params):
    return SimpleNamespace(trial_id=name, config={"slot": object(), **params}, last_result={})


def result(kimg, metric, status="running", done=False, **more):
    return {"trial": f"id{kimg}", "kimg": kimg, "fd": metric, "status": status, "done": done, **more}


@pytest.fixture
def screen():
    return io.StringIO()


@pytest.fixture
def table(screen):
    return LiveTable("fd", 4.0, 3, Console(file=screen, width=120))


def happen(table, which, *results):
    table.on_trial_start(0, [], which)
    for found in results:
        table.on_trial_result(0, [], which, found)


def test_a_line_per_event_where_there_is_no_terminal(table, screen):
    happen(table, trial(), result(2, 30.0), result(4, 20.0, "completed", True))
    lines = screen.getvalue().splitlines()
    assert "trial 1/3 id2  running    2.00 kimg  fd 30.00  best 30.00 (trial 1)" in lines[0]
    assert "completed  4.00 kimg  fd 20.00" in lines[1]


def test_best_is_the_smallest_finite_metric_of_all(table):
    happen(table, trial("a"), result(2, 30.0), result(4, 40.0, "completed", True))
    happen(table, trial("b"), result(2, math.inf, "failed", True, diagnosis="non-finite: loss_d = nan"))
    assert table.best.number == 1
    assert table.best.best == 30.0


def test_a_trial_that_tune_ends_early_is_pruned(table):
    which = trial()
    happen(table, which, result(2, 30.0, done=True))
    assert table.lines["t"].status == "pruned"


def test_a_trial_that_the_end_of_the_sweep_breaks_off_is_not_pruned(screen):
    budget = Budget(deadline=time.monotonic() - 1)
    table = LiveTable("fd", 4.0, 3, Console(file=screen), budget=budget)
    which = trial()
    happen(table, which, result(2, 30.0))
    assert budget.stop_all()
    table.on_trial_complete(0, [], which)
    assert table.lines["t"].status == "running"
    happen(table, which, result(2.5, 30.0, done=True))  # its slot lets go of it
    assert table.lines["t"].status == "running"


def test_a_slot_that_was_replaced_is_reported_with_its_node(table, screen):
    happen(
        table, trial(), {**result(2, 30.0), "slot": "slot-1", "node": "10.0.0.7", "slot_replaced": "failed 3 recipes"}
    )
    assert "slot slot-1 on 10.0.0.7 failed 3 recipes" in screen.getvalue()


def test_the_table_shows_every_trial_with_its_diagnosis_and_numbers_go_on_after_a_resume():
    screen = io.StringIO()
    console = Console(file=screen, width=120, force_terminal=True)
    table = LiveTable("fd", 4.0, 9, console, done_before=5)
    happen(table, trial("a", **{"objective.loss": "hinge"}), result(2, 30.0, **{"train/images_per_s": 12.0}))
    happen(table, trial("b"), result(0, math.inf, "failed", True, diagnosis="non-finite"))
    console.print(table)
    shown = screen.getvalue()
    for words in ("6 of 9 trials ended", "6*", "loss=hinge", "12.0", "non-finite", "2.00 / 4", "best fd 30.00"):
        assert words in shown


def test_what_was_found_stands_beside_the_recipe_while_the_trial_goes_on():
    screen = io.StringIO()
    table = LiveTable("fd", 4.0, 9, Console(file=screen, width=120, force_terminal=True))
    happen(table, trial("a", **{"objective.loss": "hinge"}), result(2, 30.0, diagnoses="mode-collapse, oscillation"))
    table.console.print(table)
    shown = screen.getvalue()
    assert "mode-collapse, oscillation" in shown
    assert "loss=hinge" in shown


def test_a_line_names_what_was_found_and_a_trial_pruned_for_it(table, screen):
    which = trial()
    happen(table, which, result(2, 30.0, "pruned", True, diagnoses="gradient-explosion"))
    table.on_trial_complete(0, [], which)
    assert table.lines["t"].status == "pruned"
    assert "pruned     2.00 kimg  fd 30.00  best 30.00 (trial 1)  gradient-explosion" in screen.getvalue()


def test_a_report_is_a_result_with_its_status_and_the_names_of_its_findings():
    finding = Diagnosis("mode-collapse", "two fakes are 0.1", 2.0, 2.0)
    told = as_result(Report("id", 2.0, {"fd": 30.0}, {"loss_d": 1.0}, 9.0, "pruned", (finding,)))
    assert told == {
        "fd": 30.0, "train/loss_d": 1.0, "kimg": 2.0, "wall_s": 9.0, "status": "pruned",
        "diagnoses": "mode-collapse", "done": True,
    }  # fmt: skip
    going_on = as_result(Report("id", 2.0, {"fd": 30.0}))
    assert (going_on["status"], going_on["done"], going_on["diagnoses"]) == ("running", False, "")


def test_params_in_a_few_words():
    params = {"objective.loss": "lsgan", "objective.loss[lsgan].c": 0.912345, "tricks[2]": None, "tricks[1]": "flips"}
    assert brief(params) == "loss=lsgan c=0.912 tricks=flips"


def row(trial_id, status):
    return TrialRow(
        trial_id=trial_id,
        experiment="e",
        recipe_json="{}",
        recipe_hash="h",
        dataset="d",
        dataset_fingerprint="f",
        n_images=1,
        resolution=32,
        generator="dcgan",
        discriminator="dcgan",
        loss="hinge",
        budget_kimg=4,
        batch_size=8,
        status=status,
        tricks=("ema",),
        diagnosis="mode-collapse: two fakes" if status == "pruned" else None,
        kimg=2.0,
    )


@pytest.mark.parametrize(
    ("status", "is_over", "expected"),
    [
        ("running", False, "pruned"),
        ("running", True, "running"),
        ("completed", False, "completed"),
        ("pruned", False, "pruned"),
    ],
)
def test_the_driver_records_pruning_and_nothing_else(tmp_path, status, is_over, expected):
    store = Store(tmp_path)
    store.put_trial(row("a", status))
    which = SimpleNamespace(last_result={"trial": "a", "status": status})
    PrunedRows(store, "e", lambda: is_over).on_trial_complete(0, [], which)
    (found,) = store.trials("e").to_pylist()
    assert found["status"] == expected
    assert (found["kimg"], found["tricks"]) == (2.0, ["ema"])
    assert found["diagnosis"] == ("mode-collapse: two fakes" if status == "pruned" else None)


def test_a_store_that_does_not_answer_is_told_of_pruning_later(tmp_path, monkeypatch, caplog):
    store = Store(tmp_path)
    store.put_trial(row("a", "running"))
    pruned = PrunedRows(store, "e")
    with monkeypatch.context() as patch:

        def refuse(*args, **kwargs):
            raise StoreError("cannot read the store: network is unreachable")

        patch.setattr(store, "trials", refuse)
        pruned.on_trial_complete(0, [], SimpleNamespace(last_result={"trial": "a", "status": "running"}))
        assert "1 pruned trial(s) are marked later: cannot read the store" in caplog.text
    pruned.on_step_end(0, [])  # too soon: the store is left in peace for a minute
    assert store.trials("e")["status"].to_pylist() == ["running"]
    pruned.on_experiment_end([])
    assert store.trials("e")["status"].to_pylist() == ["pruned"]
