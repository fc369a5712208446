"""What is written is what is read: the newest row per key, from any number of writers."""

import json
import pickle
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganray.errors import StoreError
from ganray.store.schema import KEYS, SCHEMA_VERSION, TABLES, WRITTEN
from ganray.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def files(store, table):
    return sorted(Path(store.uri, table).rglob("*.parquet"))


def test_rows_come_back_as_they_were(store, trial, evaluation, curve):
    rows = {
        "trials": trial(git_commit="abc", skipped_files=("bad.png",), kimg=4.0, generator_params=123),
        "evaluations": evaluation(kid=-0.001, kid_stderr=0.002, seconds=3.5, grid_uri="/g.png"),
        "curves": curve(loss_d=0.5, grad_norm_g=float("inf"), memory_bytes=2**40),
    }
    store.put_trial(rows["trials"])
    store.put_evaluation(rows["evaluations"])
    store.put_curves([rows["curves"]])
    for table, row in rows.items():
        (read,) = getattr(store, table)().to_pylist()
        assert read == row.to_dict()
    assert json.loads(store.trials()["versions"][0].as_py()) == {"torch": "2.15.0"}


def test_a_row_covers_exactly_the_schema(trial, evaluation, curve):
    for table, row in (("trials", trial()), ("evaluations", evaluation()), ("curves", curve())):
        assert list(row.to_dict()) == TABLES[table].names


def test_files_state_the_version_and_describe_every_column(store, trial):
    store.put_trial(trial())
    (path,) = files(store, "trials")
    schema = pq.read_schema(path)
    assert schema.metadata[b"ganray.schema_version"] == str(SCHEMA_VERSION).encode()
    assert all(schema.field(name).metadata[b"description"] for name in schema.names)
    assert path.parent.name == "experiment=demo"
    assert path.name.startswith("t1-")


@pytest.mark.parametrize("table", list(TABLES))
def test_keys_and_times_are_required_and_nothing_that_comes_later_is(table):
    required = {f.name for f in TABLES[table] if not f.nullable}
    assert required == {*KEYS[table], "experiment", "created_at", WRITTEN[table]}


def test_an_empty_store_has_the_columns(store):
    for table, schema in TABLES.items():
        read = getattr(store, table)()
        assert read.num_rows == 0
        assert read.schema.names == schema.names
    assert store.experiments() == []


def test_the_newest_row_of_a_key_wins_whatever_the_order_of_writing(store, trial, evaluation, at):
    store.put_trial(trial(status="completed", kimg=8.0, updated_at=at(20)))
    store.put_trial(trial(status="running", kimg=4.0, updated_at=at(10)))
    store.put_evaluation(evaluation(frechet=50.0, created_at=at(5)))
    store.put_evaluation(evaluation(frechet=60.0, created_at=at(1)))
    store.put_evaluation(evaluation(frechet=40.0, kimg=8.0, created_at=at(1)))
    store.put_evaluation(evaluation(frechet=30.0, protocol="other", created_at=at(1)))
    assert store.trials().select(["status", "kimg"]).to_pylist() == [{"status": "completed", "kimg": 8.0}]
    read = {(r["kimg"], r["protocol"]): r["frechet"] for r in store.evaluations().to_pylist()}
    assert read == {(4.0, "fd_lite0_1k_train"): 50.0, (8.0, "fd_lite0_1k_train"): 40.0, (4.0, "other"): 30.0}


def test_of_rows_of_the_same_time_the_one_written_last_wins(store, evaluation):
    for value in (3.0, 2.0, 1.0):
        store.put_evaluation(evaluation(frechet=value))
    assert store.evaluations()["frechet"].to_pylist() == [1.0]


def test_a_repeated_write_is_harmless(store, curve):
    for _ in range(3):
        store.put_curves([curve(kimg=k) for k in (1.0, 2.0)])
    assert store.curves()["kimg"].to_pylist() == [1.0, 2.0]


