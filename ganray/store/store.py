"""The store itself: rows in, tables out, artifacts beside them.

    URI/ganray-store.json                               what wrote it: see `marker`
    URI/trials/experiment=NAME/TRIAL-SEQ.parquet        one immutable file per write
    URI/evaluations/experiment=NAME/TRIAL-SEQ.parquet
    URI/curves/experiment=NAME/TRIAL-SEQ.parquet
    URI/artifacts/experiment=NAME/TRIAL/NAME            grids and other pictures

There are no locks. A repeated write is harmless, because readers take the newest row of each key.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from ganray.errors import StoreError
from ganray.store.files import open_files
from ganray.store.marker import Marker
from ganray.store.read import PARTITION, Reader, Snapshot, experiment_of, partition, safe
from ganray.store.schema import TABLES, CurveRow, EvaluationRow, Row, TrialRow
from ganray.store.spool import write_now


class Store:
    """Trials, evaluations, curves and artifacts at a local path or an fsspec URI (`s3://...`, `memory://...`).

    Opening touches nothing. Credentials and endpoints come from the environment, as fsspec reads them. What a remote
    store does not take waits on the local disk (`spool`). Raises StoreError where the URI means nothing.
    """

    def __init__(self, uri: str | Path) -> None:
        self.files = open_files(uri)
        self.uri = self.files.root
        self.reader = Reader(self.files)
        self._marker = Marker(self.files)

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

    def trials(
        self,
        experiment: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        trial_id: str | None = None,
        where: pads.Expression | None = None,
    ) -> pa.Table:
        """The newest row of each trial, oldest trial first; columns as in `schema.TRIALS`.

        `columns`: only these. `trial_id`: only this trial's. `where`: only rows that match, such as
        `pyarrow.dataset.field("status") == "completed"`. All three are quicker than to choose among all rows later.
        """
        names = list(columns or TABLES["trials"].names)
        sorting = [name for name in ("created_at", "trial_id") if name not in names]
        rows = self._newest("trials", experiment, [*names, *sorting], trial_id, where)
        return rows.sort_by([("created_at", "ascending"), ("trial_id", "ascending")]).select(names)

    def evaluations(
        self,
        experiment: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        trial_id: str | None = None,
        where: pads.Expression | None = None,
    ) -> pa.Table:
        """The newest row of each (trial, kimg, protocol), so sorted; columns as in `schema.EVALUATIONS`."""
        return self._newest("evaluations", experiment, columns, trial_id, where)

    def curves(
        self,
        experiment: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        trial_id: str | None = None,
        where: pads.Expression | None = None,
    ) -> pa.Table:
        """The newest row of each (trial, kimg), so sorted; columns as in `schema.CURVES`."""
        return self._newest("curves", experiment, columns, trial_id, where)

    def _newest(
        self,
        table: str,
        experiment: str | None,
        columns: Sequence[str] | None,
        trial_id: str | None,
        where: pads.Expression | None,
    ) -> pa.Table:
        self._marker.check()
        return self.reader.newest(table, experiment, columns=columns, trial_id=trial_id, where=where)

    def snapshot(self, table: str) -> Snapshot:
        """All newest rows of a table, those of compacted files unread, for engines that choose for themselves.

        Raises `read.Vanished` where a compaction came between: see `Reader.consistently`.
        """
        self._marker.check()
        return self.reader.snapshot(table)

    def experiments(self) -> list[str]:
        """Names of the experiments that have rows, sorted."""
        self._marker.check()
        folders = {folder for table in TABLES for folder in self.files.folders_in(table)}
        return sorted(experiment_of(folder) for folder in folders if folder.startswith(PARTITION))

    def put_artifact(self, experiment: str, trial_id: str, name: str, data: bytes) -> str:
        """Write a file of a trial, atomically, and return its URI. The same name again replaces it."""
        return self.files.write(f"artifacts/{partition(experiment)}/{safe(trial_id)}/{safe(name)}", data)

    def read_artifact(self, uri: str) -> bytes:
        """The bytes behind a URI that a row holds. StoreError where the file is gone.

        A store that was moved or copied still finds its artifacts: they are looked up below its new root too. Nothing
        but artifacts is read: rows may have come from somebody else's store.
        """
        here = self.artifact_here(uri)
        for place in () if here is None else dict.fromkeys([uri, here]):
            try:
                return self._read(place)
            except FileNotFoundError:
                continue
        raise StoreError(f"no artifact at {uri} (looked in {self.uri} too); it was moved or deleted")

    def artifact_here(self, uri: str) -> str | None:
        """Where an artifact of that URI lies in this store, wherever it was written; None for other files."""
        _, found, relative = uri.rpartition(f"/artifacts/{PARTITION}")
        if not found or ".." in uri.split("/"):
            return None
        return f"{self.uri}/artifacts/{PARTITION}{relative}"

    def _read(self, uri: str) -> bytes:
        files = self.files if uri.startswith(self.uri) else open_files(uri)
        return files.read(uri)

    def check_writable(self) -> None:
        """Write and remove a small file. StoreError names the URI, the reason and the fix."""
        probe = f".probe-{secrets.token_hex(8)}"
        write_now(self.files, probe, b"ganray")
        self.files.remove(probe)
        self._marker.check()

    def require(self) -> None:
        """StoreError where there is no store at this place, or something else."""
        self._marker.require()

    def _append(self, table: str, rows: Sequence[Row]) -> None:
        records = [row.to_dict() for row in rows]
        self._marker.ensure()
        content = to_parquet(pa.Table.from_pylist(records, schema=TABLES[table]))
        name = f"{safe(records[0]['trial_id'])}-{new_sequence()}.parquet"
        self.files.write(f"{table}/{partition(records[0]['experiment'])}/{name}", content)


def new_sequence() -> str:
    """What ends the name of a new file: later ones sort after earlier ones."""
    # The random part keeps two writers apart that share a clock tick.
    return f"{time.time_ns():020d}{secrets.token_hex(4)}"


def to_parquet(rows: pa.Table, rows_per_group: int = 65_536) -> bytes:
    """A whole parquet file, compressed by zstd."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", row_group_size=rows_per_group)
    content: bytes = sink.getvalue().to_pybytes()
    return content
