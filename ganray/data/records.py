"""What is known of each fetched data set: `NAME.json` beside the folder NAME, in the catalogue's folder."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ganray.data.paths import DATA_VARIABLE, data_root
from ganray.errors import DataError

_REMEDIES = {
    errno.ENOSPC: "the disk is full: make room there",
    errno.EDQUOT: "your quota is used up: make room there",
    errno.EROFS: "that disk is mounted read-only: mount it for writing",
    errno.EACCES: "give this user the permission to write there",
    errno.EPERM: "give this user the permission to write there",
    errno.ENOTDIR: "part of that path is a file: remove it",
    errno.EEXIST: "part of that path is a file: remove it",
}


@dataclass(frozen=True)
class Record:
    """How a data set came here."""

    place: str
    """Folder of the images: relative to the record's own folder where it lies in there, else absolute."""
    source: str
    """Address without query, or the local path that the user named."""
    n_images: int
    count_accepted: bool
    """`--accept-count` overruled the catalogue's number of images."""
    fetched_at: str
    """UTC, ISO 8601."""
    checksums: dict[str, str] = field(default_factory=dict)
    """Address without query, or path of a local zip -> SHA-256 of the zip that came from there first."""


@dataclass(frozen=True)
class Present:
    """A data set that is here."""

    place: Path
    record: Record


def read_record(name: str, root: Path | None = None) -> Record | None:
    """The record of a data set in a catalogue's folder, or None. Raises DataError where it is damaged."""
    path = _path(name, root)
    try:
        raw = json.loads(path.read_text())
        return Record(**{each.name: raw[each.name] for each in fields(Record)})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{path} is damaged; remove it and run `ganray data fetch {name}` again (the images stay where they are)"
        ) from None


def write_record(name: str, record: Record, root: Path) -> None:
    """Put a record in place, whole or not at all. OSError where it cannot be written."""
    path = _path(name, root)
    temporary = path.with_name(f".{name}-{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(json.dumps(asdict(record), indent=1))
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def locate(name: str, root: Path | None = None) -> Present | None:
    """Where a data set lies, or None where it was never fetched or its folder is gone."""
    root = root or data_root()
    record = read_record(name, root)
    if record is None:
        return None
    place = root / record.place
    return Present(place, record) if place.is_dir() else None


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Faults of the disk become a DataError with the folder, the reason and the fix."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the path")
        raise DataError(
            f"cannot write to {root}: {error.strerror or error}; {remedy}, or choose another folder with "
            f"--folder or {DATA_VARIABLE}. What was downloaded so far is kept, the next call goes on from there"
        ) from error


def _path(name: str, root: Path | None) -> Path:
    return (root or data_root()) / f"{name}.json"
