"""The newest row of each key, from any mixture of small files and compacted ones.

A compacted file holds each key once. So its rows need no sorting out, as long as no other file of its partition has
rows of the same trials: they are *settled*. All other rows are *fresh*, and the newest of each key is looked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs as pafs

from ganray.errors import StoreError
from ganray.store.files import Files
from ganray.store.schema import KEYS, TABLES, WRITTEN

_log = logging.getLogger(__name__)

COMPACTED = "compacted-"
"""Begins the name of a file in which compaction put all rows of a partition, each key once."""
MERGED = "merged-"
"""Begins the name of a file that came from another store."""
PARTITION = "experiment="
FILE = "__filename"
"""The column that says which file a row came from; pyarrow's own name for it."""
MANY_FILES = 5_000
"""From so many small files on, reading takes seconds, and the user is told what helps."""
_RELISTINGS = 20
_AT_ONCE = 16
_NAME_LIMIT_BYTES = 200


class Vanished(Exception):
    """A file went away between listing and reading: a compaction has put its rows into another one."""


@dataclass(frozen=True)
class Snapshot:
    """The newest rows of a table at one time: `settled` is read when it is asked for, `fresh` is in memory."""

    table: str
    settled: pads.Dataset | None
    fresh: pa.Table
    files: tuple[str, ...] = ()
    """Full paths of the files behind `settled`."""

    def to_table(self, columns: Sequence[str], where: pads.Expression | None = None) -> pa.Table:
        """All rows, or those that match, in no order."""
        fresh = (self.fresh if where is None else self.fresh.filter(where)).select(columns)
        if self.settled is None:
            return fresh
        settled = self.settled.to_table(columns=list(columns), filter=where)
        return pa.concat_tables([settled, fresh]) if fresh.num_rows else settled


