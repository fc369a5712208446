"""The same store behind fsspec: in memory, and on moto's S3 server (a mock of S3, not S3 itself)."""

import secrets

import pytest

from ganray.errors import StoreError
from ganray.store.query import query
from ganray.store.store import Store


@pytest.fixture(scope="module")
def s3_endpoint():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3_uri(s3_endpoint, monkeypatch):
    import botocore.session
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    botocore.session.get_session().create_client("s3").create_bucket(Bucket="results")
    # fsspec keeps file systems by their arguments, not by the environment.
    s3fs.S3FileSystem.clear_instance_cache()
    yield "s3://results/store"
    s3fs.S3FileSystem.clear_instance_cache()


def round_trip(uri, trial, evaluation, curve, at):
    store = Store(uri)
    assert store.trials().num_rows == 0
    store.check_writable()
    store.put_trial(trial(status="running"))
    assert store.trials()["status"].to_pylist() == ["running"]
    other = Store(uri)  # a second writer, whose rows the first must see
    other.put_trial(trial(status="completed", updated_at=at(9)))
    other.put_evaluation(evaluation())
    other.put_curves([curve(), curve(kimg=2.0)])
    assert store.trials()["status"].to_pylist() == ["completed"]
    assert store.curves()["kimg"].to_pylist() == [1.0, 2.0]
    assert store.experiments() == ["demo"]
    artifact = store.put_artifact("demo", "t1", "grid 1.png", b"picture")
    assert artifact == f"{uri}/artifacts/experiment=demo/t1/grid%201.png"
    assert other.read_artifact(artifact) == b"picture"
    assert Store("memory://elsewhere").read_artifact(artifact) == b"picture"
    with pytest.raises(StoreError, match="no artifact"):
        store.read_artifact(artifact + "x")
    assert query(store, "SELECT best FROM results").to_pylist() == [{"best": 100.0}]


def test_round_trip_in_memory(trial, evaluation, curve, at):
    round_trip(f"memory://{secrets.token_hex(4)}", trial, evaluation, curve, at)


def test_round_trip_on_s3(s3_uri, trial, evaluation, curve, at):
    round_trip(s3_uri, trial, evaluation, curve, at)


def test_a_torn_object_is_named(caplog, evaluation):
    import fsspec

    store = Store(f"memory://{secrets.token_hex(4)}")
    store.put_evaluation(evaluation())
    fsspec.filesystem("memory").pipe_file(f"{store.uri}/evaluations/experiment=demo/torn.parquet", b"PAR1")
    assert store.evaluations().num_rows == 1
    assert "torn.parquet is damaged" in caplog.text


@pytest.mark.parametrize("root", ["memory://art", "memory://artifacts", "memory://a/artifacts"])
def test_the_path_below_a_root_that_is_called_like_a_folder_in_it(root):
    files = Store(root).files
    path = "artifacts/experiment=demo/t1/grid.png"
    uri = files.write(path, b"picture")
    assert files.relative(uri) == path
    assert [files.relative(found) for found in files.files_in("artifacts/experiment=demo/t1")] == [path]
    assert [file.path for file in files.walk()] == [path]


def test_a_missing_bucket_is_named_with_the_fix(s3_uri):
    with pytest.raises(StoreError, match=r"cannot write s3://absent/store.*check that the bucket exists"):
        Store("s3://absent/store").check_writable()


def test_an_unreachable_network_is_an_error_and_not_an_empty_store(s3_uri, evaluation, monkeypatch):
    store = Store(s3_uri)
    for kimg in range(3):
        store.put_evaluation(evaluation(kimg=float(kimg)))
    files = store.files
    listed = files.files_in("evaluations/experiment=demo")
    monkeypatch.setattr(files, "folders_in", lambda folder: ["experiment=demo"])
    monkeypatch.setattr(files, "files_in", lambda folder: listed)

    def refuse(*args, **kwargs):
        raise OSError("network is unreachable")

    for name in ("info", "open", "cat_file", "_cat_file", "_info"):
        monkeypatch.setattr(files._remote._fs, name, refuse)
    with pytest.raises(StoreError, match=r"cannot read .*network is unreachable"):
        store.evaluations()
