"""What `ganray store` does, on a real S3 server: verify, compact, merge, export, prune."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ganray.store.compact import compact
from ganray.store.store import Store
from tests.cli.conftest import ganray
from tests.objectstore.conftest import keys_in, new_bucket, s3_client

__all__ = ["ganray"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def filled(uri, trial, evaluation, curve, at):
    """Two experiments, one of which has a name that S3 must be asked for in quotes; each row was written twice."""
    store = Store(uri)
    for experiment in ("demo", "ä b"):
        for number in range(3):
            store.put_trial(trial(f"t{number}", experiment, status="running"))
            store.put_trial(trial(f"t{number}", experiment, status="completed", updated_at=at(9)))
            grid = store.put_artifact(experiment, f"t{number}", "grid 1.png", b"picture")
            for kimg in (4.0, 8.0):
                store.put_evaluation(evaluation(f"t{number}", experiment, kimg=kimg, frechet=100 - kimg, grid_uri=grid))
            store.put_curves([curve(f"t{number}", experiment, kimg=float(k), loss_d=0.5) for k in range(5)])
    return store


def rows(store):
    tables = {name: getattr(store, name)().to_pylist() for name in ("trials", "evaluations", "curves")}
    return {
        name: sorted(found, key=lambda r: (r["experiment"], r["trial_id"], r["kimg"])) for name, found in tables.items()
    }


def parquet_keys(bucket):
    return [key for key in keys_in(bucket) if key.endswith(".parquet")]


def test_compaction_changes_files_and_no_row(filled, bucket, evaluation, ganray):
    before = rows(Store(filled.uri))
    assert len(parquet_keys(bucket)) == 2 * 3 * (2 + 2 + 1)
    assert ganray("store", "compact", "--store", filled.uri)[0] == 0
    assert len(parquet_keys(bucket)) == 6
    assert rows(Store(filled.uri)) == before
    filled.put_evaluation(evaluation("t1", "demo", kimg=8.0, frechet=1.0, created_at=before["trials"][0]["updated_at"]))
    (newest,) = (
        r["frechet"] for r in filled.evaluations("demo").to_pylist() if (r["trial_id"], r["kimg"]) == ("t1", 8)
    )
    assert newest == 1.0
    code, out, said = ganray("store", "compact", "--store", filled.uri, "--experiment", "demo")
    assert code == 0
    assert "2 files -> 1" in out + said
    assert filled.evaluations("demo").num_rows == 6


def test_verify_finds_the_torn_and_moves_it(filled, bucket, ganray):
    assert ganray("store", "verify", "--store", filled.uri)[0] == 0
    (torn, *_) = [key for key in parquet_keys(bucket) if "/evaluations/" in key]
    s3_client().put_object(Bucket=bucket, Key=torn, Body=b"PAR1")
    (gone, *_) = [key for key in keys_in(bucket) if key.endswith(".png")]
    s3_client().delete_object(Bucket=bucket, Key=gone)
    code, out, _ = ganray("store", "verify", "--quarantine", "--store", filled.uri)
    assert code == 1
    assert torn.removeprefix("deep/store/") in out
    assert "grid" in out
    assert torn.replace("deep/store/", "deep/store/quarantine/") in keys_in(bucket)
    assert torn not in keys_in(bucket)
    assert filled.evaluations().num_rows == 11


def test_stats_count_what_is_there(filled, ganray):
    code, out, _ = ganray("store", "stats", "--store", filled.uri)
    assert code == 0
    for word in ("demo", "ä b", "trials", "evaluations", "curves"):
        assert word in out


@pytest.mark.parametrize("direction", ["to another bucket", "to a folder", "from a folder"])
def test_merge_takes_everything_over_and_twice_changes_nothing(filled, tmp_path, ganray, direction):
    here, there = filled.uri, f"s3://{new_bucket()}/copy"
    if direction == "to a folder":
        there = str(tmp_path / "copy")
    if direction == "from a folder":
        assert ganray("store", "merge", here, "--store", str(tmp_path / "copy"))[0] == 0
        here = str(tmp_path / "copy")
    before = rows(Store(here))
    for _ in range(2):
        assert ganray("store", "merge", here, "--store", there)[0] == 0
        other = Store(there)
        assert {name: len(found) for name, found in rows(other).items()} == {n: len(f) for n, f in before.items()}
        assert [r["frechet"] for r in rows(other)["evaluations"]] == [r["frechet"] for r in before["evaluations"]]
        for row in rows(other)["evaluations"]:
            assert other.read_artifact(row["grid_uri"]) == b"picture"


def test_export(filled, tmp_path, ganray):
    assert ganray("store", "export", "-o", tmp_path / "all.parquet", "--store", filled.uri)[0] == 0
    assert pq.read_table(tmp_path / "all.parquet").num_rows == 6
    assert ganray("store", "export", "-o", tmp_path / "c.csv", "--view", "curves", "--store", filled.uri)[0] == 0
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 1 + 30
    assert ganray("store", "export", "-o", tmp_path / "folder", "--store", filled.uri)[0] == 0
    assert list((tmp_path / "folder").rglob("*.parquet"))


def test_prune_lists_first_and_removes_when_told(uri, bucket, trial, evaluation, at, ganray):
    """Of three pictures, that of neither the best nor the last evaluation goes."""
    store = Store(uri)
    store.put_trial(trial(status="completed", updated_at=at(9)))
    for kimg, frechet in ((4.0, 50.0), (8.0, 90.0), (12.0, 70.0)):
        grid = store.put_artifact("demo", "t1", f"grid-{kimg:.0f}.png", b"picture")
        store.put_evaluation(evaluation(kimg=kimg, frechet=frechet, grid_uri=grid))

    def pictures():
        return [key.rpartition("/")[2] for key in keys_in(bucket) if key.endswith(".png")]

    code, out, said = ganray("store", "prune-artifacts", "--store", uri)
    assert (code, pictures()) == (0, ["grid-12.png", "grid-4.png", "grid-8.png"])
    assert "--apply removes them" in out + said
    assert ganray("store", "prune-artifacts", "--apply", "--store", uri)[0] == 0
    assert pictures() == ["grid-12.png", "grid-4.png"]
    left = Store(uri).evaluations().to_pylist()
    assert [row["frechet"] for row in left] == [50.0, 90.0, 70.0]
    assert [bool(row["grid_uri"]) for row in left] == [True, False, True]


WRITERS = """
import sys
from ganray.store.schema import EvaluationRow
from ganray.store.store import Store

