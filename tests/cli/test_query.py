"""`ganray query` as a user types it."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ganray.cli.query import command
from ganray.errors import StoreError
from ganray.store.schema import CurveRow
from ganray.store.store import Store


@pytest.fixture
def store(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    store.put_curves([CurveRow(trial_id="t", experiment="demo", kimg=float(k), loss_d=k / 2) for k in range(3)])
    monkeypatch.setenv("GANRAY_STORE", store.uri)
    return store


def run(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_a_table_is_the_default(store):
    result = run("SELECT kimg, loss_d FROM curves ORDER BY kimg")
    assert result.exit_code == 0
    assert [line.split() for line in result.output.splitlines()[2:]] == [["0", "0"], ["1", "0.5"], ["2", "1"]]


def test_csv_and_json(store):
    sql = "SELECT kimg, loss_d FROM curves ORDER BY kimg"
    assert list(csv.reader(io.StringIO(run(sql, "--format", "csv").output)))[1] == ["0.0", "0.0"]
    assert json.loads(run(sql, "--format", "json").output)[2] == {"kimg": 2.0, "loss_d": 1.0}


def test_a_file_gets_all_rows_in_its_format(store, tmp_path):
    result = run("FROM curves", "-o", tmp_path / "rows.parquet")
    assert result.stdout == ""
    assert "3 rows in" in result.stderr
    assert pq.read_table(tmp_path / "rows.parquet")["kimg"].to_pylist() == [0.0, 1.0, 2.0]


def test_the_option_wins_over_the_environment(store, tmp_path):
    result = run("SELECT count(*) AS n FROM curves", "--store", tmp_path / "other", "--format", "json")
    assert json.loads(result.stdout) == [{"n": 0}]
    assert "is empty" in run("FROM trials", "--store", tmp_path / "other").stderr


def test_wrong_sql_is_a_store_error(store):
    with pytest.raises(StoreError, match="The views are"):
        run("SELECT * FROM trails")


def test_help_has_examples():
    assert 'ganray query "SELECT loss' in run("--help").output
