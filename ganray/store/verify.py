"""Looks through a whole store: torn files, wrong columns, missing keys, references that lead nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ganray.errors import StoreError
from ganray.store.compact import version_of
from ganray.store.read import PARTITION, experiment_of
from ganray.store.schema import SCHEMA_VERSION, TABLES
from ganray.store.spool import write_now
from ganray.store.store import Store

QUARANTINE = "quarantine"
"""The folder at the store's root that torn files are moved to, under the path that they had."""
ARTIFACT_COLUMNS = ("grid_uri", "pairs_uri")
_MOST_LISTED = 5


@dataclass(frozen=True)
class Finding:
    """Something wrong in a store."""

    place: str
    """A file's path below the root, or a table."""
    what: str
    torn: bool = False
    """The file cannot be read, so it can be moved to the quarantine."""


@dataclass(frozen=True)
class Verdict:
    """What a look through a store found."""

    files: int
    rows: int
    """In all files, old ones too."""
    findings: tuple[Finding, ...]

    @property
    def torn(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.torn]


def verify(store: Store, watch: Callable[[str], None] = lambda path: None) -> Verdict:
    """Read every file of a store and follow every reference. Changes nothing. StoreError where there is no store."""
    store.require()
    files = rows = 0
    findings: list[Finding] = []
    for table in TABLES:
        for path in store.reader.paths(table):
            relative = store.files.relative(path)
            watch(relative)
            files += 1
            try:
                rows += _check_file(store, table, path, relative, findings)
            except FileNotFoundError:
                continue  # compacted meanwhile
            except (pa.ArrowException, OSError, ValueError) as error:
                findings.append(
                    Finding(
                        relative, f"cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}", torn=True
                    )
                )
    findings += _dangling(store)
    return Verdict(files, rows, tuple(findings))


def _check_file(store: Store, table: str, path: str, relative: str, findings: list[Finding]) -> int:
    content = pq.ParquetFile(pa.BufferReader(store.files.read(path))).read()
    schema = TABLES[table]
    if (version := version_of(content.schema)) > SCHEMA_VERSION:
        findings.append(Finding(relative, f"has schema version {version}, newer than this GANRay's {SCHEMA_VERSION}"))
    for field in schema:
        if field.name not in content.schema.names:
            if not field.nullable:
                findings.append(Finding(relative, f"lacks the column {field.name}"))
        elif not _fits(content.schema.field(field.name).type, field.type):
            kind = content.schema.field(field.name).type
            findings.append(Finding(relative, f"column {field.name} is {kind}, not {field.type}"))
        elif not field.nullable and content[field.name].null_count:
            findings.append(Finding(relative, f"column {field.name} has {content[field.name].null_count} nulls"))
    if "experiment" in content.schema.names:
        expected = experiment_of(relative.split("/")[1])
        strange = sorted(set(map(str, pc.unique(content["experiment"]).to_pylist())) - {expected})
        if strange:
            findings.append(Finding(relative, f"lies with {expected!r} and holds rows of {_some(strange)}"))
    return int(content.num_rows)


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    return bool(found.equals(wanted) or (pa.types.is_list(found) and pa.types.is_list(wanted)))


def _dangling(store: Store) -> list[Finding]:
    """Rows without their trial, and pictures and checkpoints that rows name and that are not there."""
    trials = store.trials(columns=["trial_id", "status", "checkpoint_uri"])
    known = trials["trial_id"]
    findings = []
    for table, read in (("evaluations", store.evaluations), ("curves", store.curves)):
        others = pc.unique(read(columns=["trial_id"])["trial_id"])
        orphans = others.filter(pc.invert(pc.is_in(others, value_set=known.combine_chunks()))).to_pylist()
        if orphans:
            findings.append(Finding(table, f"rows of {len(orphans)} trials that are not in trials: {_some(orphans)}"))
    there = {file.path for file in store.files.walk("artifacts")}
    pictures = store.evaluations(columns=[*ARTIFACT_COLUMNS])
    for column in ARTIFACT_COLUMNS:
        uris = [uri for uri in pc.unique(pictures[column]).to_pylist() if uri]
        lost = [uri for uri in uris if _relative_artifact(uri) not in there and not _is_local_file(uri)]
        if lost:
            findings.append(Finding("evaluations", f"{column}: {len(lost)} pictures are not there: {_some(lost)}"))
    checkpoints = [uri for uri in pc.unique(trials["checkpoint_uri"]).to_pylist() if uri and "://" not in uri]
    lost = [uri for uri in checkpoints if not Path(uri).exists()]
    if lost:
        findings.append(
            Finding("trials", f"checkpoint_uri: {len(lost)} are not on this machine (or deleted): {_some(lost)}")
        )
    return findings


def _relative_artifact(uri: str) -> str:
    return f"artifacts/{PARTITION}{uri.rpartition(f'/artifacts/{PARTITION}')[2]}"


def _is_local_file(uri: str) -> bool:
    return "://" not in uri and Path(uri).exists()


def quarantine(store: Store, findings: Iterable[Finding]) -> list[str]:
    """Move torn files to the quarantine, under the paths that they had; returns where they are now.

    The copy is written before the original goes. StoreError where that fails; nothing is lost then.
    """
    moved = []
    for finding in findings:
        if not finding.torn:
            continue
        try:
            content = store.files.read(f"{store.uri}/{finding.place}")
        except FileNotFoundError:
            continue
        target = f"{QUARANTINE}/{finding.place}"
        write_now(store.files, target, content)
        if store.files.read(f"{store.uri}/{target}") != content:
            raise StoreError(f"{store.uri}/{target} did not come back as it was written; {finding.place} stays")
        store.files.remove(finding.place)
        moved.append(target)
    return moved


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST_LISTED]) + (f" and {len(names) - _MOST_LISTED} more" if names[_MOST_LISTED:] else "")
