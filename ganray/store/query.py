"""SQL over the store: DuckDB sees the newest rows as views, and nothing else of this machine."""

from __future__ import annotations

from collections.abc import Mapping

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

_RESULTS = """
CREATE VIEW results AS
SELECT trials.*, protocol, extractor, evaluations,
       b.frechet AS best, b.kimg AS best_kimg, b.kid AS best_kid, b.kid_stderr AS best_kid_stderr,
       b.grid_uri AS best_grid_uri,
       f.frechet AS final, f.kimg AS final_kimg, f.kid AS final_kid, f.kid_stderr AS final_kid_stderr,
       f.grid_uri AS final_grid_uri
FROM trials LEFT JOIN (
    SELECT trial_id, protocol, any_value(extractor) AS extractor, count(*) AS evaluations,
           arg_min(e, frechet ORDER BY kimg) AS b, arg_max(e, kimg) AS f
    FROM evaluations AS e WHERE isfinite(frechet) GROUP BY trial_id, protocol
) USING (trial_id)
"""
"""Whole rows are taken, so that the metrics beside a distance are of the same checkpoint. Evaluations without
a finite distance do not count."""

_OF_THE_SQL = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
_SETTINGS = ("TimeZone = 'UTC'", "python_enable_replacements = false", "lock_configuration = true")


def query(store: Store, sql: str) -> pa.Table:
    """The rows of one SQL query over the views `trials`, `evaluations`, `curves`, `results` and `published`.

    Of the rows in compacted files only the columns that the query asks for are read. The SQL cannot read or write
    files or load extensions. StoreError carries DuckDB's message and the views.
    """
    return store.reader.consistently(lambda: _query(store, sql))


def _query(store: Store, sql: str) -> pa.Table:
    connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    snapshots = _snapshots(store, sql)
    try:
        _create_views(connection, snapshots)
        relation = connection.sql(sql)
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
