"""The published numbers that the package carries."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

from ganray.evaluation.protocols import PROTOCOLS
from ganray.store import published as module
from ganray.store.published import PROTOCOL_OF, PUBLISHED, published, status_of

RAW = Path(module.__file__).with_name("published.csv")


def test_every_row_is_typed_and_has_its_source():
    table = published()
    assert table.schema.equals(PUBLISHED)
    assert table.num_rows == 372
    assert table.schema.field("value").type == pa.float64()
    for column in ("paper", "method", "metric", "protocol", "value", "status", "note", "source_url"):
        assert table[column].null_count == 0, column


def test_known_numbers_are_there():
    rows = [
        (row["value"], row["status"], row["n_images"])
        for row in published().to_pylist()
        if (row["paper"], row["method"], row["dataset"]) == ("FastGAN", "FastGAN (Skip+decode)", "Obama")
    ]
    assert rows == [(41.05, "secondary", 100)]
    assert {row["status"] for row in published().to_pylist() if row["paper"] == "DiffAugment"} == {"primary"}


def test_metrics_and_protocols_are_one_to_one():
    pairs = {(row["metric"], row["protocol"]) for row in published().to_pylist()}
    assert pairs == set(PROTOCOL_OF.items())
    assert len(set(PROTOCOL_OF.values())) == len(PROTOCOL_OF)
    # Only one of them is a protocol of ours: our numbers compare with no other published metric.
    assert set(PROTOCOL_OF.values()) & set(PROTOCOLS) == {"fid_5k_train"}
    assert PROTOCOL_OF["FID_5k_vs_train"] == "fid_5k_train"


def test_empty_cells_are_nulls_and_status_follows_the_note():
    with RAW.open(newline="", encoding="utf-8") as stream:
        raw = list(csv.DictReader(stream))
    for row, typed in zip(raw, published().to_pylist(), strict=True):
        assert typed["status"] == status_of(row["note"])
        assert (typed["n_images"] is None) == (row["n_images"] == "")
        assert (typed["variant"] is None) == (row["variant"] == "")


@pytest.mark.parametrize(
    ("note", "status"),
    [
        ("[read: primary README] fid5k-train", "primary"),
        ("[read: SECONDARY Korean note] primary meaning uncertain", "secondary"),
        ("[read: secondary, slides] ", "secondary"),
        ("[read: issue thread] secondary hand", "other"),
        (None, "other"),
    ],
)
def test_only_the_bracket_says_how_it_was_read(note, status):
    assert status_of(note) == status


def test_nothing_of_the_shared_file_is_lost(shared_data):
    with (shared_data.parent / "published_fid.csv").open(newline="", encoding="utf-8") as stream:
        shared = list(csv.DictReader(stream))
    with RAW.open(newline="", encoding="utf-8") as stream:
        ours = [{k: v for k, v in row.items() if k in shared[0]} for row in csv.DictReader(stream)]
    assert ours == shared
