"""SQL over the views; the values of `results` are worked out by hand."""

import pytest

from ganray.errors import StoreError
from ganray.store.query import VIEWS, query
from ganray.store.schema import TABLES
from ganray.store.store import Store


@pytest.fixture
def store(tmp_path, trial, evaluation, curve, at):
    store = Store(tmp_path)
    store.put_trial(trial("a", status="running"))
    store.put_trial(trial("a", status="completed", updated_at=at(1)))
    store.put_trial(trial("b", status="failed"))
    for kimg, value, kid, grid in (
        (4.0, 90.0, 0.9, "g4"),
        (8.0, 70.0, None, None),
        (12.0, 70.0, 0.7, "g12"),
        (16.0, 80.0, None, "g16"),
        (20.0, float("nan"), 0.1, "g20"),
    ):
        store.put_evaluation(evaluation("a", kimg=kimg, frechet=value, kid=kid, grid_uri=grid))
    store.put_evaluation(evaluation("a", kimg=4.0, frechet=300.0, protocol="fid_5k_train"))
    store.put_curves([curve("a", kimg=float(k), loss_d=float(k)) for k in range(5)])
    return store


def test_views_hold_the_newest_rows(store):
    assert query(store, "SELECT trial_id, status FROM trials ORDER BY 1").to_pylist() == [
        {"trial_id": "a", "status": "completed"},
        {"trial_id": "b", "status": "failed"},
    ]
    assert query(store, "SELECT sum(loss_d) AS s FROM CURVES").to_pylist() == [{"s": 10.0}]


def test_results_take_whole_rows_and_the_earliest_best(store):
    rows = query(store, "FROM results ORDER BY trial_id, protocol").to_pylist()
    lite, fid, failed = rows
    assert (lite["best"], lite["best_kimg"], lite["best_kid"], lite["best_grid_uri"]) == (70.0, 8.0, None, None)
    assert (lite["final"], lite["final_kimg"], lite["final_kid"]) == (80.0, 16.0, None)
    assert (lite["final_grid_uri"], lite["evaluations"]) == ("g16", 4)
    assert (fid["protocol"], fid["best"], fid["evaluations"]) == ("fid_5k_train", 300.0, 1)
    assert (failed["trial_id"], failed["status"], failed["best"]) == ("b", "failed", None)


def test_an_empty_store_has_every_view_with_its_columns(tmp_path):
    empty = Store(tmp_path / "nothing")
    for view in VIEWS:
        read = query(empty, f"SELECT * FROM {view}")
        if view == "published":  # what papers say is there before anything is trained
            assert "source_url" in read.schema.names
            continue
        assert read.num_rows == 0
        assert set(TABLES.get(view, TABLES["trials"]).names) <= set(read.schema.names)
    assert query(empty, "SELECT count(*) AS n FROM results").to_pylist() == [{"n": 0}]


def test_columns_of_the_same_name_are_told_apart(store):
    assert query(store, "SELECT 1 AS n, 2 AS n, 3 AS n_2, 4 AS n").to_pylist() == [
        {"n": 1, "n_3": 2, "n_2": 3, "n_4": 4}
    ]


def test_json_and_lists_can_be_asked(store):
    sql = "SELECT recipe_json->>'$.objective.loss.name' AS loss FROM trials WHERE list_contains(tricks, 'ema')"
    assert query(store, sql)["loss"].to_pylist() == ["hinge", "hinge"]


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT * FROM nothing", "SELECT nothing FROM trials", ""])
def test_wrong_sql_is_answered_with_the_views(store, sql):
    with pytest.raises(StoreError) as caught:
        query(store, sql)
    assert all(view in str(caught.value) for view in VIEWS)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY trials TO '{}/out.csv'",
        "SELECT * FROM read_text('/etc/hostname')",
        "ATTACH '{}/new.db'",
        "SET enable_external_access = true",
        "SELECT * FROM store",
    ],
)
def test_sql_touches_nothing_but_the_views(store, tmp_path, sql):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError):
        query(store, sql.format(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_any_engine_reads_the_files_without_us(store):
    import duckdb

    rows = duckdb.sql(
        f"SELECT experiment, count(*) FROM read_parquet('{store.uri}/evaluations/*/*.parquet', hive_partitioning=true) "
        "GROUP BY 1"
    ).fetchall()
    assert rows == [("demo", 6)]
