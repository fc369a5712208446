"""Many small files into one per experiment and table, at any time and beside running writers.

The new file is written first and the old ones are removed after it can be read. A crash in between leaves rows twice,
and readers take the newest of each key, so nothing is lost and nothing counts double. A reader whose files go away
lists again. Rows that are written meanwhile are in new files, which are left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from ganray.errors import StoreError
from ganray.recipe.messages import nearest
from ganray.store.read import COMPACTED, FILE, experiment_of, is_compacted, newest_rows, nullable, sequence
from ganray.store.schema import KEYS, SCHEMA_VERSION, TABLES
from ganray.store.spool import write_now
from ganray.store.store import Store, to_parquet

_READERS = 16
_BATCH = 2_000
"""Small files that are read at a time: so many rows at most are in memory twice."""


@dataclass(frozen=True)
class Compaction:
    """What happened to one table of one experiment."""

    table: str
    experiment: str
    files_before: int
    files_after: int
    rows: int
    """Rows in the new file."""
    bytes_before: int
    bytes_after: int


def compact(
    store: Store,
    experiment: str | None = None,
    watch: Callable[[str, str, int], None] = lambda table, experiment, files: None,
) -> Iterator[Compaction]:
    """Compact each table of one experiment, or of all; yields what was done, as soon as it is.

    Damaged files and files of a newer GANRay stay as they are. StoreError where the store cannot be written; whatever
    was done until then holds.
    """
    store.require()
    if experiment is not None and experiment not in (known := store.experiments()):
        raise StoreError(f"no experiment {experiment!r} in the store {store.uri}; {nearest(experiment, known)}")
    sizes = {file.path: file.size_bytes for table in TABLES for file in store.files.walk(table)}
    for table in TABLES:
        folders: dict[str, list[str]] = {}
        for path in store.reader.paths(table, experiment):
            folders.setdefault(path.rpartition("/")[0], []).append(path)
        for folder, paths in folders.items():
            watch(table, experiment_of(folder), len(paths))
            if len(paths) > 1 or not is_compacted(paths[0]):
                done = _compact(store, table, folder, paths, sizes)
                if done:
                    yield done


def _compact(store: Store, table: str, folder: str, paths: list[str], sizes: dict[str, int]) -> Compaction | None:
    rows, used = _rows(store, table, paths)
    if not used or (len(used) == 1 and is_compacted(used[0])):
        return None
    rows = rows.sort_by([(name, "ascending") for name in KEYS[table]]).select(TABLES[table].names)
    content = to_parquet(rows.cast(TABLES[table]))
    # Rows of other files tie with the newest that went in; the content's hash keeps two compactions apart.
    newest = max(sequence(path).removesuffix(".parquet") for path in used).partition("~")[0]
    name = f"{COMPACTED}{newest}~{hashlib.sha256(content).hexdigest()[:8]}.parquet"
    written = write_now(store.files, f"{store.files.relative(folder)}/{name}", content)
    try:
        back = store.files.read(written)
    except FileNotFoundError:
        return None  # another compaction has taken it in already, and sees to the old files or leaves them to the next
    if pq.read_metadata(pa.BufferReader(back)).num_rows != rows.num_rows:
        raise StoreError(f"{written} did not come back as it was written; the old files are still there")
    old = [path for path in used if not path.endswith(f"/{name}")]
    for path in old:
        store.files.remove(store.files.relative(path))
    return Compaction(
        table=table,
        experiment=experiment_of(folder),
        files_before=len(paths),
        files_after=len(paths) - len(used) + 1,
        rows=rows.num_rows,
        bytes_before=sum(sizes.get(store.files.relative(path), 0) for path in used),
        bytes_after=len(content),
    )


def _rows(store: Store, table: str, paths: list[str]) -> tuple[pa.Table, list[str]]:
    """The newest rows of these files, and which of the files they came from.

    Damaged files, those that went away, and those with columns that are not known here stay out.
    """
    rows, used = _with_file(table).empty_table(), []
    for start in range(0, len(paths), _BATCH):
        parts = {path: part for path, part in _parts(store, table, paths[start : start + _BATCH]) if part is not None}
        used += list(parts)
        rows = newest_rows(pa.concat_tables([rows, *parts.values()]), table)
    return rows, used


def _parts(store: Store, table: str, paths: list[str]) -> list[tuple[str, pa.Table | None]]:
    def read(path: str) -> pa.Table | None:
        try:
            file = pq.ParquetFile(pa.BufferReader(store.files.read(path)))
            if version_of(file.schema_arrow) > SCHEMA_VERSION:
                return None
            return _conformed(file.read(), table, path)
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError, ValueError) as error:
            store.reader.report(path, error)
            return None

    with ThreadPoolExecutor(_READERS) as pool:  # on S3 a small file costs a round trip and no work
        return list(zip(paths, pool.map(read, paths)))


def version_of(schema: pa.Schema) -> int:
    """The schema version that a file states."""
    return int((schema.metadata or {}).get(b"ganray.schema_version", b"1"))


def _conformed(rows: pa.Table, table: str, path: str) -> pa.Table:
    """A file's rows with the columns of today: what it lacks is null. ValueError where a key or a time is missing."""
    for field in TABLES[table]:
        if not field.nullable and (field.name not in rows.schema.names or rows[field.name].null_count):
            raise ValueError(f"rows without {field.name}")
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.schema.names else pa.nulls(rows.num_rows, field.type)
        for field in nullable(table)
    ]
    return pa.table([*columns, pa.repeat(path, rows.num_rows)], schema=_with_file(table))


def _with_file(table: str) -> pa.Schema:
    """A table's columns, and the one that says which file a row came from."""
    return nullable(table).append(pa.field(FILE, pa.string()))
