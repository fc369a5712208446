"""Numbers that papers published, read once and carried in the package with where each was read.

`published.csv` is part of the package: a wheel has it, and nobody types a number twice.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Literal

import pyarrow as pa

Status = Literal["primary", "secondary", "other"]

PROTOCOL_OF: dict[str, str] = {
    "FID_5k_vs_train": "fid_5k_train",
    "FID_50k_vs_train": "fid_50k_train",
    "FID_50k_vs_full": "fid_50k_full",
    "FID_protocol_unstated": "fid_unstated",
    "FID": "fid_unnamed",
    "FID_real_vs_real": "fid_reals",
    "cleanFID": "clean_fid",
    "SwAV-FID": "swav_fid",
    "LPIPS_backtracking": "lpips_backtracking",
    "Precision": "precision",
    "Recall": "recall",
}
"""Metric as it was noted down to the name of its protocol, one to one: two of them never share a ranking.

`fid_5k_train` is ours too: 5,000 samples against all training images. The papers' Inception, resizing and choice of
the checkpoint are their own, so that a difference of a point or two may be the code's.
"""

_TEXT, _INT, _REAL = pa.string(), pa.int64(), pa.float64()

_COLUMNS: list[tuple[str, pa.DataType, str]] = [
    ("paper", _TEXT, "the paper, or the repository, that gives the number"),
    ("year", _INT, "when it appeared"),
    ("arxiv", _TEXT, "its number on arXiv, where it has one"),
    ("method", _TEXT, "what was trained"),
    ("variant", _TEXT, "its variant, or the table of the paper"),
    ("dataset", _TEXT, "name of the data set as the papers write it"),
    ("n_images", _INT, "training images; null where not stated"),
    ("resolution", _INT, "side of the square images in pixels"),
    ("metric", _TEXT, "the metric as it was noted down"),
    ("protocol", _TEXT, "the metric's normalised name, one to one; compare within one of them only"),
    ("value", _REAL, "the number"),
    ("train_budget", _TEXT, "training budget as stated"),
    ("hardware", _TEXT, "hardware as stated"),
    ("status", _TEXT, "primary: read in the authors' own text; secondary: in slides, notes or aggregators; other"),
    ("note", _TEXT, "how it was read, and what is uncertain"),
    ("source_url", _TEXT, "where it was read"),
]

PUBLISHED: pa.Schema = pa.schema(
    [pa.field(name, kind, metadata={"description": text}) for name, kind, text in _COLUMNS],
    metadata={"ganray.table": "published"},
)
"""The columns of `published`."""


@lru_cache(maxsize=1)
def published() -> pa.Table:
    """All published numbers, in the order of the file; columns as in `PUBLISHED`, empty cells as nulls."""
    from pyarrow import csv

    data = resources.files(__package__).joinpath("published.csv").read_bytes()
    kinds = {field.name: field.type for field in PUBLISHED}
    rows = csv.read_csv(
        pa.BufferReader(data),
        convert_options=csv.ConvertOptions(
            column_types=kinds, include_columns=PUBLISHED.names, strings_can_be_null=True, null_values=[""]
        ),
    )
    return rows.cast(PUBLISHED)


def status_of(note: str | None) -> Status:
    """How a number was read, by the bracket that its note begins with."""
    bracket = (note or "").partition("]")[0].casefold()
    if "primary" in bracket:
        return "primary"
    return "secondary" if "secondary" in bracket else "other"
