"""`ganray compare` as a user types it."""

import io
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from ganray.cli.compare import command
from ganray.errors import StoreError
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store


@pytest.fixture
def store(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    for trial_id, loss, color, value in (
        ("aaaa11112222", "hinge", "red", 30.0),
        ("abbb11112222", "lsgan", "lime", 20.5),
    ):
        picture = io.BytesIO()
        Image.new("RGB", (32, 32), color).save(picture, "PNG")
        common = {"trial_id": trial_id, "experiment": "demo"}
        store.put_trial(
            TrialRow(
                **common, recipe_json=json.dumps({"objective": {"loss": {"name": loss}}}), recipe_hash="h",
                dataset="d", dataset_fingerprint="f", n_images=10, resolution=64, generator="dcgan",
                discriminator="dcgan", loss=loss, budget_kimg=8.0, batch_size=8, status="completed", kimg=8.0,
            )
        )  # fmt: skip
        store.put_evaluation(
            EvaluationRow(
                **common, kimg=8.0, protocol="fd_lite0_1k_train", extractor="e", extractor_checksum="c", n_fake=10,
                n_real=10, frechet=value, grid_uri=store.put_artifact("demo", trial_id, "g.png", picture.getvalue()),
            )
        )  # fmt: skip
    monkeypatch.setenv("GANRAY_STORE", store.uri)
    return store


def run(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_recipe_metrics_and_pictures(store, tmp_path):
    result = run("aa", "ab", "-o", tmp_path / "both.png")
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    assert ["loss", "hinge", "lsgan"] in lines
    assert ["fd_lite0_1k_train", "best", "30", "@", "8", "kimg", "20.50", "@", "8", "kimg"] in lines
    with Image.open(tmp_path / "both.png") as page:
        assert (page.getpixel((100, 300)), page.getpixel((700, 300))) == ((255, 0, 0), (0, 255, 0))


def test_ambiguous_and_unknown_ids(store):
    with pytest.raises(StoreError, match="begins the id of 2 trials"):
        run("a", "ab")
    with pytest.raises(StoreError, match="no trial 'c'"):
        run("aa", "c")
