"""The store itself: rows in, tables out, artifacts beside them.

    URI/trials/experiment=NAME/TRIAL-SEQ.parquet        one immutable file per write
    URI/evaluations/experiment=NAME/TRIAL-SEQ.parquet
    URI/curves/experiment=NAME/TRIAL-SEQ.parquet
    URI/artifacts/experiment=NAME/TRIAL/NAME            grids and checkpoints

There are no locks. A repeated write is harmless, because readers take the newest row of each key.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from ganray.errors import StoreError
from ganray.store.files import open_files
from ganray.store.schema import KEYS, TABLES, WRITTEN, CurveRow, EvaluationRow, Row, TrialRow

_log = logging.getLogger(__name__)

_FILE = "__filename"
_NAME_LIMIT_BYTES = 200


class Store:
    """Trials, evaluations, curves and artifacts at a local path or an fsspec URI (`s3://...`, `memory://...`).

    Opening touches nothing. Credentials and endpoints come from the environment, as fsspec reads them.
    Raises StoreError where the URI means nothing.
    """

    def __init__(self, uri: str | Path) -> None:
        self._files = open_files(uri)
        self.uri = self._files.root
        self._reported: set[str] = set()

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.uri,)

    def put_trial(self, row: TrialRow) -> None:
        """Append the state of a trial. StoreError where it cannot be written."""
        self._append("trials", [row])

    def put_evaluation(self, row: EvaluationRow) -> None:
        """Append one evaluation. StoreError where it cannot be written."""
        self._append("evaluations", [row])

    def put_curves(self, rows: Sequence[CurveRow]) -> None:
        """Append rows of curves, one file per trial among them. StoreError where they cannot be written."""
        by_trial: dict[tuple[str, str], list[CurveRow]] = defaultdict(list)
        for row in rows:
            by_trial[row.experiment, row.trial_id].append(row)
        for group in by_trial.values():
            self._append("curves", group)

    def trials(self, experiment: str | None = None) -> pa.Table:
        """The newest row of each trial, oldest trial first; columns as in `schema.TRIALS`."""
        rows = self._newest("trials", experiment)
        return rows.sort_by([("created_at", "ascending"), ("trial_id", "ascending")])

    def evaluations(self, experiment: str | None = None) -> pa.Table:
        """The newest row of each (trial, kimg, protocol), so sorted; columns as in `schema.EVALUATIONS`."""
        return self._newest("evaluations", experiment)

    def curves(self, experiment: str | None = None) -> pa.Table:
        """The newest row of each (trial, kimg), so sorted; columns as in `schema.CURVES`."""
        return self._newest("curves", experiment)

    def experiments(self) -> list[str]:
        """Names of the experiments that have rows, sorted."""
        folders = {folder for table in TABLES for folder in self._files.folders_in(table)}
        return sorted(unquote(f.partition("=")[2]) for f in folders if f.startswith("experiment="))

    def put_artifact(self, experiment: str, trial_id: str, name: str, data: bytes) -> str:
        """Write a file of a trial, atomically, and return its URI. The same name again replaces it."""
        return self._files.write(f"artifacts/{_partition(experiment)}/{_safe(trial_id)}/{_safe(name)}", data)

    def read_artifact(self, uri: str) -> bytes:
        """The bytes behind a URI that a row holds. StoreError where the file is gone.

        A store that was moved or copied still finds its artifacts: they are looked up below its new root too.
        """
        _, found, relative = uri.rpartition("/artifacts/experiment=")
        places = [uri, f"{self.uri}/artifacts/experiment={relative}"] if found else [uri]
        for place in dict.fromkeys(places):
            try:
                return self._read(place)
            except FileNotFoundError:
                continue
        raise StoreError(f"no artifact at {uri} (looked in {self.uri} too); it was moved or deleted")

    def _read(self, uri: str) -> bytes:
        files = self._files if uri.startswith(self.uri) else open_files(uri)
        return files.read(uri)

    def check_writable(self) -> None:
        """Write and remove a small file. StoreError names the URI, the reason and the fix."""
        probe = f".probe-{secrets.token_hex(8)}"
        self._files.write(probe, b"ganray")
        self._files.remove(probe)

    def _append(self, table: str, rows: Sequence[Row]) -> None:
        records = [row.to_dict() for row in rows]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(records, schema=TABLES[table]), sink, compression="zstd")
        folder = f"{table}/{_partition(records[0]['experiment'])}"
        # The random part keeps two writers apart that share a clock tick.
        name = f"{_safe(records[0]['trial_id'])}-{time.time_ns():020d}{secrets.token_hex(4)}.parquet"
        self._files.write(f"{folder}/{name}", sink.getvalue().to_pybytes())

    def _newest(self, table: str, experiment: str | None) -> pa.Table:
        partitions = self._files.folders_in(table) if experiment is None else [_partition(experiment)]
        paths = [
            path
            for partition in partitions
            if partition.startswith("experiment=")
            for path in self._files.files_in(f"{table}/{partition}")
            if path.endswith(".parquet")
        ]
        schema = pa.schema([f.with_nullable(True) for f in TABLES[table]], metadata=TABLES[table].metadata)
        parts = self._scan(paths, schema) if paths else []
        if not parts:
            return schema.empty_table()
        rows = pa.concat_tables(parts)
        keys = KEYS[table]
        rows = rows.sort_by([(name, "ascending") for name in (*keys, WRITTEN[table], _FILE)])
        numbered = rows.select(keys).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
        last = numbered.group_by(list(keys), use_threads=False).aggregate([("row", "max")])["row_max"]
        return rows.take(last.sort()).select(schema.names).replace_schema_metadata(schema.metadata)

    def _scan(self, paths: list[str], schema: pa.Schema) -> list[pa.Table]:
        """Read all files in one go; where that fails, halve until the damaged file stands alone, and leave it out.

        One torn file must not hide the rest, so it costs a loud warning (once per file), not an error. A file
        that cannot even be fetched is an error: an unreachable disk must not look like an empty store.
        """
        try:
            dataset = pads.dataset(paths, schema=schema, format="parquet", filesystem=self._files.arrow)
            return [dataset.to_table(columns=[*schema.names, _FILE])]
        except (pa.ArrowException, OSError, ValueError, TypeError) as error:
            if len(paths) > 1:
                middle = len(paths) // 2
                return self._scan(paths[:middle], schema) + self._scan(paths[middle:], schema)
            self._report(paths[0], error)
            return []

    def _report(self, path: str, error: Exception) -> None:
        try:
            self._files.read(path)
        except FileNotFoundError:
            return  # removed between listing and reading
        if path not in self._reported:
            self._reported.add(path)
            _log.warning("WARNING: %s is damaged, its rows are left out; delete or restore it (%s)", path, error)


def _partition(experiment: str) -> str:
    return f"experiment={_safe(experiment)}"


def _safe(name: str) -> str:
    """Percent-encode all that could leave the folder or mean something to a file system or a URI."""
    encoded = quote(name, safe="")
    if not name or len(encoded) > _NAME_LIMIT_BYTES:
        raise StoreError(f"cannot store the name {name!r}: give it 1 to {_NAME_LIMIT_BYTES} plain characters")
    return encoded.replace(".", "%2E") if encoded.startswith(".") else encoded
