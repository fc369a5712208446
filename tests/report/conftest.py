"""A store with a small sweep whose ranking can be worked out by hand."""

import io
import json
from datetime import UTC, datetime

import pytest
from PIL import Image

from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
LITE = "fd_lite0_1k_train"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def recipe():
    def make(loss="hinge", seed=0, tricks=(), penalties=(), **parts):
        return {
            "data": {"source": "sample:hubble", "resolution": 64},
            "generator": {"name": "dcgan", "width": 32},
            "discriminator": {"name": "dcgan", "width": 32},
            "objective": {
                "loss": loss if isinstance(loss, dict) else {"name": loss},
                "penalties": list(penalties),
            },
            "tricks": list(tricks),
            "budget": {"kimg": 12.0, "batch_size": 8},
            "seed": seed,
            "runtime": {"device": "cpu"},
            **parts,
        }

    return make


@pytest.fixture
def put_trial(store, recipe):
    """put_trial(id, status, recipe) writes a trial."""

    def put(trial_id, status="completed", content=None, experiment="demo", **changes):
        content = content or recipe()
        values = {
            "recipe_hash": "h",
            "dataset": "sample:hubble",
            "dataset_fingerprint": "f00d",
            "n_images": 100,
            "resolution": 64,
            "generator": "dcgan",
            "discriminator": "dcgan",
            "loss": content["objective"]["loss"]["name"],
            "seed": content["seed"],
            "budget_kimg": 12.0,
            "batch_size": 8,
            "kimg": 12.0,
            "device_s": 90.0,
            "created_at": START,
            "updated_at": START,
        }
        row = {**values, **changes}
        store.put_trial(
            TrialRow(trial_id=trial_id, experiment=experiment, status=status, recipe_json=json.dumps(content), **row)
        )

    return put


@pytest.fixture
def put_scores(store):
    """put_scores(id, {kimg: frechet}) writes evaluations."""

    def put(trial_id, values, experiment="demo", **changes):
        for kimg, frechet in values.items():
            given = {
                "protocol": LITE,
                "extractor": "lite0",
                "extractor_checksum": "c0de",
                "n_fake": 1000,
                "n_real": 100,
                "kid": frechet / 1000,
                "kid_stderr": 0.003,
                "created_at": START,
            }
            store.put_evaluation(
                EvaluationRow(
                    trial_id=trial_id, experiment=experiment, kimg=kimg, frechet=frechet, **{**given, **changes}
                )
            )

    return put


@pytest.fixture
def png():
    def make(color, side=64):
        buffer = io.BytesIO()
        Image.new("RGB", (side, side), color).save(buffer, "PNG")
        return buffer.getvalue()

    return make
