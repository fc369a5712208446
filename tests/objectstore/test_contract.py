"""The store's contract on a real S3 server: nothing lost, nothing torn, newest row per key."""

import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ganray.errors import StoreError
from ganray.store.query import query
from ganray.store.schema import TABLES
from ganray.store.store import Store
from tests.objectstore.conftest import keys_in, s3_client
from tests.store.test_remote import round_trip

ROOT = Path(__file__).parents[2]


def test_round_trip(uri, trial, evaluation, curve, at):
    round_trip(uri, trial, evaluation, curve, at)


def test_rows_come_back_as_they_were(uri, trial, evaluation, curve):
    rows = {
        "trials": trial(skipped_files=("ä/ö.png",), kimg=4.0, diagnosis="line\nbreak"),
        "evaluations": evaluation(kid=-0.001, grid_uri="s3://x/y z.png"),
        "curves": curve(loss_d=0.5, grad_norm_g=float("inf"), memory_bytes=2**40),
    }
    store = Store(uri)
    store.put_trial(rows["trials"])
    store.put_evaluation(rows["evaluations"])
    store.put_curves([rows["curves"]])
    for table, row in rows.items():
        (read,) = getattr(store, table)().to_pylist()
        assert read == row.to_dict()


def test_an_empty_bucket_is_an_empty_store(uri):
    store = Store(uri)
    for table, schema in TABLES.items():
        assert getattr(store, table)().num_rows == 0
        assert getattr(store, table)().schema.names == schema.names
    assert store.experiments() == []


def test_the_root_of_a_bucket_is_a_store_too(bucket, trial):
    Store(f"s3://{bucket}").put_trial(trial())
    Store(f"s3://{bucket}/").put_trial(trial("t2"))
    assert Store(f"s3://{bucket}").trials()["trial_id"].to_pylist() == ["t1", "t2"]
    assert {key.partition("/")[0] for key in keys_in(bucket)} == {"trials", "ganray-store.json"}


def test_the_newest_row_of_a_key_wins_whatever_the_order_of_writing(uri, trial, evaluation, at):
    store = Store(uri)
    store.put_trial(trial(status="completed", updated_at=at(20)))
    store.put_trial(trial(status="running", updated_at=at(10)))
    store.put_evaluation(evaluation(frechet=50.0, created_at=at(5)))
    store.put_evaluation(evaluation(frechet=60.0, created_at=at(1)))
    store.put_evaluation(evaluation(frechet=3.0, kimg=8.0))
    store.put_evaluation(evaluation(frechet=2.0, kimg=8.0))
    assert store.trials()["status"].to_pylist() == ["completed"]
    assert store.evaluations()["frechet"].to_pylist() == [50.0, 2.0]


def test_check_writable_leaves_nothing_behind(uri, bucket):
    Store(uri).check_writable()
    assert keys_in(bucket) == []


def test_a_store_travels_to_another_process(uri, trial):
    Store(uri).put_trial(trial())
    read = "import pickle, sys; print(pickle.load(sys.stdin.buffer).trials()['trial_id'].to_pylist())"
    done = subprocess.run([sys.executable, "-c", read], input=pickle.dumps(Store(uri)), capture_output=True, cwd=ROOT)
    assert done.stdout == b"['t1']\n", done.stderr


@pytest.mark.parametrize(
    "name",
    ["a b", "../../etc", "..", "ä/ö", "x=y", "50%", "%2F", "a+b", "a&b?c#d", "experiment=a", "*[x]{y}", ".hidden"],
)
def test_odd_names_stay_inside_and_come_back(uri, bucket, trial, evaluation, name):
    store = Store(uri)
    store.put_trial(trial(name, name))
    store.put_evaluation(evaluation(name, name))
    artifact = store.put_artifact(name, name, name, b"x")
    assert store.experiments() == [name]
    assert store.trials(name).select(["experiment", "trial_id"]).to_pylist() == [{"experiment": name, "trial_id": name}]
    assert store.evaluations()["experiment"].to_pylist() == [name]
    assert store.read_artifact(artifact) == b"x"
    assert all(key.startswith("deep/store/") for key in keys_in(bucket))
    assert len(keys_in(bucket)) == 4  # the store's marker is the fourth


def test_artifacts_are_replaced_and_large_ones_go_up_in_parts(uri):
    store = Store(uri)
    large = os.urandom(12 * 2**20)
    first = store.put_artifact("demo", "t1", "checkpoint.pt", b"small")
    assert store.put_artifact("demo", "t1", "checkpoint.pt", large) == first
    assert store.read_artifact(first) == large
    with pytest.raises(StoreError, match="no artifact at"):
        store.read_artifact(f"{first}x")


