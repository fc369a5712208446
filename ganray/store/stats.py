"""What is in a store: files, rows and bytes of each experiment."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from ganray.store.files import Found
from ganray.store.read import PARTITION, experiment_of, is_compacted
from ganray.store.schema import TABLES
from ganray.store.spool import SpooledFiles
from ganray.store.store import Store

ARTIFACTS = "artifacts"


@dataclass(frozen=True)
class Part:
    """One table of one experiment, or its artifacts."""

    experiment: str
    table: str
    files: int
    compacted: int
    """How many of the files are the outcome of a compaction."""
    rows: int | None
    """Newest rows; None for artifacts."""
    size_bytes: int


def stats(store: Store) -> list[Part]:
    """The parts of a store, by experiment. StoreError where there is none."""
    store.require()
    parts = []
    for table in (*TABLES, ARTIFACTS):
        folders: dict[str, list[Found]] = defaultdict(list)
        for file in store.files.walk(table):
            folder = file.path.split("/")[1]
            if folder.startswith(PARTITION):
                folders[folder].append(file)
        rows = _rows(store, table) if table in TABLES else None
        for folder, files in folders.items():
            experiment = experiment_of(folder)
            parts.append(
                Part(
                    experiment=experiment,
                    table=table,
                    files=len(files),
                    compacted=sum(is_compacted(file.path) for file in files),
                    rows=None if rows is None else rows[experiment],
                    size_bytes=sum(file.size_bytes for file in files),
                )
            )
    return sorted(parts, key=lambda part: part.experiment)


def _rows(store: Store, table: str) -> Counter[str]:
    read = {"trials": store.trials, "evaluations": store.evaluations, "curves": store.curves}[table]
    counted = read(columns=["experiment"]).group_by("experiment").aggregate([([], "count_all")])
    return Counter(dict(zip(counted["experiment"].to_pylist(), counted["count_all"].to_pylist())))


def waiting(store: Store) -> list[Found]:
    """The files that wait on this machine for a remote store."""
    return store.files.spool.waiting() if isinstance(store.files, SpooledFiles) else []
