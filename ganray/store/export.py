"""The store's rows for other people: one parquet or CSV file, or a folder as the Hugging Face hub reads it."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ganray.errors import StoreError
from ganray.store.query import VIEWS, query
from ganray.store.schema import TABLES
from ganray.store.store import Store

Form = Literal["parquet", "csv", "huggingface"]

_PER_SHARD = 500_000


def rows_of(store: Store, view: str, experiments: list[str] | None) -> pa.Table:
    """All rows of a view, or those of some experiments. StoreError where there is no such view or experiment."""
    store.require()
    if view not in VIEWS:
        raise StoreError(f"no view {view!r}; there are {', '.join(VIEWS)}")
    known = store.experiments()
    if missing := sorted(set(experiments or ()) - set(known)):
        raise StoreError(f"no experiment {', '.join(missing)} in the store {store.uri}; it holds {', '.join(known)}")
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in experiments or ())
    condition = f" WHERE experiment IN ({names})" if names and view != "published" else ""
    return query(store, f"SELECT * FROM {view}{condition}")


def export_file(rows: pa.Table, form: Literal["parquet", "csv"], path: Path) -> None:
    """Write all rows to one file, whole or not at all. Lists are joined by commas in CSV. StoreError on a fault."""

    def write(temporary: Path) -> None:
        if form == "parquet":
            pq.write_table(rows, temporary, compression="zstd")
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(rows.schema.names)
            for batch in rows.to_batches(max_chunksize=10_000):
                writer.writerows(_flat(batch))

    _replacing(path, write)


def _flat(batch: pa.RecordBatch) -> Iterable[list[object]]:
    for row in zip(*(column.to_pylist() for column in batch.columns)):
        yield [
            ",".join(map(str, v)) if isinstance(v, list) else v.isoformat() if hasattr(v, "isoformat") else v
            for v in row
        ]


def export_folder(store: Store, folder: Path, experiments: list[str] | None) -> dict[str, int]:
    """Write a README and `data/TABLE/train-*.parquet`, as `datasets.load_dataset(FOLDER, TABLE)` reads them.

    Returns the rows of each table. StoreError where the folder holds something already or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} holds something already; name a new folder with -o")
    counts: dict[str, int] = {}

    def write(temporary: Path) -> None:
        temporary.mkdir()
        for view in (*TABLES, "results"):
            rows = rows_of(store, view, experiments)
            counts[view] = rows.num_rows
            shards = max(1, -(-rows.num_rows // _PER_SHARD))
            (temporary / "data" / view).mkdir(parents=True)
            for index in range(shards):
                name = f"train-{index:05d}-of-{shards:05d}.parquet"
                part = rows.slice(index * _PER_SHARD, _PER_SHARD)
                pq.write_table(part, temporary / "data" / view / name, compression="zstd")
        (temporary / "README.md").write_text(_card(counts), encoding="utf-8")

    _replacing(folder, write)
    return counts


def _card(counts: dict[str, int]) -> str:
    configs = "".join(
        f"- config_name: {view}\n  data_files:\n  - split: train\n    path: data/{view}/train-*.parquet\n"
        for view in counts
    )
    sections = "\n".join(
        f"## {name}\n\n{VIEWS[name]}: {counts[name]} rows.\n\n| column | type | |\n|---|---|---|\n"
        + "".join(f"| {f.name} | {f.type} | {f.metadata[b'description'].decode()} |\n" for f in schema)
        for name, schema in TABLES.items()
    )
    return (
        f"---\npretty_name: Results of GANRay\ntags:\n- gan\n- few-shot\nconfigs:\n{configs}---\n\n"
        f"# Results of GANRay\n\n"
        f"Distances under different protocols or extractors do not compare: `protocol` and `extractor_checksum` say "
        f"which is which.\n\n{sections}"
    )


def _replacing(path: Path, write: Callable[[Path], None]) -> None:
    """Have something written beside its place and moved there when it is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as place:
            temporary = Path(place, path.name)
            write(temporary)
            if path.is_dir():
                path.rmdir()  # empty: looked at before
            shutil.move(temporary, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}; choose another place with -o") from error
