"""Stores of other versions: one that version 1 really wrote, and what a later one will write."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganray.errors import StoreError
from ganray.store.compact import compact
from ganray.store.query import query
from ganray.store.schema import SCHEMA_VERSION, TABLES, EvaluationRow, TrialRow
from ganray.store.store import Store
from ganray.store.verify import verify

FROZEN = Path(__file__).parent / "frozen" / "v1"
NEW = {
    "trials": {"definition_hash"},
    "evaluations": {"precision", "recall", "density", "coverage", "memorised", "device_s", "pairs_uri"},
    "curves": set(),
}
"""Columns that came with version 2."""


@pytest.fixture
def frozen(tmp_path):
    """A copy of the store that GANRay wrote at schema version 1."""
    shutil.copytree(FROZEN, tmp_path / "v1")
    return Store(tmp_path / "v1")


def test_a_store_of_version_1_reads_whole_with_nulls_where_it_has_nothing(frozen):
    assert frozen.trials().num_rows == 4
    assert frozen.evaluations().num_rows == 8
    assert frozen.curves().num_rows == 80
    for table in TABLES:
        rows = getattr(frozen, table)()
        assert rows.schema.names == TABLES[table].names
        assert {name for name in rows.schema.names if rows[name].null_count == rows.num_rows} >= NEW[table]
    best = query(frozen, "SELECT trial_id, best FROM results ORDER BY best LIMIT 1").to_pylist()
    # What the sweep printed in its last table: 108b50e0 leads with 258.0.
    assert best == [{"trial_id": "108b50e0e9f7", "best": pytest.approx(258.01, abs=0.005)}]
    assert frozen.read_artifact(frozen.evaluations(trial_id="108b50e0e9f7")["grid_uri"][0].as_py())[1:4] == b"PNG"


def test_rows_of_version_1_become_rows_of_today(frozen):
    assert [TrialRow(**row).status for row in frozen.trials().to_pylist()] == ["completed"] * 4
    assert all(EvaluationRow(**row).memorised is None for row in frozen.evaluations().to_pylist())


def test_compacting_a_store_of_version_1_changes_nothing_that_is_read(frozen):
    before = {table: getattr(frozen, table)().to_pylist() for table in TABLES}
    list(compact(frozen))
    assert {table: getattr(frozen, table)().to_pylist() for table in TABLES} == before
    assert pq.read_schema(next(Path(frozen.uri).rglob("compacted-*"))).metadata[b"ganray.schema_version"] == b"2"


def test_verify_finds_version_1_whole_but_for_the_pictures_that_were_not_kept(frozen, monkeypatch):
    # The machine that wrote it may be this one, with the pictures still where the rows say.
    monkeypatch.setattr("ganray.store.verify._is_local_file", lambda uri: False)
    pictures = [finding for finding in verify(frozen).findings if "checkpoint" not in finding.what]
    assert [finding.what.split(":")[:2] for finding in pictures] == [["grid_uri", " 6 pictures are not there"]]


def test_the_first_write_of_today_marks_the_store(frozen, evaluation):
    assert not Path(frozen.uri, "ganray-store.json").exists()
    frozen.put_evaluation(evaluation("108b50e0e9f7", "frozen", kimg=0.4, memorised=0.5))
    marker = json.loads(Path(frozen.uri, "ganray-store.json").read_text())
    assert marker == {"format": "ganray-store", "schema_version": SCHEMA_VERSION, "readable_from": 1}


def write_later(store, **marker):
    """The marker and one evaluation as a version to come might write them."""
    content = {"format": "ganray-store", "schema_version": SCHEMA_VERSION + 1, "readable_from": 1, **marker}
    Path(store.uri, "ganray-store.json").write_text(json.dumps(content))
    path = next(Path(store.uri, "evaluations").rglob("*.parquet"))
    rows = pq.read_table(path, partitioning=None).append_column("brilliance", pa.array([0.5]))
    rows = rows.set_column(rows.schema.get_field_index("kimg"), "kimg", pa.array([99.0]))
    metadata = {"ganray.table": "evaluations", "ganray.schema_version": str(SCHEMA_VERSION + 1)}
    pq.write_table(rows.replace_schema_metadata(metadata), path.with_name(f"later-{0:020d}.parquet"))


def test_a_later_version_that_only_added_columns_is_read_with_a_warning(frozen, caplog):
    write_later(frozen)
    read = Store(frozen.uri).evaluations()
    assert 99.0 in read["kimg"].to_pylist()
    assert read.schema.names == TABLES["evaluations"].names
    assert f"schema version {SCHEMA_VERSION + 1}, this one has {SCHEMA_VERSION}" in caplog.text
    findings = [finding.what for finding in verify(frozen).findings]
    assert any(f"has schema version {SCHEMA_VERSION + 1}, newer" in what for what in findings)


def test_a_later_version_that_broke_with_this_one_is_refused(frozen, evaluation):
    write_later(frozen, readable_from=SCHEMA_VERSION + 1)
    later = Store(frozen.uri)
    for call in (later.trials, later.experiments, later.require, lambda: query(later, "FROM trials")):
        with pytest.raises(StoreError, match=r"has schema version 3; this GANRay reads versions up to 2: upgrade it"):
            call()
    before = sorted(Path(frozen.uri).rglob("*"))
    with pytest.raises(StoreError, match="upgrade it"):
        later.put_evaluation(evaluation())
    assert sorted(Path(frozen.uri).rglob("*")) == before


def test_a_damaged_marker_is_named(frozen):
    Path(frozen.uri, "ganray-store.json").write_text("{")
    with pytest.raises(StoreError, match=r"ganray-store\.json is damaged, or of another program"):
        Store(frozen.uri).trials()


def test_a_folder_that_is_no_store_is_said_to_be_none(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(StoreError, match=r"is not a store of GANRay: it holds photo\.jpg"):
        Store(tmp_path).require()
    with pytest.raises(StoreError, match="there is no store at"):
        Store(tmp_path / "nothing").require()
