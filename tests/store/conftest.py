"""Rows to store: a factory per table with everything that the test does not care about filled in."""

from datetime import UTC, datetime, timedelta

import pytest

from ganray.store.schema import CurveRow, EvaluationRow, TrialRow

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def at():
    """at(n) is n seconds after the tests' beginning of time."""
    return lambda seconds: START + timedelta(seconds=seconds)


@pytest.fixture
def trial():
    def make(trial_id="t1", experiment="demo", **changes):
        values = {
            "recipe_json": '{"objective": {"loss": {"name": "hinge"}}, "seed": 0}',
            "recipe_hash": "h" * 64,
            "dataset": "sample:hubble",
            "dataset_fingerprint": "f00d",
            "n_images": 100,
            "resolution": 64,
            "generator": "dcgan",
            "discriminator": "dcgan",
            "loss": "hinge",
            "penalties": ("r1",),
            "augment": "color,translation",
            "tricks": ("diffaugment", "ema"),
            "budget_kimg": 40.0,
            "batch_size": 8,
            "versions": {"torch": "2.15.0"},
            "status": "running",
            "created_at": START,
            "updated_at": START,
        }
        return TrialRow(trial_id=trial_id, experiment=experiment, **{**values, **changes})

    return make


@pytest.fixture
def evaluation():
    def make(trial_id="t1", experiment="demo", kimg=4.0, frechet=100.0, **changes):
        values = {
            "protocol": "fd_lite0_1k_train",
            "extractor": "lite0",
            "extractor_checksum": "c0de",
            "n_fake": 1000,
            "n_real": 100,
            "created_at": START,
        }
        return EvaluationRow(
            trial_id=trial_id, experiment=experiment, kimg=kimg, frechet=frechet, **{**values, **changes}
        )

    return make


@pytest.fixture
def curve():
    def make(trial_id="t1", experiment="demo", kimg=1.0, **changes):
        return CurveRow(trial_id=trial_id, experiment=experiment, kimg=kimg, **{"created_at": START, **changes})

    return make
