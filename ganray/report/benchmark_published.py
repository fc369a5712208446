"""Published numbers for the cells of a benchmark, and what other papers give for the same data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganray.report.benchmarks import Benchmark, Column
from ganray.store.published import Status, published


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published number and where it was read."""

    value: float
    status: Status
    paper: str
    method: str
    variant: str | None
    train_budget: str | None
    note: str | None
    source_url: str | None


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """What one paper gives for one method under one protocol; `values` by `Column.id`, some columns only."""

    protocol: str
    metric: str
    paper: str
    year: int | None
    method: str
    variant: str | None
    values: dict[str, Published]


def own_values(benchmark: Benchmark) -> dict[str, Published]:
    """The published number of each cell by `Cell.name`, where the benchmark's paper has one under its protocol."""
    if benchmark.published is None:
        return {}
    rows = {
        (row["method"], row["dataset"], row["n_images"], row["resolution"]): row
        for row in published().to_pylist()
        if (row["paper"], row["variant"]) == (benchmark.published.paper, benchmark.published.variant)
        and row["protocol"] == benchmark.protocol
    }
    result = {}
    for cell in benchmark.cells:
        column = cell.column
        key = (cell.method.published, column.published, column.published_n or column.n, column.resolution)
        if row := rows.get(key):
            result[cell.name] = _value(row)
    return result


def other_rows(benchmark: Benchmark) -> tuple[PublishedRow, ...]:
    """All other published rows that have a number for a column: same data set, number of images and resolution.

    Sorted by protocol, the benchmark's own first, then by year: a ranking would have to stay within one protocol.
    """
    groups: dict[tuple[Any, ...], PublishedRow] = {}
    for row in published().to_pylist():
        column = _column_of(row, benchmark.columns)
        if column is None or _is_own(row, benchmark):
            continue
        key = (row["protocol"], row["paper"], row["method"], row["variant"])
        found = groups.setdefault(
            key,
            PublishedRow(
                protocol=row["protocol"],
                metric=row["metric"],
                paper=row["paper"],
                year=row["year"],
                method=row["method"],
                variant=row["variant"],
                values={},
            ),
        )
        found.values[column.id] = _value(row)
    return tuple(sorted(groups.values(), key=lambda row: _order(row, benchmark.protocol)))


def _order(row: PublishedRow, own: str) -> tuple[Any, ...]:
    return row.protocol != own, row.protocol, row.year or 9999, row.paper, row.method, row.variant or ""


def _is_own(row: dict[str, Any], benchmark: Benchmark) -> bool:
    own = benchmark.published
    return (
        own is not None
        and (row["paper"], row["variant"], row["protocol"]) == (own.paper, own.variant, benchmark.protocol)
        and row["method"] in {method.published for method in benchmark.methods}
    )


def _column_of(row: dict[str, Any], columns: Sequence[Column]) -> Column | None:
    for column in columns:
        counts = {*column.counts, column.published_n}
        if (row["dataset"], row["resolution"]) == (column.published, column.resolution) and row["n_images"] in counts:
            return column
    return None


def _value(row: dict[str, Any]) -> Published:
    return Published(**{name: row[name] for name in Published.__dataclass_fields__})
