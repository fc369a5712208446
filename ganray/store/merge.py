"""Takes the newest rows and the artifacts of another store in. Doing it twice changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from ganray.errors import StoreError
from ganray.store.files import Found
from ganray.store.read import MERGED, partition
from ganray.store.schema import TABLES
from ganray.store.spool import write_now
from ganray.store.store import Store, to_parquet


@dataclass(frozen=True)
class Merged:
    """What came from one experiment of the other store."""

    experiment: str
    rows: dict[str, int]
    """By table."""
    artifacts: int
    """Copied now; those that were here already are not counted."""


def merge(
    store: Store,
    other: Store,
    experiments: list[str] | None = None,
    watch: Callable[[str], None] = lambda experiment: None,
) -> Iterator[Merged]:
    """Merge these experiments of another store, or all; yields what was done, as soon as it is.

    Where both hold a row of the same key, the newer one counts. Nothing is copied unless all can be. StoreError
    where there is no such store or experiment, and where an experiment is defined in another way here.
    """
    other.require()
    store.check_writable()
    known = other.experiments()
    wanted = known if experiments is None else experiments
    if missing := sorted(set(wanted) - set(known)):
        raise StoreError(f"{other.uri} holds no experiment {', '.join(missing)}; it holds {', '.join(known)}")
    for experiment in wanted:
        _refuse_other_definition(store, other, experiment)
    here = {file.path: file for file in store.files.walk("artifacts")}
    for experiment in wanted:
        watch(experiment)
        # Artifacts first: a row that is there must find its picture.
        artifacts = _copy_artifacts(store, other, experiment, here)
        yield Merged(experiment, {table: _copy_rows(store, other, table, experiment) for table in TABLES}, artifacts)


def definitions(store: Store, experiment: str) -> set[str]:
    """The hashes of the definitions under which trials of that name were run; rows of version 1 have none."""
    found = store.trials(experiment, columns=["definition_hash"], where=pads.field("definition_hash").is_valid())
    return set(pc.unique(found["definition_hash"]).to_pylist())


def _refuse_other_definition(store: Store, other: Store, experiment: str) -> None:
    here, there = definitions(store, experiment), definitions(other, experiment)
    if here and there and here != there:
        raise StoreError(
            f"experiment {experiment!r} is not the same in {store.uri} and {other.uri}: its definition has the hash "
            f"{', '.join(sorted(h[:12] for h in here))} here and {', '.join(sorted(h[:12] for h in there))} there, so "
            f"their trials do not compare; merge the other experiments with --experiment NAME"
        )


def _copy_rows(store: Store, other: Store, table: str, experiment: str) -> int:
    rows: pa.Table = {"trials": other.trials, "evaluations": other.evaluations, "curves": other.curves}[table](
        experiment
    )
    if rows.num_rows:
        content = to_parquet(rows.cast(TABLES[table]))
        # Named by its content, so that the same rows again are the same file; of equally old rows those here count.
        name = f"{MERGED}{hashlib.sha256(content).hexdigest()[:24]}-{0:020d}.parquet"
        write_now(store.files, f"{table}/{partition(experiment)}/{name}", content)
    return int(rows.num_rows)


def _copy_artifacts(store: Store, other: Store, experiment: str, here: dict[str, Found]) -> int:
    count = 0
    for file in other.files.walk(f"artifacts/{partition(experiment)}"):
        mine = here.get(file.path)
        if mine is None or (mine.size_bytes != file.size_bytes and mine.modified_s < file.modified_s):
            write_now(store.files, file.path, other.files.read(f"{other.uri}/{file.path}"))
            count += 1
    return count