def test_curves_of_several_trials_land_with_their_trial(store, curve):
    store.put_curves([curve("a"), curve("b"), curve("a", kimg=2.0), curve("a", experiment="other")])
    assert len(files(store, "curves")) == 3
    assert store.curves("demo").num_rows == 3
    store.put_curves([])
    assert len(files(store, "curves")) == 3


def test_an_experiment_sees_its_own_rows_only(store, trial):
    store.put_trial(trial("a", "one"))
    store.put_trial(trial("b", "two"))
    assert store.trials("one")["trial_id"].to_pylist() == ["a"]
    assert store.trials()["trial_id"].to_pylist() == ["a", "b"]
    assert store.trials("three").num_rows == 0
    assert store.experiments() == ["one", "two"]


@pytest.mark.parametrize("name", ["a b", "../../etc", "..", "ä/ö", "x=y", "50%", "experiment=a", "a\0b", ".hidden"])
def test_odd_names_stay_inside_and_come_back(store, trial, name):
    store.put_trial(trial("t", name))
    uri = store.put_artifact(name, "t", "grid.png", b"x")
    assert store.experiments() == [name]
    assert store.trials(name)["experiment"].to_pylist() == [name]
    assert Path(store.uri) in Path(uri).resolve().parents
    assert store.read_artifact(uri) == b"x"


@pytest.mark.parametrize("name", ["", "n" * 300])
def test_names_that_no_disk_can_hold_are_refused(store, trial, name):
    with pytest.raises(StoreError, match="cannot store the name"):
        store.put_trial(trial("t", name))


@pytest.mark.parametrize(
    "uri",
    ["s3://", "memory://", "memory:///", "ftp://host.invalid/x", "hdfs://host.invalid/x", "github://host/x", "no://x"],
)
def test_a_uri_that_leads_nowhere_is_one_error(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=uri):
        Store(uri)


def test_nobodys_home_is_no_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="there is no store at"):
        Store("~nobody-of-that-name/x").require()


@pytest.mark.parametrize("content", [{"schema_version": "2"}, {"readable_from": None}, {"schema_version": [2]}])
def test_a_marker_that_somebody_edited_is_named(store, trial, content):
    store.put_trial(trial())
    store.files.write("ganray-store.json", json.dumps({"format": "ganray-store", **content}).encode())
    with pytest.raises(StoreError, match=r"ganray-store\.json is damaged"):
        Store(store.uri).trials()


def test_a_time_without_a_zone_is_refused(trial):
    with pytest.raises(ValueError, match="no time zone"):
        trial(updated_at=datetime(2026, 11, 1))


def test_a_newer_file_and_an_older_file_are_read_together(store, evaluation):
    store.put_evaluation(evaluation(kimg=1.0))
    (path,) = files(store, "evaluations")
    table = pq.read_table(path, partitioning=None)
    kimg = table.schema.get_field_index("kimg")

    def write(name, rows, number):
        rows = rows.set_column(kimg, "kimg", pa.array([number]))
        pq.write_table(rows, path.with_name(name))

    write("newer-1.parquet", table.append_column("precision", pa.array([0.7])), 2.0)
    write("older-1.parquet", table.drop_columns(["kid_stderr", "grid_uri"]), 3.0)
    read = store.evaluations()
    assert read["kimg"].to_pylist() == [1.0, 2.0, 3.0]
    assert read["kid_stderr"].to_pylist() == [None] * 3
    assert read.schema.names == TABLES["evaluations"].names


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "pages"])
def test_a_torn_file_is_named_once_and_hides_nothing_else(store, evaluation, caplog, damage):
    for kimg in range(7):
        store.put_evaluation(evaluation(kimg=float(kimg)))
    path = files(store, "evaluations")[3]
    data = bytearray(path.read_bytes())
    if damage == "pages":
        data[4:200] = bytes(196)
    path.write_bytes({"truncated": data[:-20], "empty": b"", "garbage": b"PAR1" * 50, "pages": data}[damage])
    assert store.evaluations()["kimg"].to_pylist() == [0.0, 1.0, 2.0, 4.0, 5.0, 6.0]
    assert store.evaluations().num_rows == 6
    (message,) = (record.getMessage() for record in caplog.records)
    assert f"{path} is damaged" in message


