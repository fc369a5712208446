"""What leaves the store is what is in it."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from ganray.errors import StoreError
from ganray.store.export import export_file, export_folder, rows_of
from ganray.store.stats import stats
from ganray.store.store import Store


@pytest.fixture
def store(tmp_path, trial, evaluation, curve):
    store = Store(tmp_path / "store")
    for experiment in ("demo", "it's"):
        store.put_trial(trial(f"a-{experiment}", experiment, tricks=("ema", "flips")))
        store.put_evaluation(evaluation(f"a-{experiment}", experiment))
        store.put_curves([curve(f"a-{experiment}", experiment, kimg=float(k)) for k in range(3)])
    store.put_artifact("demo", "a-demo", "grid.png", b"12345")
    return store


def test_one_parquet_of_a_view(store, tmp_path):
    rows = rows_of(store, "results", None)
    export_file(rows, "parquet", tmp_path / "out" / "r.parquet")
    assert pq.read_table(tmp_path / "out" / "r.parquet").to_pylist() == rows.to_pylist()
    assert rows_of(store, "curves", ["it's"]).num_rows == 3


def test_csv_joins_lists(store, tmp_path):
    export_file(rows_of(store, "trials", ["demo"]), "csv", tmp_path / "t.csv")
    (row,) = csv.DictReader((tmp_path / "t.csv").open())
    assert row["tricks"] == "ema,flips"
    assert row["created_at"] == "2026-11-01T12:00:00+00:00"


def test_a_folder_as_the_hub_reads_it(store, tmp_path):
    counts = export_folder(store, tmp_path / "hub", None)
    assert counts == {"trials": 2, "evaluations": 2, "curves": 6, "results": 2}
    front = yaml.safe_load((tmp_path / "hub" / "README.md").read_text().split("---")[1])
    for config in front["configs"]:
        (pattern,) = [files["path"] for files in config["data_files"]]
        (shard,) = (tmp_path / "hub").glob(pattern)
        assert pq.read_metadata(shard).num_rows == counts[config["config_name"]]
    with pytest.raises(StoreError, match="holds something already"):
        export_folder(store, tmp_path / "hub", None)


def test_a_place_that_cannot_be_written_leaves_nothing(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another place"):
        export_file(rows_of(store, "trials", None), "csv", tmp_path / "file" / "t.csv")
    with pytest.raises(StoreError, match=r"no view 'x'; there are trials"):
        rows_of(store, "x", None)
    with pytest.raises(StoreError, match="no experiment x in the store"):
        rows_of(store, "trials", ["x"])


def test_stats_count_files_rows_and_bytes(store):
    parts = {(part.experiment, part.table): part for part in stats(store)}
    assert parts["demo", "artifacts"].size_bytes == 5
    curves = parts["it's", "curves"]
    assert (curves.files, curves.rows, curves.compacted) == (1, 3, 0)
    assert curves.size_bytes == sum(p.stat().st_size for p in Path(store.uri, "curves/experiment=it%27s").iterdir())