def test_artifacts_are_found_after_the_store_was_copied_to_another_bucket(uri, bucket):
    artifact = Store(uri).put_artifact("demo", "t1", "grid.png", b"picture")
    client = s3_client()
    client.create_bucket(Bucket=f"{bucket}-copy")
    for key in keys_in(bucket):
        client.copy_object(Bucket=f"{bucket}-copy", Key=key, CopySource={"Bucket": bucket, "Key": key})
        client.delete_object(Bucket=bucket, Key=key)
    assert Store(uri.replace(bucket, f"{bucket}-copy")).read_artifact(artifact) == b"picture"


def put_all(bucket, keys, body):
    """Upload the same bytes under many keys."""
    client = s3_client()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=body), keys))


def test_more_objects_than_one_page_of_a_listing_holds(uri, bucket, evaluation):
    """S3 lists 1000 keys a page."""
    store = Store(uri)
    store.put_evaluation(evaluation())
    (key,) = keys_in(bucket, "deep/store/evaluations/")
    body = s3_client().get_object(Bucket=bucket, Key=key)["Body"].read()
    put_all(bucket, [f"{key.rpartition('/')[0]}/copy-{number:04d}.parquet" for number in range(1005)], body)
    store.put_evaluation(evaluation("zzz"))
    assert len(store.files.files_in("evaluations/experiment=demo")) == 1007
    assert store.evaluations()["trial_id"].to_pylist() == ["t1", "zzz"]


def test_more_experiments_than_one_page_of_a_listing_holds(uri, bucket):
    put_all(bucket, [f"deep/store/trials/experiment=e{number:04d}/x.parquet" for number in range(1005)], b"")
    assert Store(uri).experiments() == [f"e{number:04d}" for number in range(1005)]


def test_sql_over_s3(uri, trial, evaluation, curve):
    store = Store(uri)
    store.put_trial(trial("a"))
    store.put_trial(trial("b", loss="lsgan"))
    for trial_id, value in (("a", 9.0), ("b", 7.0)):
        store.put_evaluation(evaluation(trial_id, frechet=value))
    store.put_curves([curve("a", kimg=k, loss_d=k) for k in (1.0, 2.0)])
    best = query(store, "SELECT loss, best FROM results ORDER BY best LIMIT 1").to_pylist()
    assert best == [{"loss": "lsgan", "best": 7.0}]
    assert query(store, "SELECT sum(loss_d) AS total FROM curves").to_pylist() == [{"total": 3.0}]


WRITERS = """
import sys
from ganray.store.schema import CurveRow, EvaluationRow
from ganray.store.store import Store

writer, store = int(sys.argv[2]), Store(sys.argv[1])
for i in range(12):
    store.put_evaluation(EvaluationRow(trial_id=f"t{writer % 2}", experiment="demo", kimg=100.0 * writer + i,
        protocol="p", extractor="e", extractor_checksum="c", n_fake=1, n_real=1, frechet=float(i)))
    store.put_curves([CurveRow(trial_id="same", experiment="demo", kimg=float(i), loss_d=float(writer))])
    store.put_artifact("demo", "same", "grid.png", bytes([writer]) * 50_000)
"""


def test_eight_writers_lose_and_tear_nothing(uri, bucket, caplog):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITERS, uri, str(n)], cwd=ROOT, start_new_session=True)
        for n in range(8)
    ]
    store, seen = Store(uri), []
    while any(writer.poll() is None for writer in writers):
        seen.append(store.evaluations().num_rows)  # a reader at work meanwhile sees whole objects only
        store.curves()
        time.sleep(0.2)
    assert [writer.returncode for writer in writers] == [0] * 8
    assert seen == sorted(seen)
    kimg = store.evaluations()["kimg"].to_pylist()
    assert sorted(kimg) == sorted(100.0 * n + i for n in range(8) for i in range(12))
    assert store.curves()["kimg"].to_pylist() == [float(i) for i in range(12)]
    tables = Counter(key.split("/")[2] for key in keys_in(bucket))
    assert tables == {"evaluations": 96, "curves": 96, "artifacts": 1, "ganray-store.json": 1}
    picture = store.read_artifact(f"{uri}/artifacts/experiment=demo/same/grid.png")
    assert picture in {bytes([n]) * 50_000 for n in range(8)}  # one writer's, whole
    assert not caplog.text


def test_a_torn_object_is_named_and_hides_nothing_else(uri, bucket, evaluation, caplog):
    store = Store(uri)
    for kimg in range(5):
        store.put_evaluation(evaluation(kimg=float(kimg)))
    keys = keys_in(bucket, "deep/store/evaluations/")
    s3_client().put_object(Bucket=bucket, Key=keys[2], Body=b"PAR1 and no more")
    assert store.evaluations()["kimg"].to_pylist() == [0.0, 1.0, 3.0, 4.0]
    assert f"{keys[2]} is damaged" in caplog.text
