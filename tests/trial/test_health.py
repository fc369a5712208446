"""Broken recipes, trained: what is wrong gets into the store, and ends the trial where the file says so."""

import dataclasses
import json

import pytest

from ganray.errors import DataError
from ganray.trial.job import CHECKPOINT

FAST = {"generator": {"lr": 0.2}, "discriminator": {"lr": 0.2}}
"""A hundred times the quickstart's learning rates."""

NO_AVERAGE = [{"name": "diffaugment"}]


@pytest.fixture
def broken(job):
    def make(prune_on=(), **sections):
        return dataclasses.replace(job(optimizers=FAST, tricks=NO_AVERAGE, **sections), prune_on=prune_on)

    return make


def diagnoses(row):
    return {found["name"]: found for found in map(json.loads, row["diagnoses"])}


def test_a_learning_rate_a_hundred_times_too_high_is_diagnosed_and_stored(broken, run, rows):
    outcome, reports = run(broken())
    (trial,) = rows(broken())["trials"]
    assert (outcome.status, trial["status"], trial["diagnosis"]) == ("completed", "completed", None)
    explosion = diagnoses(trial)["gradient-explosion"]
    assert explosion["since_kimg"] == 0.04
    assert "gradient norm is" in explosion["evidence"]
    assert "gradient-explosion" in [finding.name for finding in reports[0].findings]


def test_a_sound_recipe_has_no_diagnosis(job, run, rows):
    run(job())
    (trial,) = rows(job())["trials"]
    assert trial["diagnoses"] == []


def test_evaluations_carry_what_health_is_judged_by(job, run, rows):
    sound = job(tricks=[{"name": "diffaugment"}])
    run(sound)
    for row in rows(sound)["evaluations"]:
        assert 0 <= row["diversity"] < 2
        assert -1 <= row["sure_of_reals"] <= 1
    # A discriminator of 20 steps sees no difference worth a quotient, or a finite one.
    assert all(row["overfit"] is None or abs(row["overfit"]) < 100 for row in rows(sound)["evaluations"])


def test_a_diagnosis_ends_the_trial_where_the_file_says_so(broken, run, rows):
    doomed = broken(prune_on=("mode-collapse", "gradient-explosion"))
    outcome, reports = run(doomed)
    assert (outcome.status, outcome.kimg) == ("pruned", 0.04)
    assert outcome.diagnosis.startswith("gradient-explosion: ")
    assert outcome.metrics == reports[-1].metrics
    assert [(report.status, report.done) for report in reports] == [("pruned", True)]
    found = rows(doomed)
    (trial,) = found["trials"]
    assert (trial["status"], trial["diagnosis"]) == ("pruned", outcome.diagnosis)
    assert "gradient-explosion" in diagnoses(trial)
    assert [row["kimg"] for row in found["evaluations"]] == [0.04], "its metric is there for Optuna"
    assert (doomed.folder / CHECKPOINT).exists()


def test_a_pruned_trial_can_be_gone_on_with(broken, run, rows):
    run(broken(prune_on=("gradient-explosion",)))
    outcome, reports = run(broken())  # the same trial, by a file that does not prune
    assert (outcome.status, [report.kimg for report in reports]) == ("completed", [0.08])
    (trial,) = rows(broken())["trials"]
    assert (trial["status"], trial["diagnosis"]) == ("completed", None)
    assert diagnoses(trial)["gradient-explosion"]["since_kimg"] == 0.04, "remembered from before"


def test_a_trial_at_the_end_of_its_budget_is_completed_whatever_is_wrong(broken, run, rows):
    ending = broken(prune_on=("gradient-explosion",), evaluation={"protocols": ["fd_tiny"], "every_kimg": 0.08})
    outcome, _ = run(ending)
    assert outcome.status == "completed"
    assert "gradient-explosion" in diagnoses(rows(ending)["trials"][0])


def test_values_that_are_not_finite_are_among_the_diagnoses(job, run, rows):
    adam = {"lr": 1e12}
    bad = job(optimizers={"generator": adam, "discriminator": adam})
    outcome, _ = run(bad)
    (trial,) = rows(bad)["trials"]
    assert outcome.status == "failed"
    assert "non-finite" in diagnoses(trial)


def test_a_trial_that_fails_before_its_networks_exist_is_in_the_store(job, run, rows, tmp_path):
    absent = job(data={"source": str(tmp_path / "absent"), "resolution": 32})
    outcome, _ = run(absent)
    (trial,) = rows(absent)["trials"]
    assert (trial["status"], trial["diagnosis"]) == ("failed", outcome.diagnosis)
    assert (trial["trial_id"], trial["loss"], trial["n_images"], trial["kimg"]) == (absent.trial_id, "hinge", 0, 0.0)
    assert (trial["dataset"], trial["generator_params"]) == ("absent", None)


@pytest.fixture
def lose_images(monkeypatch):
    """The images that were there are not there any more."""

    def lose(data, **options):
        raise DataError(f"{data.source}: no such folder")

    return lambda: monkeypatch.setattr("ganray.trial.run.load_images", lose)


def test_a_failure_at_the_start_keeps_what_an_earlier_run_achieved(job, run, rows, lose_images):
    run(job(), tell=lambda report: False)  # stopped at the first evaluation
    lose_images()
    outcome, _ = run(job())
    (trial,) = rows(job())["trials"]
    assert (trial["status"], trial["diagnosis"], trial["kimg"]) == ("failed", outcome.diagnosis, 0.04)
    assert trial["n_images"] == 12


def test_a_failure_at_the_start_leaves_a_completed_trial_alone(job, run, rows, lose_images):
    run(job())
    lose_images()
    assert run(job())[0].status == "failed"
    (trial,) = rows(job())["trials"]
    assert (trial["status"], trial["diagnosis"]) == ("completed", None)