def test_temporary_and_foreign_files_are_left_alone(store, trial):
    store.put_trial(trial())
    (path,) = files(store, "trials")
    path.with_name(".0123.tmp").write_bytes(b"half a file")
    path.with_name("notes.txt").write_text("hello")
    path.parent.with_name("lost+found").mkdir()
    assert store.trials().num_rows == 1


WRITERS = """
import os, sys
from ganray.store.schema import CurveRow, EvaluationRow
from ganray.store.store import Store

def write(writer):
    store = Store(sys.argv[1])
    for i in range(15):
        store.put_evaluation(EvaluationRow(trial_id=f"t{writer % 2}", experiment="demo", kimg=100.0 * writer + i,
            protocol="p", extractor="e", extractor_checksum="c", n_fake=1, n_real=1, frechet=float(i)))
        store.put_curves([CurveRow(trial_id="same", experiment="demo", kimg=float(i), loss_d=float(writer))])

children = []  # forked, so that the imports are paid once
for n in range(9):
    child = os.fork()
    if not child:
        write(n)
        os._exit(0)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children))
"""


def test_many_writers_lose_and_tear_nothing(store, caplog):
    writers = subprocess.Popen(
        [sys.executable, "-c", WRITERS, store.uri], cwd=Path(__file__).parents[2], start_new_session=True
    )
    while writers.poll() is None:
        store.evaluations()  # a reader at work meanwhile sees whole files only
        store.curves()
        time.sleep(0.2)
    assert writers.returncode == 0
    read = store.evaluations()
    assert sorted(read["kimg"].to_pylist()) == sorted(100.0 * n + i for n in range(9) for i in range(15))
    assert store.curves()["kimg"].to_pylist() == [float(i) for i in range(15)]
    assert len(files(store, "curves")) == 9 * 15
    assert not caplog.text
    assert not list(Path(store.uri).rglob("*.tmp"))


def test_a_store_travels_to_another_process(store, trial):
    store.put_trial(trial())
    assert pickle.loads(pickle.dumps(store)).trials().num_rows == 1


def test_artifacts_are_replaced_and_found_after_a_move(store, tmp_path):
    uri = store.put_artifact("demo", "t1", "grid.png", b"one")
    assert store.put_artifact("demo", "t1", "grid.png", b"two") == uri
    assert Path(uri) == tmp_path / "store/artifacts/experiment=demo/t1/grid.png"
    Path(store.uri).rename(tmp_path / "moved")
    moved = Store(tmp_path / "moved")
    assert moved.read_artifact(uri) == b"two"
    with pytest.raises(StoreError, match="no artifact at"):
        moved.read_artifact(uri + "x")
    with pytest.raises(StoreError, match=r"no artifact at /nowhere/a\.png"):
        moved.read_artifact("/nowhere/a.png")


def test_a_row_can_name_nothing_but_artifacts(store, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    inside = store.put_artifact("demo", "t1", "grid.png", b"one")
    for uri in (f"{tmp_path}/secret.txt", f"{Path(inside).parent}/../../../../secret.txt"):
        with pytest.raises(StoreError, match="no artifact at"):
            store.read_artifact(uri)


def test_a_relative_path_does_not_follow_the_working_directory(tmp_path, monkeypatch, trial):
    monkeypatch.chdir(tmp_path)
    store = Store("runs/store")
    monkeypatch.chdir("/")
    store.put_trial(trial())
    assert (tmp_path / "runs/store/trials").is_dir()
