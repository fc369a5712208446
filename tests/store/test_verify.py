"""Whatever is wrong in a store is found and named; nothing is deleted."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganray.store.store import Store
from ganray.store.verify import quarantine, verify


@pytest.fixture
def store(tmp_path, trial, evaluation, curve):
    store = Store(tmp_path / "store")
    store.put_trial(trial("a"))
    for kimg in (4.0, 8.0):
        uri = store.put_artifact("demo", "a", f"grid-{kimg:.0f}.png", b"picture")
        store.put_evaluation(evaluation("a", kimg=kimg, grid_uri=uri))
    store.put_curves([curve("a")])
    return store


def whats(store):
    return [f"{finding.place}: {finding.what}" for finding in verify(store).findings]


def a_file(store, table="evaluations"):
    return sorted(Path(store.uri, table).rglob("*.parquet"))[0]


def change(path, edit):
    pq.write_table(edit(pq.read_table(path, partitioning=None)), path)


def test_a_whole_store_has_no_findings(store):
    verdict = verify(store)
    assert verdict.findings == ()
    assert (verdict.files, verdict.rows) == (4, 4)


def test_a_torn_file_is_found_and_moved_whole_to_the_quarantine(store):
    path = a_file(store)
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    verdict = verify(store)
    (finding,) = verdict.findings
    assert finding.place == path.relative_to(store.uri).as_posix()
    assert "cannot be read" in finding.what
    assert quarantine(store, verdict.findings) == [f"quarantine/{finding.place}"]
    assert Path(store.uri, "quarantine", finding.place).read_bytes() == torn
    assert not path.exists()
    assert whats(store) == []
    assert quarantine(store, verdict.findings) == []  # once more: nothing is left to move


def test_wrong_columns_and_missing_keys_are_named(store):
    change(a_file(store), lambda rows: rows.drop_columns(["protocol"]))
    assert any("lacks the column protocol" in what for what in whats(store))
    change(a_file(store, "trials"), lambda rows: rows.set_column(0, "trial_id", pa.array([None], pa.string())))
    assert any("column trial_id has 1 nulls" in what for what in whats(store))
    number = a_file(store, "curves")
    change(number, lambda rows: rows.set_column(2, "kimg", pa.array(["four"])))
    assert any("column kimg is string, not double" in what for what in whats(store))


def test_rows_in_another_experiments_folder_are_named(store):
    path = a_file(store, "trials")
    target = path.parents[1] / "experiment=other" / path.name
    target.parent.mkdir()
    path.rename(target)
    assert any("lies with 'other' and holds rows of demo" in what for what in whats(store))


def test_references_that_lead_nowhere_are_named(store, evaluation, trial):
    Path(store.uri, "artifacts/experiment=demo/a/grid-8.png").unlink()
    store.put_evaluation(evaluation("ghost"))
    store.put_trial(trial("b", checkpoint_uri="/nowhere/checkpoint.pt"))
    found = whats(store)
    assert any("rows of 1 trials that are not in trials: ghost" in what for what in found)
    assert any("grid_uri: 1 pictures are not there" in what and "grid-8.png" in what for what in found)
    assert any("checkpoint_uri: 1 are not on this machine" in what for what in found)
    assert len(found) == 3


def test_a_store_that_was_moved_still_finds_its_pictures(store, tmp_path):
    Path(store.uri).rename(tmp_path / "moved")
    assert whats(Store(tmp_path / "moved")) == []
