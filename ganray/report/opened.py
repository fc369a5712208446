"""The store from Python: rows by conditions, SQL, and the same tables that the command line prints.

import ganray

results = ganray.open_store("runs/store")
results.evaluations().where("frechet < 100", protocol="fd_lite0_200_train").to_pandas()
results.table("quickstart")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

from ganray.errors import StoreError
from ganray.recipe.messages import nearest
from ganray.report.leaderboard import Leaderboard, Show
from ganray.store.location import DEFAULT_STORE, store_uri
from ganray.store.query import columns_of, query
from ganray.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from ganray.report.across import Across
    from ganray.report.benchmark_table import BenchmarkTable


Content = TypeVar("Content")


def open_store(uri: str | Path | None = None) -> Results:
    """The results at a folder or an fsspec URI; left out: `GANRAY_STORE`, else `runs/store`.

    StoreError where there is no store, or one that this GANRay cannot read.
    """
    store = Store(uri or store_uri(None, Path(DEFAULT_STORE).parent))
    store.require()
    return Results(store)


@dataclass(frozen=True)
class Results:
    """Everything that can be asked of a store. Each call sees what is in the store at that time."""

    store: Store

    def trials(self) -> Rows:
        """One row per trial."""
        return Rows(self.store, "trials")

    def evaluations(self) -> Rows:
        """One row per trial, kimg and protocol."""
        return Rows(self.store, "evaluations")

    def curves(self) -> Rows:
        """One row per trial and kimg."""
        return Rows(self.store, "curves")

    def results(self) -> Rows:
        """Trials with their best and final evaluation, one row per trial and protocol."""
        return Rows(self.store, "results")

    def published(self) -> Rows:
        """Numbers of papers, with their source."""
        return Rows(self.store, "published")

    def experiments(self) -> list[str]:
        """Names of the experiments, sorted."""
        return self.store.experiments()

    def sql(self, text: str, parameters: tuple[object, ...] = ()) -> pa.Table:
        """The rows of one SQL query (DuckDB's) over these views; `.to_pandas()` makes a data frame of them.

        `parameters` stand for the question marks in the text. StoreError with DuckDB's message where it is wrong.
        """
        return query(self.store, text, parameters)

    def table(
        self, name: str, *, show: Show = "best", protocol: str | None = None, with_published: bool = False
    ) -> Table[BenchmarkTable] | Table[Leaderboard]:
        """A benchmark's table (`few-shot-256`), or the ranked trials of an experiment; `print` shows it.

        StoreError where there is neither, with the nearest name.
        """
        from ganray.report import render, render_benchmark
        from ganray.report.benchmark_table import benchmark_table, is_benchmark
        from ganray.report.leaderboard import leaderboard

        if is_benchmark(self.store, name):
            board = benchmark_table(self.store, name, show, with_published)
            return Table(board, render_benchmark.to_markdown(board), render_benchmark.to_html(board))
        ranked = leaderboard(self.store, name, protocol, show)
        return Table(ranked, render.to_markdown(ranked))

    def leaderboard(self, dataset: str | None = None, *, top: int = 20, **wanted: Any) -> Table[Across]:
        """The best recipes of all experiments on one data set; `top` of them are printed. The others are its options:

        `protocol`, `experiment` (a pattern), `resolution`, `at_kimg`, `at_device_hours`. StoreError as there.
        """
        from ganray.report.across import across
        from ganray.report.across_analysis import view
        from ganray.report.across_rows import Filter
        from ganray.report.render_across import to_markdown

        board = across(self.store, Filter(dataset=dataset, **wanted))
        return Table(board, to_markdown(view(board, top=top)))


@dataclass(frozen=True)
class Rows:
    """Rows of one view, chosen step by step; nothing is read before they are asked for. Each step is a new object."""

    store: Store
    view: str
    conditions: tuple[str, ...] = ()
    parameters: tuple[object, ...] = ()
    columns: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    most: int | None = None

    def where(self, condition: str | None = None, **equal: object) -> Rows:
        """Only rows for which an SQL condition holds and columns have these values.

        `.where("frechet < 100", protocol="fid_5k_train", experiment=["hacks", "losses"])`: a list means any of these,
        None means that there is no value. StoreError where there is no such column.
        """
        conditions, parameters = list(self.conditions), list(self.parameters)
        if condition is not None:
            conditions.append(f"({condition})")
        for name, value in equal.items():
            column = self._column(name)
            if value is None:
                conditions.append(f"{column} IS NULL")
            elif isinstance(value, list | tuple | set):
                conditions.append(f"{column} IN ({', '.join('?' * len(value))})" if value else "false")
                parameters += value
            else:
                conditions.append(f"{column} = ?")
                parameters.append(value)
        return replace(self, conditions=tuple(conditions), parameters=tuple(parameters))

    def select(self, *columns: str) -> Rows:
        """Only these columns. StoreError where one is not there."""
        return replace(self, columns=tuple(self._column(name) for name in columns))

    def order_by(self, *columns: str, descending: bool = False) -> Rows:
        """Sorted by these columns; rows without a value last."""
        direction = "DESC" if descending else "ASC"
        return replace(self, order=tuple(f"{self._column(name)} {direction} NULLS LAST" for name in columns))

    def limit(self, most: int) -> Rows:
        """The first so many."""
        return replace(self, most=most)

    @property
    def names(self) -> list[str]:
        """The columns that there are."""
        return list(columns_of(self.view))

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table. StoreError with DuckDB's message where a condition is wrong."""
        return query(self.store, self._sql(", ".join(self.columns) or "*"), self.parameters)

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a data frame."""
        return self.to_arrow().to_pandas()

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist()
        return rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.to_pylist())

    def __len__(self) -> int:
        inner = self._sql("1 AS one")
        return int(query(self.store, f"SELECT count(*) AS n FROM ({inner})", self.parameters)["n"][0].as_py())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return str(self.to_pandas()._repr_html_())  # type: ignore[operator]

    def _sql(self, what: str) -> str:
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        order = f" ORDER BY {', '.join(self.order)}" if self.order else ""
        most = f" LIMIT {int(self.most)}" if self.most is not None else ""
        return f"SELECT {what} FROM {self.view}{where}{order}{most}"

    def _column(self, name: str) -> str:
        known = self.names
        if name not in known:
            raise StoreError(f"{self.view} has no column {name!r}; {nearest(name, known)}")
        return f'"{name}"'


@dataclass(frozen=True)
class Table(Generic[Content]):
    """A table as the command line prints it: `content` holds its numbers, `print` and notebooks show it."""

    content: Content
    markdown: str
    html: str | None = None

    def __str__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown

    def _repr_html_(self) -> str | None:
        return self.html
