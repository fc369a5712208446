"""SQL over the store: DuckDB sees the newest rows as views, and nothing else of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import duckdb
import pyarrow as pa

from ganray.errors import StoreError
from ganray.store.published import published
from ganray.store.read import Snapshot, Vanished
from ganray.store.schema import TABLES
from ganray.store.store import Store

VIEWS = {
    "trials": "one row per trial",
    "evaluations": "one row per trial, kimg and protocol",
    "curves": "one row per trial and kimg",
    "results": "trials with their best and final evaluation, one row per trial and protocol",
    "published": "numbers of papers, one row each, with source and status",
}

_OF_BEST = ("kimg", "kid", "kid_stderr", "precision", "recall", "density", "coverage", "memorised", "device_s",
            "grid_uri", "pairs_uri")  # fmt: skip
"""Columns of `results` that tell of the evaluation with the smallest distance, as `best_NAME`, and of the last one,
as `final_NAME`. They are of the same row, null or not, which a struct sees to: arg_min leaves nulls out."""

_BEST = ", ".join(
    f"arg_min({{'v': {name}}}, {{'f': frechet, 'k': kimg}}).v AS best_{name}, "
    f"arg_max({{'v': {name}}}, kimg).v AS final_{name}"
    for name in _OF_BEST
)
_RESULTS = f"""
CREATE VIEW results AS
SELECT trials.*, scores.* EXCLUDE (trial_id)
FROM trials LEFT JOIN (
    SELECT trial_id, protocol, any_value(extractor) AS extractor, count(*) AS evaluations,
           min(frechet) AS best, arg_max(frechet, kimg) AS final, {_BEST}
    FROM evaluations WHERE isfinite(frechet) GROUP BY trial_id, protocol
) AS scores USING (trial_id)
"""
"""Evaluations without a finite distance do not count; of equal distances the earliest does."""

_OF_THE_SQL = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
_SETTINGS = ("TimeZone = 'UTC'", "python_enable_replacements = false", "lock_configuration = true")


def query(store: Store, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
    """The rows of one SQL query over the views `trials`, `evaluations`, `curves`, `results` and `published`.

    `parameters` stand for the question marks in it. Of the rows in compacted files only the columns that the query
    asks for are read. The SQL cannot read or write files or load extensions. StoreError carries DuckDB's message and
    the views.
    """
    return store.reader.consistently(lambda: _query(store, sql, parameters))


@cache
def columns_of(view: str) -> list[str]:
    """The names of a view's columns. No store is read."""
    with duckdb.connect(":memory:") as connection:
        _create_views(connection, {})
        return list(connection.sql(f"FROM {view}").columns)


def _query(store: Store, sql: str, parameters: Sequence[object]) -> pa.Table:
    connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    snapshots = _snapshots(store, sql)
    try:
        _create_views(connection, snapshots)
        relation = connection.sql(sql, params=list(parameters) or None)
        if relation is None:
            raise StoreError(f"the SQL has no result; write a SELECT over {', '.join(VIEWS)}")
        rows: pa.Table = relation.to_arrow_table()
        return rows.rename_columns(_unique(rows.schema.names))
    except duckdb.Error as error:
        if not isinstance(error, _OF_THE_SQL) and store.reader.leave_out_damaged(*snapshots.values()):
            raise Vanished from error  # a compacted file turned out to be damaged: once more without it
        raise StoreError(f"{error}\n\nThe views are:\n{_describe()}") from error
    finally:
        connection.close()


def _snapshots(store: Store, sql: str) -> dict[str, Snapshot]:
    """Only what the text names is read (`curves` may be large)."""
    text = sql.lower()
    named = {name for name in TABLES if name in text}
    if "results" in text:
        named |= {"trials", "evaluations"}
    return {name: store.snapshot(name) for name in TABLES if name in named}


def _create_views(connection: duckdb.DuckDBPyConnection, snapshots: Mapping[str, Snapshot]) -> None:
    """What was not read is there all the same: with its columns, empty."""
    for name, schema in TABLES.items():
        snapshot = snapshots.get(name)
        columns = ", ".join(schema.names)
        connection.register(f"fresh_{name}", snapshot.fresh.select(schema.names) if snapshot else schema.empty_table())
        parts = [f"SELECT {columns} FROM fresh_{name}"]
        if snapshot and snapshot.settled:
            connection.register(f"settled_{name}", snapshot.settled)
            parts.append(f"SELECT {columns} FROM settled_{name}")
        connection.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(parts)}")
    connection.register("published", published())
    connection.execute(_RESULTS)
    for setting in _SETTINGS:
        connection.execute(f"SET {setting}")


def _unique(names: list[str]) -> list[str]:
    """SQL may name two columns alike; records and files cannot."""
    result: list[str] = []
    for name in names:
        others = [f"{name}_{n}" for n in range(2, len(names) + 2)]
        result.append(next(n for n in [name, *others] if n not in result and (n == name or n not in names)))
    return result


def _describe() -> str:
    lines = [f"  {name:<12} {text}" for name, text in VIEWS.items()]
    return "\n".join([*lines, "DESCRIBE trials lists the columns."])