writer, store = int(sys.argv[2]), Store(sys.argv[1])
print("ready", flush=True)
for i in range(25):
    store.put_evaluation(EvaluationRow(trial_id=f"t{writer}", experiment="demo", kimg=float(i),
        protocol="p", extractor="e", extractor_checksum="c", n_fake=1, n_real=1, frechet=float(i)))
"""


def test_compaction_beside_writers_and_readers_loses_nothing(uri, bucket, caplog):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITERS, uri, str(n)], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
        )
        for n in range(3)
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    store, seen, compactions = Store(uri), [], 0
    while any(writer.poll() is None for writer in writers) or not compactions:
        if store.experiments():
            compactions += len(list(compact(Store(uri))))
        seen.append(store.evaluations().num_rows)
        time.sleep(0.05)
    for writer in writers:
        writer.stdout.close()
    assert [writer.returncode for writer in writers] == [0] * 3
    assert seen == sorted(seen)
    list(compact(store))
    assert len(parquet_keys(bucket)) == 1
    found = store.evaluations().select(["trial_id", "kimg"]).to_pylist()
    assert found == [{"trial_id": f"t{n}", "kimg": float(i)} for n in range(3) for i in range(25)]
    assert not [r for r in caplog.records if r.name.startswith("ganray")]


KILLED = """
import os, sys
from ganray.store.compact import compact
from ganray.store.remote import RemoteFiles
from ganray.store.store import Store

left = int(sys.argv[2])
def dying(method):
    def call(*arguments):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return method(*arguments)
    return call
RemoteFiles.write, RemoteFiles.remove = dying(RemoteFiles.write), dying(RemoteFiles.remove)
list(compact(Store(sys.argv[1])))
"""


def test_a_compaction_that_is_killed_at_any_point_loses_and_doubles_nothing(uri, evaluation):
    store = Store(uri)
    for kimg in range(4):
        store.put_evaluation(evaluation(kimg=float(kimg)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    codes = []
    for calls in range(6):  # one write and four removals
        command = [sys.executable, "-c", KILLED, uri, str(calls)]
        codes.append(subprocess.run(command, cwd=ROOT, env=environment).returncode)
        assert Store(uri).evaluations()["kimg"].to_pylist() == [0.0, 1.0, 2.0, 3.0]
    assert codes[0] == 9
    assert codes[-1] == 0
