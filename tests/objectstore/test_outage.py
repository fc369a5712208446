"""The S3 server goes away in the middle of writing and comes back: what was written meanwhile is brought there."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ganray.errors import StoreError
from ganray.store import remote, spool
from ganray.store.spool import spooled
from ganray.store.store import Store
from tests.cli.conftest import ganray
from tests.objectstore.conftest import keys_in

__all__ = ["ganray"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def impatient(monkeypatch):
    """The same course of things in seconds instead of minutes."""
    monkeypatch.setattr(remote, "RETRY_S", 0.2)
    monkeypatch.setattr(remote, "_WRITE_S", 2.0)
    monkeypatch.setattr(spool, "PAUSE_S", 0.5)


@pytest.fixture
def outage(s3):
    """The server, which runs again after the test whatever the test did to it."""
    yield s3
    s3.kill_gateway()
    s3.start_gateway()


def wait_until_tried_again(store):
    while store.files.is_down:
        time.sleep(0.1)


def test_rows_written_while_the_server_is_dead_come_with_the_next_write(
    uri, bucket, outage, impatient, evaluation, caplog
):
    store = Store(uri)
    for kimg in range(30):
        if kimg == 10:
            outage.kill_gateway()
        if kimg == 20:
            outage.start_gateway()
            wait_until_tried_again(store)
        store.put_evaluation(evaluation(kimg=float(kimg)))
        store.put_artifact("demo", "t1", f"grid-{kimg}.png", b"%d" % kimg)
    assert "It waits in" in caplog.text
    assert "is back: " in caplog.text
    assert not store.files.spool.waiting()
    other = Store(uri)
    assert other.evaluations()["kimg"].to_pylist() == [float(kimg) for kimg in range(30)]
    assert len(keys_in(bucket, "deep/store/evaluations/")) == 30
    for kimg in range(30):
        assert other.read_artifact(f"{uri}/artifacts/experiment=demo/t1/grid-{kimg}.png") == b"%d" % kimg


def test_a_server_that_hangs_holds_nobody_up_for_ever_and_is_drained_by_command(
    uri, bucket, outage, impatient, evaluation, ganray
):
    store = Store(uri)
    store.put_evaluation(evaluation(kimg=0.0))
    outage.freeze_gateway()
    for kimg in (1.0, 2.0, 3.0):
        store.put_evaluation(evaluation(kimg=kimg))
    large = os.urandom(8 * 2**20)  # more than the sockets' buffers take
    artifact = store.put_artifact("demo", "t1", "grid.png", large)
    assert len(store.files.spool.waiting()) == 4
    assert store.files.spool.get("artifacts/experiment=demo/t1/grid.png") == large
    outage.thaw_gateway()
    code, said, _ = ganray("store", "drain")
    assert code == 0
    assert f"4 files brought to {uri}" in said
    assert Store(uri).evaluations()["kimg"].to_pylist() == [0.0, 1.0, 2.0, 3.0]
    assert Store(uri).read_artifact(artifact) == large
    assert len(keys_in(bucket, "deep/store/evaluations/")) == 4
    assert "nothing waits" in ganray("store", "drain")[1]


def test_a_dead_server_is_an_error_for_readers_and_not_an_empty_store(uri, outage, impatient, trial, ganray):
    Store(uri).put_trial(trial())
    outage.kill_gateway()
    with pytest.raises(StoreError, match=r"cannot read .*check the network and the endpoint \(AWS_ENDPOINT_URL\)"):
        Store(uri).trials()
    with pytest.raises(StoreError, match=r"cannot write .*check the network and the endpoint"):
        Store(uri).check_writable()
    code, _, said = ganray("query", "SELECT * FROM trials", "--store", uri)
    assert code == 2
    assert "Could not connect to the endpoint URL" in said
    assert "Traceback" not in said


def test_a_drain_without_a_server_keeps_everything(uri, outage, impatient, trial, ganray):
    store = Store(uri)
    outage.kill_gateway()
    store.put_trial(trial())
    code, _, said = ganray("store", "drain", uri)
    assert code == 2
    assert "cannot write" in said
    outage.start_gateway()
    assert ganray("store", "drain", uri)[0] == 0
    assert Store(uri).trials()["trial_id"].to_pylist() == ["t1"]


WRITERS = """
import sys, time
from ganray.store import remote, spool
from ganray.store.schema import EvaluationRow
from ganray.store.store import Store

remote.RETRY_S, spool.PAUSE_S = 0.5, 0.5
writer, store = int(sys.argv[2]), Store(sys.argv[1])
print("ready", flush=True)
for i in range(40):
    store.put_evaluation(EvaluationRow(trial_id=f"t{writer}", experiment="demo", kimg=float(i),
        protocol="p", extractor="e", extractor_checksum="c", n_fake=1, n_real=1, frechet=float(i)))
    time.sleep(0.1)
"""


def test_four_writers_lose_and_double_nothing_when_the_server_is_killed_twice(uri, bucket, outage):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITERS, uri, str(n)], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
        )
        for n in range(4)
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for _ in range(2):
        time.sleep(0.7)
        outage.kill_gateway()
        time.sleep(1.5)
        outage.start_gateway()
    assert [writer.wait() for writer in writers] == [0] * 4
    for writer in writers:
        writer.stdout.close()
    list(spooled(uri).drain())
    rows = Store(uri).evaluations().select(["trial_id", "kimg"]).to_pylist()
    assert rows == [{"trial_id": f"t{n}", "kimg": float(i)} for n in range(4) for i in range(40)]
    assert len(keys_in(bucket, "deep/store/evaluations/")) == 160


def test_an_artifact_is_whole_whenever_the_server_dies(uri, outage, impatient):
    """The server is killed again and again in the middle of uploads of several megabytes."""
    store = Store(uri)
    versions = [bytes([n]) * (8 * 2**20) for n in range(6)]
    name = store.put_artifact("demo", "t1", "grid.png", versions[0])
    for version in versions[1:]:
        killer = threading.Timer(0.02 + 0.02 * version[0], outage.kill_gateway)
        killer.start()
        store.put_artifact("demo", "t1", "grid.png", version)
        killer.join()
        outage.start_gateway()
        assert Store(uri).read_artifact(name) in versions[: version[0] + 1]
        wait_until_tried_again(store)
    list(store.files.drain())
    assert Store(uri).read_artifact(name) == versions[-1]
