"""SQL over the store: DuckDB sees the newest rows as views, and nothing else of this machine."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from ganray.errors import StoreError
from ganray.store.schema import TABLES
from ganray.store.store import Store

VIEWS = {
    "trials": "one row per trial",
    "evaluations": "one row per trial, kimg and protocol",
    "curves": "one row per trial and kimg",
    "results": "trials with their best and final evaluation, one row per trial and protocol",
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

_SETTINGS = ("TimeZone = 'UTC'", "python_enable_replacements = false", "lock_configuration = true")


def query(store: Store, sql: str) -> pa.Table:
    """The rows of one SQL query over the views `trials`, `evaluations`, `curves` and `results`.

    The SQL cannot read or write files or load extensions. StoreError carries DuckDB's message and the views.
    """
    connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    try:
        for name, table in _tables(store, sql).items():
            connection.register(name, table)
        connection.execute(_RESULTS)
        for setting in _SETTINGS:
            connection.execute(f"SET {setting}")
        relation = connection.sql(sql)
        if relation is None:
            raise StoreError(f"the SQL has no result; write a SELECT over {', '.join(VIEWS)}")
        rows: pa.Table = relation.to_arrow_table()
        return rows.rename_columns(_unique(rows.schema.names))
    except duckdb.Error as error:
        raise StoreError(f"{error}\n\nThe views are:\n{_describe()}") from error
    finally:
        connection.close()


def _tables(store: Store, sql: str) -> dict[str, pa.Table]:
    """Only what the text names is read (`curves` may be large); the rest is there with its columns, empty."""
    text = sql.lower()
    readers = {"trials": store.trials, "evaluations": store.evaluations, "curves": store.curves}
    named = {name for name in readers if name in text}
    if "results" in text:
        named |= {"trials", "evaluations"}
    return {name: read() if name in named else TABLES[name].empty_table() for name, read in readers.items()}


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