class Reader:
    """Reads the tables of one store; names each damaged file once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._reported: set[str] = set()
        self._hinted: set[str] = set()

    def paths(self, table: str, experiment: str | None = None) -> list[str]:
        """Full paths of a table's files, of all experiments or of one.

        A listing takes time. A compaction meanwhile may add its file where the listing has been already, and remove
        old ones where it has not: then neither is seen. Compactions write before they remove, so a listing is whole
        if a later one knows the same compacted files.
        """
        first = self._listed(table, experiment)
        while True:
            second = self._listed(table, experiment)
            if {p for p in first if is_compacted(p)} == {p for p in second if is_compacted(p)}:
                return first
            first = second

    def _listed(self, table: str, experiment: str | None) -> list[str]:
        wanted = self._files.folders_in(table) if experiment is None else [partition(experiment)]
        folders = [f"{table}/{folder}" for folder in wanted if folder.startswith(PARTITION)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # on S3 each costs a round trip
            return [
                path for paths in pool.map(self._files.files_in, folders) for path in paths if path.endswith(".parquet")
            ]

    def newest(
        self,
        table: str,
        experiment: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        trial_id: str | None = None,
        where: pads.Expression | None = None,
    ) -> pa.Table:
        """The newest row of each key, sorted by key; of these, the rows that match `where`."""

        names = list(columns or TABLES[table].names)
        keys = [key for key in KEYS[table] if key not in names]

        def read() -> pa.Table:
            snapshot = self._snapshot(table, experiment, trial_id, None if where is not None else [*names, *keys])
            try:
                rows = snapshot.to_table([*names, *keys], where)
            except Exception as error:  # whatever a backend raises comes through pyarrow as it is
                # Nothing damaged and every file could be fetched now: the fault has passed.
                if self.leave_out_damaged(snapshot) or not isinstance(error, pa.ArrowException):
                    raise Vanished from error
                raise
            return _sorted(rows, table).select(names).replace_schema_metadata(TABLES[table].metadata)

        return self.consistently(read)

    def snapshot(self, table: str) -> Snapshot:
        """The newest rows, those of compacted files unread. Raises Vanished; see `consistently`."""
        return self._snapshot(table, None, None, None, is_streamed=True)

    def consistently(self, read: Callable[[], pa.Table]) -> pa.Table:
        """What `read` gives; it is called again where a compaction took files away meanwhile."""
        for attempt in range(_RELISTINGS):
            try:
                return read()
            except Vanished:
                time.sleep(0.02 * attempt)
        raise StoreError(
            f"the files of the store {self._files.root} change faster than they can be read, or its network fails "
            f"again and again; try again later"
        )

    def _snapshot(
        self,
        table: str,
        experiment: str | None,
        trial_id: str | None,
        columns: Sequence[str] | None,
        is_streamed: bool = False,
    ) -> Snapshot:
        whole, others = _divided(self.paths(table, experiment))
        if trial_id is not None:
            others = [path for path in others if may_hold(path, trial_id)]
        names = TABLES[table].names if columns is None else columns
        needed = list(dict.fromkeys([*names, "experiment", *KEYS[table], WRITTEN[table], FILE]))
        of_trial = None if trial_id is None else pc.field("trial_id") == trial_id
        if len(others) > MANY_FILES and table not in self._hinted:
            self._hinted.add(table)
            _log.warning("%d small files of %s are read; `ganray store compact` makes that quick", len(others), table)
        fresh = self.scan(table, others, needed, of_trial)
        if not whole:
            return Snapshot(table, None, newest_rows(fresh, table))
        try:
            return self._with_settled(table, self._undamaged(whole), fresh, needed, of_trial, is_streamed)
        except (pa.ArrowException, OSError) as error:
            if self.leave_out_damaged(Snapshot(table, None, fresh, tuple(whole))):
                raise Vanished from error
            raise

    def _with_settled(
        self,
        table: str,
        whole: list[str],
        fresh: pa.Table,
        columns: list[str],
        of_trial: pads.Expression | None,
        is_streamed: bool,
    ) -> Snapshot:
        dataset = self._fetched(table, whole) if is_streamed else self._dataset(table, whole)
        if of_trial is not None:
            dataset = dataset.filter(of_trial)
        if fresh.num_rows:
            again = pc.field("trial_id").isin(pc.unique(fresh["trial_id"]).to_pylist())
            old = self._dataset(table, whole).to_table(columns=columns, filter=again)
            fresh = pa.concat_tables([fresh, old])
            dataset = dataset.filter(~again)
        return Snapshot(table, dataset, newest_rows(fresh, table), tuple(whole))

    def _dataset(self, table: str, paths: list[str]) -> pads.Dataset:
        return pads.dataset(paths, schema=nullable(table), format="parquet", filesystem=self._files.arrow)

    def _fetched(self, table: str, whole: list[str]) -> pads.Dataset:
        """The compacted files for an engine that streams them: remote ones are fetched first, as they are.

        Where a file system that is written in Python (fsspec's) fails in mid-stream, DuckDB and pyarrow can wait for
        each other for ever. Raises Vanished, StoreError.
        """
        if isinstance(self._files.arrow, pafs.LocalFileSystem):
            return self._dataset(table, whole)
        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                contents = list(pool.map(self._files.read, whole))
        except FileNotFoundError as error:
            raise Vanished(str(error)) from None
        parquet = pads.ParquetFileFormat()
        fragments = [parquet.make_fragment(pa.BufferReader(content)) for content in contents]
        return pads.FileSystemDataset(fragments, nullable(table), parquet)

    def leave_out_damaged(self, *snapshots: Snapshot) -> bool:
        """Look for damage in the compacted files behind these, all of each; whether some are to be left out now.

        Raises Vanished where one of the files is gone.
        """
        found = False
        for snapshot in snapshots:
            for path in self._undamaged(snapshot.files):
                found |= not self._scan(snapshot.table, [path], TABLES[snapshot.table].names, None)
        return found

    def _undamaged(self, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if path not in self._reported]

    def scan(
        self, table: str, paths: list[str], columns: Sequence[str], where: pads.Expression | None = None
    ) -> pa.Table:
        """All rows of these files, old ones too; damaged files are named and left out. Raises Vanished."""
        empty = self._dataset(table, []).to_table(columns=list(columns)) if not paths else None
        parts = [empty] if empty is not None else self._scan(table, paths, list(columns), where)
        return pa.concat_tables(parts) if parts else self._dataset(table, []).to_table(columns=list(columns))

    def _scan(self, table: str, paths: list[str], columns: list[str], where: pads.Expression | None) -> list[pa.Table]:
        """Read all files in one go; where that fails, halve until the damaged file stands alone, and leave it out.

        One torn file must not hide the rest, so it costs a loud warning (once per file), not an error. A file
        that cannot even be fetched is an error: an unreachable disk must not look like an empty store.
        """
        try:
            return [self._dataset(table, paths).to_table(columns=columns, filter=where)]
        except Exception:  # whatever a backend raises comes through pyarrow as it is
            if len(paths) > 1:
                middle = len(paths) // 2
                halves = paths[:middle], paths[middle:]
                return [part for half in halves for part in self._scan(table, half, columns, where)]
            return self._alone(table, paths[0], columns, where)

    def _alone(self, table: str, path: str, columns: list[str], where: pads.Expression | None) -> list[pa.Table]:
        """A file's rows after it was fetched whole and with patience: a fault of the network is no damage.

        Raises Vanished where it is gone, StoreError where it cannot be fetched.
        """
        try:
            content = self._files.read(path)
        except FileNotFoundError:
            raise Vanished(path) from None
        try:
            fragment = pads.ParquetFileFormat().make_fragment(pa.BufferReader(content))
            rows = fragment.to_table(schema=nullable(table), columns=columns, filter=where)
        except (pa.ArrowException, OSError, ValueError, TypeError) as error:
            self.report(path, error)
            return []
        if FILE in columns:
            rows = rows.set_column(columns.index(FILE), FILE, pa.repeat(path, rows.num_rows))
        return [rows]

    def report(self, path: str, error: Exception) -> None:
        """Name a damaged file, once."""
        if path not in self._reported:
            self._reported.add(path)
            _log.warning(
                "WARNING: %s is damaged, its rows are left out (%s); `ganray store verify --quarantine` moves it away",
                path,
                error,
            )


def newest_rows(rows: pa.Table, table: str) -> pa.Table:
    """Of each experiment's keys the newest row, and of equally old ones that of the newest file."""
    if not rows.num_rows:
        return rows
    keys = ["experiment", *KEYS[table]]
    if rows.select(keys).group_by(keys).aggregate([]).num_rows == rows.num_rows:
        return rows  # the usual case, at a tenth of the cost: nothing was written twice
    files = rows[FILE].combine_chunks().dictionary_encode()
    order = pa.array([sequence(path) for path in files.dictionary.to_pylist()]).take(files.indices)
    numbered = rows.select([*keys, WRITTEN[table]]).append_column("order", order)
    numbered = numbered.append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    numbered = numbered.sort_by([(WRITTEN[table], "ascending"), ("order", "ascending")])
    last = numbered.group_by(keys, use_threads=False).aggregate([("row", "last")])["row_last"]
    return rows.take(last)


def _sorted(rows: pa.Table, table: str) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in KEYS[table]]) if rows.num_rows > 1 else rows


