"""What `ganray advise` finds out about the images and the machine."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ganray.data.images import load_images
from ganray.errors import WeightsError
from ganray.evaluation import weights
from ganray.recipe.data import DataSpec
from ganray.trial import advice
from ganray.trial.advice import fid_features, look_at

CONTENT = b"the weights"


@pytest.fixture(autouse=True)
def plain_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv(weights.WEIGHTS_ENV, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    # CONTENT stands in for the genuine short weights.
    short = replace(weights.UP_TO_MIXED_6E, sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(weights, "UP_TO_MIXED_6E", short)


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(("cats/a", "cats/b", "dogs/a")):
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((70 + i, 100, 3), 40 * i, np.uint8)).save(path)
    (tmp_path / "set" / "dogs" / "bad.png").write_bytes(b"")
    return tmp_path / "set"


def test_the_facts(folder):
    facts, warnings = look_at(str(folder))
    assert (facts.n_images, facts.n_unreadable, facts.class_folders) == (3, 1, {"cats": 2, "dogs": 2})
    assert (facts.resolution, facts.gpu, facts.protocol) == (64, False, "fd_lite0_1k_train")
    assert any("dogs/bad.png cannot be used" in warning for warning in warnings)
    for labels, fingerprint in zip(("none", "folders"), facts.fingerprints, strict=True):
        spec = DataSpec(source=str(folder), resolution=64, min_images=1, on_corrupt="skip", labels=labels)
        assert load_images(spec).fingerprint == fingerprint


def test_a_resolution_that_was_asked_for_stands(folder):
    facts, _ = look_at(str(folder), resolution=128)
    assert (facts.resolution, facts.resolution_why) == (128, "as asked for")


def test_folders_that_are_no_classes_are_none(folder):
    (folder / "alone.png").write_bytes((folder / "cats" / "a.png").read_bytes())
    assert look_at(str(folder))[0].class_folders == {}


def test_weights_are_found_and_never_fetched(tmp_path, monkeypatch):
    assert fid_features() == 0
    file = tmp_path / "short.npz"
    file.write_bytes(CONTENT)
    assert fid_features(file) == 768
    monkeypatch.setenv(weights.WEIGHTS_ENV, str(file))
    assert fid_features() == 768
    file.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="not the FID Inception"):
        fid_features()


def test_weights_in_pytorch_fids_cache(tmp_path, monkeypatch):
    cached = tmp_path / "hub" / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth"
    monkeypatch.setattr(advice, "pytorch_fid_cache", lambda: (cached, "http://nowhere"))
    cached.parent.mkdir(parents=True)
    assert fid_features() == 0
    cached.write_bytes(CONTENT)
    assert fid_features() == 768
