"""A disk that is full, read-only or not there: a StoreError with the path, the reason and the fix."""

import os
import subprocess
from pathlib import Path

import pytest

from ganray.errors import StoreError
from ganray.store.store import Store


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 64 KiB; only root may mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("NOT TESTED: disk full needs root and the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def leftovers(folder):
    return [p for p in Path(folder).rglob("*") if p.is_file() and p.suffix == ".tmp"]


def test_a_full_disk_is_named_and_keeps_no_partial_file(small_disk, evaluation):
    store = Store(small_disk / "store")
    written = 0

    def fill():
        nonlocal written
        for kimg in range(100):
            store.put_evaluation(evaluation(kimg=float(kimg)))
            written += 1

    with pytest.raises(StoreError, match=r"No space left on device; free some space") as caught:
        fill()
    assert str(small_disk) in str(caught.value)
    assert written > 0
    assert store.evaluations().num_rows == written  # what was written before is whole
    assert not leftovers(small_disk)


def test_an_artifact_that_does_not_fit_leaves_the_old_one(small_disk):
    store = Store(small_disk / "store")
    uri = store.put_artifact("demo", "t", "grid.png", b"old")
    with pytest.raises(StoreError, match="No space left on device"):
        store.put_artifact("demo", "t", "grid.png", bytes(200_000))
    assert store.read_artifact(uri) == b"old"
    assert not leftovers(small_disk)


def test_a_read_only_disk_is_named(small_disk, trial):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = Store(small_disk / "store")
    with pytest.raises(StoreError, match=r"Read-only file system; that disk is mounted read-only"):
        store.check_writable()
    with pytest.raises(StoreError, match=f"cannot write {store.uri}/"):
        store.put_trial(trial())


def test_a_file_in_the_way_is_named(tmp_path, trial):
    (tmp_path / "store").write_text("I am a file")
    store = Store(tmp_path / "store")
    with pytest.raises(StoreError, match=r"part of that path is a file.*--store URI or GANRAY_STORE"):
        store.check_writable()
    with pytest.raises(StoreError, match="cannot write"):
        store.put_trial(trial())
    with pytest.raises(StoreError, match=r"cannot read .*Not a directory"):
        store.trials()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied; give this user the permission"):
        Store(tmp_path / "store").check_writable()


def test_a_writable_store_is_left_as_it_was(tmp_path):
    Store(tmp_path / "new" / "store").check_writable()
    assert not list((tmp_path / "new" / "store").iterdir())


def test_a_uri_that_means_nothing_is_named():
    with pytest.raises(StoreError, match="cannot open the store nonsense://x"):
        Store("nonsense://x")
