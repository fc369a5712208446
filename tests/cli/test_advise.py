"""`ganray advise` on folders of images, with and without earlier trials."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from ganray.data.images import load_images
from ganray.recipe.data import DataSpec
from ganray.recipe.experiment import load_experiment
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store


@pytest.fixture(autouse=True)
def plain_machine(tmp_path, monkeypatch):
    """No GPU, no FID weights, and a working directory of our own."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("GANRAY_FID_WEIGHTS", raising=False)
    monkeypatch.delenv("GANRAY_STORE", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """folder(n, side) makes a folder of so many tiny images."""

    def make(n, side=36, names="{:04d}.png"):
        root = tmp_path / f"photos {n}"
        rng = np.random.default_rng(n)
        for i in range(n):
            path = root / names.format(i)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path, compress_level=1)
        return root

    return make


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_without_a_store(ganray, folder, n):
    root = folder(n)
    code, out, err = ganray("advise", root)
    assert (code, err) == (0, "")
    assert f"- {n} images at 32 px: at least 95% of the images have that many pixels" in out
    assert "knows no completed trial on these images or similar ones" in out
    assert "- judged by fd_lite0_1k_train: no FID weights and no GPU here" in out
    assert out.endswith(
        f"written: photos_{n}.yaml\nNext:\n  ganray validate photos_{n}.yaml\n  ganray sweep photos_{n}.yaml\n"
    )
    code, out, err = ganray("validate", f"photos_{n}.yaml")
    assert (code, err) == (0, "")
    assert f"experiment  photos_{n} (photos_{n}.yaml)" in out
    assert "search      12 trial(s) by tpe, 1 of them given" in out


def put(store, fingerprint, loss, value):
    recipe = {
        "data": {"source": "x", "resolution": 32},
        "generator": {"name": "dcgan", "width": 8},
        "discriminator": {"name": "dcgan", "width": 8},
        "objective": {"loss": {"name": loss}},
    }
    common = {"trial_id": loss, "experiment": "photos_20"}
    store.put_trial(
        TrialRow(
            **common, recipe_json=json.dumps(recipe), recipe_hash="h", dataset="d", dataset_fingerprint=fingerprint,
            n_images=20, resolution=32, generator="dcgan", discriminator="dcgan", loss=loss, budget_kimg=8.0,
            batch_size=8, status="completed", kimg=8.0,
        )
    )  # fmt: skip
    store.put_evaluation(
        EvaluationRow(
            **common, kimg=8.0, protocol="fd_lite0_1k_train", extractor="e", extractor_checksum="c",
            n_fake=10, n_real=10, frechet=value,
        )
    )  # fmt: skip


def test_with_a_store(ganray, folder, tmp_path):
    root = folder(20)
    fingerprint = load_images(DataSpec(source=str(root), resolution=32)).fingerprint
    store = Store(tmp_path / "store")
    put(store, fingerprint, "lsgan", 55.5)
    put(store, fingerprint, "ragan", 66.6)
    code, out, _ = ganray("advise", root, "--store", store.uri)
    assert code == 0
    assert "- best so far on these very images: fd_lite0_1k_train 55.5 (1 trial) by dcgan against dcgan, lsgan" in out
    assert "written: photos_20-2.yaml" in out  # the store has an experiment photos_20
    experiment = load_experiment("photos_20-2.yaml")
    best = experiment.fixed(experiment.start_params()[0])
    assert (best.objective.loss.name, best.generator.width) == ("lsgan", 8)
    code, out, _ = ganray("validate", "photos_20-2.yaml")
    assert code == 0
    assert "2 of them given" in out


def test_what_was_asked_for_is_what_the_file_says(ganray, folder):
    root = folder(20, names="cats/{:02d}.png")
    folder(20, names="dogs/{:02d}.png")
    code, out, _ = ganray("advise", root, "-o", "new/mine.yaml", "--resolution", "64", "--budget", "2.5")
    assert code == 0
    assert "- 2 class folders, the smallest of 20 images: trained without labels" in out
    assert "warning: the same file 2 times: cats/00.png, dogs/00.png" in out
    experiment = load_experiment("new/mine.yaml")
    recipe = experiment.sample()
    assert experiment.name == "mine"
    assert (recipe.data.source, recipe.data.resolution, recipe.budget.kimg) == (str(root), 64, 2.5)


def test_it_writes_the_same_file_again_and_never_over_another(ganray, folder, tmp_path):
    root = folder(20)
    assert ganray("advise", root)[0] == 0
    first = (tmp_path / "photos_20.yaml").read_text()
    code, _, err = ganray("advise", root)
    assert code == 2
    assert "photos_20.yaml is there already" in err
    (tmp_path / "photos_20.yaml").unlink()
    assert ganray("advise", root)[0] == 0
    assert (tmp_path / "photos_20.yaml").read_text() == first


def test_a_dataset_that_is_not_there(ganray, tmp_path):
    code, _, err = ganray("advise", "nowhere/")
    assert code == 2
    assert "data.source nowhere/ does not exist" in err
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no image")
    code, _, err = ganray("advise", "broken")
    assert code == 2
    assert "no image in broken can be read" in err


@pytest.mark.parametrize("kimg", ["nan", "inf", "0", "-1"])
def test_a_budget_that_is_none(ganray, folder, tmp_path, kimg):
    code, _, err = ganray("advise", folder(20), "--budget", kimg)
    assert code == 2
    assert "--budget" in err
    assert list(tmp_path.glob("*.yaml")) == []


def test_commands_can_be_pasted_whatever_the_file_is_called(ganray, folder):
    _, out, _ = ganray("advise", folder(20), "-o", "my first.yaml")
    assert out.endswith("  ganray validate 'my first.yaml'\n  ganray sweep 'my first.yaml'\n")


def test_sample_sets(ganray):
    assert ganray("advise", "sample:hubble")[0] == 0
    assert load_experiment("hubble.yaml").sample().data.source == "sample:hubble"
