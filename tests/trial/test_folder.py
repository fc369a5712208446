"""Runs at a URI: files sent and fetched whole or not at all, faults named, no secret told."""

import secrets

import fsspec
import pytest

from ganray.errors import StoreError
from ganray.store.location import store_uri
from ganray.trial.folder import Runs


@pytest.fixture
def runs():
    return Runs.at(f"memory://{secrets.token_hex(4)}/runs/")


def write(runs, relative, text):
    path = runs.folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_folder_is_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("runs", tmp_path / "runs", f"file://{tmp_path}/runs"):
        runs = Runs.at(place)
        assert (runs.folder, runs.is_remote) == (tmp_path / "runs", False)
        assert runs.place("a/b.pt") == str(tmp_path / "runs/a/b.pt")


def test_each_uri_has_a_scratch_folder_of_its_own_in_the_cache(runs, private_cache):
    assert runs.folder.parent == private_cache / "runs"
    assert runs.folder == Runs.at(runs.uri).folder != Runs.at(runs.uri + "2").folder
    assert runs.place("a/b.pt") == f"{runs.uri}/a/b.pt"
    assert not runs.uri.endswith("/")


def test_there_and_back(runs, tmp_path):
    write(runs, "demo/x.txt", "one")
    assert not runs.exists("demo/x.txt")
    assert not runs.fetch("demo/x.txt", tmp_path / "new" / "x.txt")
    runs.send("demo/x.txt")
    assert runs.exists("demo/x.txt")
    assert runs.fetch("demo/x.txt", tmp_path / "new" / "x.txt")
    assert (tmp_path / "new" / "x.txt").read_text() == "one"
    write(runs, "demo/x.txt", "two")
    runs.send("demo/x.txt")
    assert runs.fetch("demo/x.txt", tmp_path / "new" / "x.txt")
    assert [p.read_text() for p in (tmp_path / "new").iterdir()] == ["two"]
    assert [name.rsplit("/", 1)[-1] for name in fsspec.filesystem("memory").ls(f"{runs.uri}/demo", False)] == ["x.txt"]
    runs.remove("demo")
    assert not runs.exists("demo/x.txt")
    runs.remove("demo")


def test_a_passing_fault_is_met_by_trying_again_and_a_lasting_one_is_named(runs, monkeypatch, tmp_path):
    write(runs, "demo/x.txt", "one")
    fs = fsspec.filesystem("memory")
    original, faults = type(fs).put_file, []

    def fail_twice(self, *arguments, **options):
        faults.append(len(faults))
        if len(faults) <= 2:
            raise ConnectionResetError("reset by peer")
        return original(self, *arguments, **options)

    monkeypatch.setattr(type(fs), "put_file", fail_twice)
    runs.send("demo/x.txt")
    assert len(faults) == 3
    faults.clear()
    with pytest.raises(StoreError, match=rf"cannot write {runs.uri}/demo/x.txt: ConnectionResetError: reset by peer"):
        runs.send("demo/x.txt", patience_s=0.0)
    assert len(faults) == 1


def test_half_a_download_is_no_file(runs, monkeypatch, tmp_path):
    write(runs, "demo/x.txt", "one")
    runs.send("demo/x.txt")

    def tear(self, source, target, **options):
        with open(target, "wb") as half:
            half.write(b"o")
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", tear)
    target = tmp_path / "there" / "x.txt"
    with pytest.raises(StoreError, match="cannot read"):
        runs.fetch("demo/x.txt", target, patience_s=0.0)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("uri", ["s3://AKIA:hush@bucket/runs", "https://host/runs?X-Amz-Signature=hush"])
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri):
    with pytest.raises(StoreError) as caught:
        Runs.at(uri)
    assert "holds credentials" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_store_lies_beside_the_runs(monkeypatch):
    monkeypatch.delenv("GANRAY_STORE", raising=False)
    assert store_uri(None, "s3://bucket/runs/") == "s3://bucket/runs/store"
    assert store_uri(None, "/data/runs") == "/data/runs/store"
    assert store_uri("here", "s3://bucket/runs") == "here"
