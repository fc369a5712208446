"""The rows of a query as a table for the terminal, CSV, JSON or parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from ganray.errors import StoreError
from ganray.report.cells import NOTHING, Row, natural_width, number, table

Format = Literal["table", "csv", "json", "parquet"]

ROW_LIMIT = 200
"""Rows that the terminal shows; files hold all of them."""
_CELL_LIMIT = 40


def format_of(asked: Format | str | None, output: Path | None) -> Format:
    """The format asked for, or else the one that the file's suffix names, or else a table.

    StoreError where parquet, which is binary, would go to the terminal.
    """
    suffix = output.suffix[1:] if output else ""
    chosen = asked or (suffix if suffix in get_args(Format) else "table")
    if chosen == "parquet" and output is None:
        raise StoreError("parquet is binary: name a file with -o FILE.parquet")
    return cast(Format, chosen)


def save(rows: pa.Table, form: Format, path: Path) -> None:
    """Write all rows to a file. StoreError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "parquet":
            pq.write_table(rows, path)
        else:
            path.write_text(to_text(rows, form), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}; choose another -o FILE") from error


def to_text(rows: pa.Table, form: Format, width: int = 100) -> str:
    """All rows as CSV or JSON, or else the first ones as a table; lists become comma-separated in CSV."""
    if form == "json":
        records = [{k: _finite(v) for k, v in row.items()} for row in rows.to_pylist()]
        return json.dumps(records, default=_plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(rows.schema.names)
        writer.writerows([_flat(v) for v in row] for row in _values(rows))
        return out.getvalue()
    console = Console(width=width, file=io.StringIO())
    print_table(rows, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def print_table(rows: pa.Table, console: Console) -> None:
    """One line per row where that fits the terminal, else one line per value, as psql's expanded display."""
    shown = rows.slice(0, ROW_LIMIT)
    numeric = [f.name for f in rows.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    cells: list[Row] = [{name: _cell(value) for name, value in zip(rows.schema.names, row)} for row in _values(shown)]
    wide = table(cells, numeric)
    if natural_width(wide) <= console.width:
        console.print(wide if cells else f"no rows; the columns are {', '.join(rows.schema.names)}")
    elif not cells:
        console.print(f"no rows; the columns are {', '.join(rows.schema.names)}")
    else:
        _print_expanded(shown, console)
    if rows.num_rows > ROW_LIMIT:
        console.print(f"… and {rows.num_rows - ROW_LIMIT} more rows; -o FILE.csv writes them all")


def _print_expanded(rows: pa.Table, console: Console) -> None:
    longest = max(len(name) for name in rows.schema.names)
    for index, row in enumerate(_values(rows), start=1):
        console.rule(f"row {index}", align="left", style="dim")
        for name, value in zip(rows.schema.names, row):
            text = f"{name:<{longest}}  {_cell(value, limit=max(20, console.width - longest - 3))}"
            console.print(text, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")


def _values(rows: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in rows.columns)))


def _cell(value: Any, limit: int = _CELL_LIMIT) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return number(value)
    text = value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(_flat(value))
    text = text.replace("\n", " ")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _flat(value: Any) -> Any:
    if isinstance(value, list):
        return ",".join(str(v) for v in value)
    return value.isoformat() if isinstance(value, datetime) else value


def _finite(value: Any) -> Any:
    # JSON has no NaN and no infinity.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
