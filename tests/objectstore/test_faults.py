"""Throttling, server faults, resets and half transfers, injected between the store and moto's S3 (a mock of S3)."""

import pytest

from ganray.errors import StoreError
from ganray.store.store import Store
from tests.objectstore.conftest import keys_in, new_bucket, use_credentials
from tests.objectstore.proxy import FaultyProxy

WRITE_FAULTS = ["503", "500", "reset", "half upload", "lost answer", "delay"]
READ_FAULTS = ["503", "500", "reset", "half answer", "delay"]


@pytest.fixture(scope="module")
def moto():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def proxy(moto, clean_aws):
    proxy = FaultyProxy(moto)
    proxy.start()
    use_credentials(clean_aws, proxy.endpoint, "test", "PlantedSecretOfMoto")
    yield proxy
    proxy.stop()


@pytest.fixture
def bucket(proxy):
    return new_bucket()


@pytest.fixture
def store(bucket, evaluation):
    """A store with one row, so that its marker is there and its connection is open."""
    store = Store(f"s3://{bucket}/store")
    store.put_evaluation(evaluation(kimg=1.0))
    return store


def waiting(store):
    return store.files.spool.waiting()


def said(caplog):
    """What GANRay warned of."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("ganray")]


@pytest.mark.parametrize("kind", WRITE_FAULTS)
def test_a_passing_fault_of_a_write_is_overcome(proxy, store, bucket, evaluation, caplog, kind):
    fault = proxy.spoil(kind, "PUT", times=2)
    store.put_evaluation(evaluation(kimg=2.0))
    assert fault.met == (1 if kind == "delay" else 2)
    assert store.evaluations()["kimg"].to_pylist() == [1.0, 2.0]
    assert len(keys_in(bucket, "store/evaluations/")) == 2
    assert not waiting(store)
    assert not said(caplog)


@pytest.mark.parametrize("kind", ["503", "reset", "half upload"])
def test_a_passing_fault_of_an_upload_in_parts_is_overcome(proxy, store, kind):
    data = bytes(range(256)) * (12 * 2**12)
    fault = proxy.spoil(kind, "PUT", times=1, path="partNumber=2")
    uri = store.put_artifact("demo", "t1", "checkpoint.pt", data)
    assert fault.met == 1 or proxy.count("PUT", "partNumber") == 0
    assert store.read_artifact(uri) == data
    assert not waiting(store)


@pytest.mark.parametrize("kind", READ_FAULTS)
@pytest.mark.parametrize("path", ["list-type", ".parquet"])
def test_a_passing_fault_of_a_read_is_overcome(proxy, store, caplog, kind, path):
    fault = proxy.spoil(kind, "GET", times=2, path=path)
    assert store.evaluations()["kimg"].to_pylist() == [1.0]
    assert fault.met
    assert not said(caplog)


@pytest.mark.parametrize("kind", ["503", "500", "reset", "half answer"])
def test_a_whole_file_is_never_called_damaged_for_a_fault_that_outlasts_the_libraries_retries(
    proxy, store, evaluation, caplog, kind
):
    store.put_evaluation(evaluation(kimg=2.0))
    proxy.spoil(kind, "GET", times=15, path=".parquet")
    assert store.evaluations()["kimg"].to_pylist() == [1.0, 2.0]
    assert not said(caplog)


@pytest.mark.parametrize("kind", READ_FAULTS)
def test_a_passing_fault_of_an_artifact_is_overcome(proxy, store, kind):
    data = bytes(range(256)) * 1000
    uri = store.put_artifact("demo", "t1", "grid.png", data)
    fault = proxy.spoil(kind, "GET", times=2, path="grid.png")
    assert store.read_artifact(uri) == data
    assert fault.met


def test_a_fault_at_every_third_request_loses_and_doubles_nothing(proxy, store, evaluation, bucket):
    kinds = ["503", "reset", "500", "lost answer", "half upload"]
    for kimg in range(2, 12):
        proxy.spoil(kinds[kimg % len(kinds)], "PUT", times=1)
        store.put_evaluation(evaluation(kimg=float(kimg)))
    assert store.evaluations()["kimg"].to_pylist() == [float(kimg) for kimg in range(1, 12)]
    assert len(keys_in(bucket, "store/evaluations/")) == 11


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("403", "check the credentials"), ("expired", "a token may have expired"), ("no bucket", "the bucket exists")],
)
def test_a_lasting_fault_of_a_write_is_one_error_at_once(proxy, store, kind, remedy):
    fault = proxy.spoil(kind, "PUT", times=100)
    with pytest.raises(StoreError, match=remedy) as caught:
        store.check_writable()
    assert fault.met == 1
    assert "PlantedSecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "remedy"), [("403", "check the credentials"), ("expired", "a token may have expired")]
)
@pytest.mark.parametrize("path", ["list-type", ".parquet"])
def test_a_lasting_fault_of_a_read_is_one_error_and_not_an_empty_store(proxy, store, caplog, kind, remedy, path):
    for method in ("GET", "HEAD"):
        proxy.spoil(kind, method, times=1000, path=path)
    with pytest.raises(StoreError, match=remedy) as caught:
        store.evaluations()
    assert "PlantedSecret" not in str(caught.value)
    assert "damaged" not in caplog.text


def test_a_token_that_expires_while_a_trial_runs_loses_nothing(proxy, store, evaluation, caplog):
    """Rows wait on the disk with one warning, which says what to do, and go up once there is a new token."""
    fault = proxy.spoil("expired", "PUT", times=1000)
    for kimg in (2.0, 3.0, 4.0):
        store.put_evaluation(evaluation(kimg=kimg))
    assert len(waiting(store)) == 3
    (message,) = said(caplog)
    assert "a token may have expired" in message
    assert "ganray store drain" in message
    assert fault.met == 1
    fault.times = 0
    assert len(list(store.files.drain())) == 3
    assert Store(store.uri).evaluations()["kimg"].to_pylist() == [1.0, 2.0, 3.0, 4.0]
    assert not waiting(store)
