"""Class folders become labels, in the order of the images that could be read."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganray.data import images as images_module
from ganray.data.fingerprint import fingerprints
from ganray.data.images import load_images
from ganray.data.inspect import inspect
from ganray.data.labels import class_folders
from ganray.errors import DataError
from ganray.recipe.data import DataSpec

NAMES = ("cats/0.png", "cats/1.png", "birds/0.png", "dogs/0.png", "dogs/1.png", "dogs/2.png")
SORTED_CLASSES = [0, 1, 1, 2, 2, 2]  # birds/0, cats/0, cats/1, dogs/0, dogs/1, dogs/2


def fill(root, names=NAMES):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        # From the whole name, so that a wrong order of labels would show in the pixels.
        rng = np.random.default_rng(list(name.encode()))
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(root / name)
    return root


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "set")


@pytest.fixture
def load(tmp_path):
    def call(source, labels="folders", **changes):
        spec = DataSpec(source=str(source), resolution=32, min_images=2, labels=labels, **changes)
        return load_images(spec, cache_dir=tmp_path / "cache")

    return call


def test_labels_follow_the_images(folder, load):
    found = load(folder)
    assert found.classes == ("birds", "cats", "dogs")
    assert found.labels.dtype == torch.int64
    assert found.labels.tolist() == SORTED_CLASSES
    for file, image, label in zip(found.files, found.images, found.labels):
        assert file.startswith(found.classes[label])
        want = np.asarray(Image.open(folder / file)).transpose(2, 0, 1)
        assert np.array_equal(image.numpy(), want)


def test_without_labels_nothing_changes(folder, load):
    found = load(folder, labels="none")
    assert (found.labels, found.classes) == (None, ())
    # The formula of tests/data/test_images.py, worked out here from the bytes.
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(NAMES)]
    want = hashlib.sha256("\n".join(["images 1 32 crop", *digests]).encode()).hexdigest()[:16]
    assert found.fingerprint == want


def test_the_classes_enter_the_fingerprint_and_nothing_else_of_the_names_does(folder, load):
    first = load(folder)
    assert first.fingerprint != load(folder, labels="none").fingerprint
    assert len(first.fingerprint) == 16
    (folder / "dogs" / "2.png").rename(folder / "dogs" / "9.png")
    assert load(folder).fingerprint == first.fingerprint
    plain = load(folder, labels="none").fingerprint
    (folder / "birds").rename(folder / "aves")
    assert load(folder).fingerprint != first.fingerprint
    assert load(folder, labels="none").fingerprint == plain


def test_fingerprints_are_found_without_decoding(folder, load):
    want = (load(folder, labels="none").fingerprint, load(folder).fingerprint)
    assert fingerprints(folder, 32) == want


def test_another_split_of_the_same_images_is_another_set(folder, load):
    first = load(folder)
    (folder / "cats" / "1.png").rename(folder / "dogs" / "0.a.png")  # keeps its place in the order
    moved = load(folder)
    assert torch.equal(moved.images, first.images)
    assert moved.labels.tolist() == [0, 1, 2, 2, 2, 2]
    assert moved.fingerprint != first.fingerprint


def test_pixels_are_cached_once_for_both(folder, load, tmp_path, monkeypatch):
    plain = load(folder, labels="none")
    monkeypatch.setattr(images_module, "read_picture", lambda _: pytest.fail("decoded again"))
    assert torch.equal(load(folder).images, plain.images)
    assert len(list((tmp_path / "cache" / "images").iterdir())) == 2


def test_skipped_files_do_not_shift_the_labels(folder, load):
    (folder / "birds" / "bad.png").write_bytes(b"")
    (folder / "cats" / "0.png").write_bytes(b"no image")
    (folder / "dogs" / "1.png").write_bytes(b"no image")
    for _ in range(2):  # decoded, and from the cache
        found = load(folder, on_corrupt="skip")
        assert found.files == ("birds/0.png", "cats/1.png", "dogs/0.png", "dogs/2.png")
        assert found.labels.tolist() == [0, 1, 2, 2]


def test_a_class_without_a_readable_image_is_no_class(folder, load):
    (folder / "birds" / "0.png").write_bytes(b"")
    found = load(folder, on_corrupt="skip")
    assert found.classes == ("cats", "dogs")
    assert found.labels.tolist() == [0, 0, 1, 1, 1]
    for name in NAMES[:2]:
        (folder / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"all usable images in .* are of the class dogs"):
        load(folder, on_corrupt="skip")


def test_a_zip_has_the_classes_of_its_folder(folder, load, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in NAMES:
            file.write(folder / name, Path("top/set") / name)
    from_zip, from_folder = load(archive), load(folder)
    assert from_zip.classes == from_folder.classes
    assert torch.equal(from_zip.labels, from_folder.labels)
    assert from_zip.fingerprint == from_folder.fingerprint


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["a.png", "b.png"], ["", ""]),
        (["set/a.png", "set/b.png"], ["", ""]),
        (["x/a.png", "y/b.png"], ["x", "y"]),
        (["set/x/a.png", "set/y/b.png"], ["x", "y"]),
        (["set/x/a.png", "set/b.png"], ["x", ""]),
        (["cats/red/a.png", "cats/b.png", "dogs/c.png"], ["cats/red", "cats", "dogs"]),
        (["sets/a.png", "set/b.png"], ["sets", "set"]),
    ],
)
def test_the_folder_that_holds_the_image(names, classes):
    assert class_folders(names) == classes


def test_images_beside_the_folders(folder, load):
    fill(folder, ["alone.png"])
    with pytest.raises(DataError, match=r"1 of 7 images .* lie in no class folder \(alone\.png\).*birds, cats, dogs"):
        load(folder)
    assert len(load(folder, labels="none").files) == 7


def test_one_folder_is_no_choice(tmp_path, load):
    for root in (fill(tmp_path / "flat", ["0.png", "1.png"]), fill(tmp_path / "one", ["cats/0.png", "cats/1.png"])):
        with pytest.raises(DataError, match=r"needs at least 2 class folders, and all images .* lie in one folder"):
            load(root)


def test_sample_sets_have_no_classes(load):
    with pytest.raises(DataError, match="sample:hubble is a sample set and has no class folders"):
        load("sample:hubble")


def test_inspect_sees_the_same_classes(folder, tmp_path):
    found = inspect(folder, resolution=8)
    assert found.class_folders == {"birds": 1, "cats": 2, "dogs": 3}
    assert found.has_classes
    fill(folder, ["alone.png"])
    assert not inspect(folder, resolution=8).has_classes
    flat = inspect(fill(tmp_path / "one", ["cats/0.png", "cats/1.png"]), resolution=8)
    assert (flat.class_folders, flat.has_classes) == ({}, False)


def test_real_photographs(shared_data, load):
    pets = load(shared_data / "oxford_pets_256")
    assert pets.classes == ("cats", "dogs")
    assert torch.bincount(pets.labels).tolist() == [120, 250]
    assert all(name.startswith(pets.classes[label]) for name, label in zip(pets.files, pets.labels))
