"""A file behind a URI: fetched once, and again where it has changed."""

import secrets

import fsspec
import pytest

from ganray.data.fetched import fetched
from ganray.errors import WeightsError


@pytest.fixture
def uri():
    return f"memory://{secrets.token_hex(4)}/deep/checkpoint.pt"


def test_a_path_is_itself(tmp_path):
    assert fetched(tmp_path / "x.pt") == tmp_path / "x.pt"
    assert fetched(f"file://{tmp_path}/x.pt") == tmp_path / "x.pt"


def test_it_is_downloaded_once_and_again_where_it_has_changed(uri, private_cache, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe_file(uri, b"one")
    first = fetched(uri)
    assert (first.read_bytes(), first.name) == (b"one", "checkpoint.pt")
    assert private_cache in first.parents
    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "get_file", lambda *_, **__: pytest.fail("it was downloaded again"))
        assert fetched(uri) == first
    memory.pipe_file(uri, b"two!")
    assert fetched(uri).read_bytes() == b"two!"


def test_what_is_not_there_or_cannot_be_reached_is_named(uri, monkeypatch):
    with pytest.raises(WeightsError, match=f"{uri}: no such file"):
        fetched(uri)
    memory = fsspec.filesystem("memory")
    memory.pipe_file(uri, b"one")

    def tear(self, source, target, **options):
        with open(target, "wb") as half:
            half.write(b"o")
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(type(memory), "get_file", tear)
    with pytest.raises(WeightsError, match="cannot be fetched: ConnectionResetError: reset by peer"):
        fetched(uri)
    monkeypatch.undo()
    assert fetched(uri).read_bytes() == b"one"


def test_credentials_in_a_uri_are_refused_and_not_repeated():
    with pytest.raises(WeightsError) as caught:
        fetched("s3://AKIA:hush@bucket/x.pt")
    assert "holds credentials" in str(caught.value)
    assert "hush" not in str(caught.value)