def _divided(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The compacted file of each partition that has just one, and all the other files."""
    counts: dict[str, int] = {}
    for path in paths:
        if is_compacted(path):
            folder = path.rpartition("/")[0]
            counts[folder] = counts.get(folder, 0) + 1
    whole = [path for path in paths if is_compacted(path) and counts[path.rpartition("/")[0]] == 1]
    chosen = set(whole)
    return whole, [path for path in paths if path not in chosen]


def is_compacted(path: str) -> bool:
    """Whether a file is the outcome of a compaction."""
    return path.rsplit("/", 1)[-1].startswith(COMPACTED)


def may_hold(path: str, trial_id: str) -> bool:
    """Whether a file may have rows of that trial, by its name."""
    return path.rsplit("/", 1)[-1].startswith((f"{safe(trial_id)}-", COMPACTED, MERGED))


def sequence(path: str) -> str:
    """The part of a file's name that says how new it is."""
    return path.rsplit("/", 1)[-1].rpartition("-")[2]


def nullable(table: str) -> pa.Schema:
    """A table's schema as files are read with: a column that an older file lacks is null."""
    schema = TABLES[table]
    return pa.schema([field.with_nullable(True) for field in schema], metadata=schema.metadata)


def partition(experiment: str) -> str:
    """The folder of an experiment's rows below a table's."""
    return f"{PARTITION}{safe(experiment)}"


def experiment_of(folder: str) -> str:
    """The experiment whose rows are in such a folder."""
    return unquote(folder.rsplit("/", 1)[-1].removeprefix(PARTITION))


def safe(name: str) -> str:
    """Percent-encode all that could leave the folder or mean something to a file system or a URI."""
    try:
        encoded = quote(name, safe="")
    except UnicodeEncodeError:  # bytes of the command line that are no text
        encoded = ""
    if not encoded or len(encoded) > _NAME_LIMIT_BYTES:
        raise StoreError(f"cannot store the name {name!r}: give it 1 to {_NAME_LIMIT_BYTES} plain characters")
    return encoded.replace(".", "%2E") if encoded.startswith(".") else encoded
