"""A remote store that does not answer loses nothing and stops nobody: rows wait on the disk and are brought later."""

import secrets

import fsspec
import pytest

from ganray.errors import StoreError
from ganray.store import remote, spool
from ganray.store.spool import Spool, all_spools, spooled
from ganray.store.store import Store


@pytest.fixture(autouse=True)
def spools(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRAY_SPOOL_DIR", str(tmp_path / "spools"))
    monkeypatch.setattr(remote, "RETRY_S", 0.0)
    return tmp_path / "spools"


@pytest.fixture
def backend(monkeypatch):
    """A remote file system whose writes fail while `down` holds an error; counts the attempts."""

    class Backend:
        down = None
        attempts = 0

    state = Backend()
    memory = type(fsspec.filesystem("memory"))
    write = memory.pipe_file

    def pipe_file(self, *args, **kwargs):
        state.attempts += 1
        if state.down:
            raise state.down
        return write(self, *args, **kwargs)

    monkeypatch.setattr(memory, "pipe_file", pipe_file)
    return state


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(spool, "time", clock)
    return clock


@pytest.fixture
def store():
    return Store(f"memory://{secrets.token_hex(4)}")


def test_an_outage_loses_nothing_and_the_next_write_that_succeeds_brings_what_waits(
    store, backend, clock, evaluation, caplog
):
    store.put_evaluation(evaluation(kimg=1.0))
    backend.down = OSError("network is unreachable")
    for kimg in (2.0, 3.0, 4.0):
        store.put_evaluation(evaluation(kimg=kimg))
    uri = store.put_artifact("demo", "t1", "grid.png", b"picture")
    assert store.evaluations()["kimg"].to_pylist() == [1.0]
    assert store.read_artifact(uri) == b"picture"  # from the disk
    assert "network is unreachable" in caplog.text
    assert "ganray store drain" in caplog.text
    backend.down = None
    clock.now += 61
    store.put_evaluation(evaluation(kimg=5.0))
    assert store.evaluations()["kimg"].to_pylist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert store.read_artifact(uri) == b"picture"
    assert not all_spools()


def test_a_store_that_is_down_is_not_tried_at_every_row(store, backend, clock, evaluation):
    store.put_evaluation(evaluation(kimg=0.0))
    backend.down, backend.attempts = OSError("down"), 0
    for kimg in range(1, 11):
        store.put_evaluation(evaluation(kimg=float(kimg)))
    assert backend.attempts == 1
    clock.now += 61
    store.put_evaluation(evaluation(kimg=11.0))
    assert backend.attempts == 2


def test_a_store_that_hangs_is_asked_less_often_than_one_that_refuses(store, backend, clock, evaluation, monkeypatch):
    store.put_evaluation(evaluation(kimg=0.0))
    backend.down, backend.attempts = OSError("timed out"), 0
    write = store.files._remote.write

    def slow(*args, **kwargs):
        clock.now += 30
        return write(*args, **kwargs)

    monkeypatch.setattr(store.files._remote, "write", slow)
    store.put_evaluation(evaluation(kimg=1.0))
    clock.now += 299
    store.put_evaluation(evaluation(kimg=2.0))
    assert backend.attempts == 1
    clock.now += 2
    store.put_evaluation(evaluation(kimg=3.0))
    assert backend.attempts == 2


@pytest.mark.parametrize("error", [PermissionError("ExpiredToken"), FileNotFoundError("NoSuchBucket")])
def test_a_token_that_expires_in_mid_training_loses_nothing_either(store, backend, evaluation, error):
    store.put_evaluation(evaluation(kimg=1.0))
    backend.down = error
    store.put_evaluation(evaluation(kimg=2.0))
    (waiting,) = all_spools()
    assert [file.path.split("/")[0] for file in waiting.waiting()] == ["evaluations"]
    with pytest.raises(StoreError, match="cannot write"):
        store.check_writable()  # what is asked before a sweep starts is answered as it is
    backend.down = None
    list(spooled(waiting.uri).drain())
    assert store.evaluations()["kimg"].to_pylist() == [1.0, 2.0]


def test_a_drain_that_is_cut_off_goes_on_where_it_was(store, backend, evaluation):
    backend.down = OSError("down")
    for kimg in range(5):
        store.put_evaluation(evaluation(kimg=float(kimg)))
    backend.down = None
    drain = spooled(store.uri).drain()
    next(drain), next(drain)
    backend.down = OSError("down again")
    with pytest.raises(StoreError, match="down again"):
        list(drain)
    assert len(Spool(store.uri).waiting()) == 3
    backend.down = None
    list(spooled(store.uri).drain())
    assert store.evaluations()["kimg"].to_pylist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert not all_spools()


def test_a_file_that_was_brought_but_not_yet_removed_is_brought_again_without_harm(store, backend, evaluation):
    backend.down = OSError("down")
    store.put_evaluation(evaluation(kimg=1.0))
    (file,) = Spool(store.uri).waiting()
    content = Spool(store.uri).get(file.path)
    backend.down = None
    list(spooled(store.uri).drain())
    Spool(store.uri).put(file.path, content)
    list(spooled(store.uri).drain())
    assert store.evaluations()["kimg"].to_pylist() == [1.0]
    assert len(store.files.walk("evaluations")) == 1


def test_what_waits_never_replaces_what_was_written_after_it(store, backend, clock):
    backend.down = OSError("down")
    store.put_artifact("demo", "t1", "grid.png", b"old")
    backend.down = None
    clock.now += 61
    uri = store.put_artifact("demo", "t1", "grid.png", b"new")
    list(spooled(store.uri).drain())
    assert store.read_artifact(uri) == b"new"
    assert not all_spools()


def test_what_comes_to_wait_while_its_forerunner_is_brought_stays(store, backend, clock, monkeypatch):
    backend.down = OSError("down")
    uri = store.put_artifact("demo", "t1", "grid.png", b"old")
    backend.down = None
    drained = spooled(store.uri)
    write = drained._remote.write

    def overtaken(path, data):
        monkeypatch.setattr(drained._remote, "write", write)
        Spool(store.uri).put(path, b"new")
        return write(path, data)

    monkeypatch.setattr(drained._remote, "write", overtaken)
    list(drained.drain())
    list(drained.drain())
    assert store.read_artifact(uri) == b"new"
    assert not all_spools()


@pytest.mark.parametrize("error", [PermissionError("denied"), NotImplementedError("no flock here")])
def test_a_spool_that_cannot_be_locked_stops_no_trial(store, backend, clock, evaluation, monkeypatch, caplog, error):
    backend.down = OSError("down")
    store.put_evaluation(evaluation(kimg=1.0))
    backend.down = None
    clock.now += 61

    def refuse(self):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(spool.FileLock, "_acquire", refuse)
        store.put_evaluation(evaluation(kimg=2.0))
        assert "is not empty yet" in caplog.text
        with pytest.raises(StoreError, match="cannot lock"):
            list(spooled(store.uri).drain())
    list(spooled(store.uri).drain())
    assert store.evaluations()["kimg"].to_pylist() == [1.0, 2.0]


def test_two_drains_at_once_do_not_meet(store, backend, evaluation):
    backend.down = OSError("down")
    for kimg in range(3):
        store.put_evaluation(evaluation(kimg=float(kimg)))
    backend.down = None
    first = spooled(store.uri).drain()
    next(first)
    assert list(spooled(store.uri).drain()) == []  # left to the first
    list(first)
    assert store.evaluations().num_rows == 3


def test_a_disk_that_cannot_take_it_either_is_an_error(store, backend, evaluation, spools):
    spools.write_text("a file where the folder should be")
    backend.down = OSError("down")
    with pytest.raises(StoreError, match="part of that path is a file"):
        store.put_evaluation(evaluation())


def test_a_damaged_spool_is_named_and_hides_no_other(store, backend, evaluation, spools, caplog):
    backend.down = OSError("down")
    store.put_evaluation(evaluation())
    (spools / "0123").mkdir()
    (spools / "0123" / "store.json").write_text("{")
    assert [waiting.uri for waiting in all_spools()] == [store.uri]
    assert "0123/store.json is damaged" in caplog.text


def test_a_local_store_has_no_spool(tmp_path):
    with pytest.raises(StoreError, match="is a folder of this machine"):
        spooled(str(tmp_path))


@pytest.mark.parametrize(
    "uri", ["s3://key:secret@bucket/x", "https://u:p@host/x", "https://host/x?X-Amz-Signature=abc", "sftp://me@host/x"]
)
def test_credentials_in_a_uri_are_refused_without_being_repeated(uri):
    with pytest.raises(StoreError, match="holds credentials") as caught:
        Store(uri)
    assert "secret" not in str(caught.value)
    assert "abc" not in str(caught.value)


class Throttled(Exception):
    """As botocore's: no OSError."""


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(16, "SlowDown"), True),
        (OSError(121, "InternalError"), True),
        (ConnectionResetError("reset by peer"), True),
        (TimeoutError("read timed out"), True),
        (Throttled("EndpointConnectionError"), True),
        (PermissionError("AccessDenied"), False),
        (FileNotFoundError("NoSuchBucket"), False),
        (OSError(22, "InvalidBucketName"), False),
        (ValueError("not a URI"), False),
        (type("NoCredentialsError", (Exception,), {})("Unable to locate credentials"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error, again):
    calls = 0

    def call():
        nonlocal calls
        calls += 1
        if calls < 3:
            raise error
        return "done"

    if again:
        assert remote.retried(call, patience_s=20.0) == "done"
        assert calls == 3
    else:
        with pytest.raises(type(error)):
            remote.retried(call, patience_s=20.0)
        assert calls == 1
