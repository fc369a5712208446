"""Immutable files on a local disk or behind fsspec: listed, read whole, written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow.fs as pafs

from ganray.errors import StoreError
from ganray.recipe.uris import is_remote, refuse_credentials

_REMEDIES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your quota on that disk",
    errno.EROFS: "that disk is mounted read-only: mount it for writing",
    errno.EACCES: "give this user the permission to write there",
    errno.EPERM: "give this user the permission to write there",
    errno.ENOTDIR: "part of that path is a file: remove it",
    errno.EEXIST: "part of that path is a file: remove it",
    errno.ENAMETOOLONG: "use a shorter name",
}
ELSEWHERE = "or choose another store with --store URI or GANRAY_STORE"


@dataclass(frozen=True)
class Found:
    """A file as a listing shows it."""

    path: str
    """Relative to the root, with forward slashes."""
    size_bytes: int
    modified_s: float
    """Seconds since 1970; 0 where the backend does not say."""


class Files(Protocol):
    """A root folder that holds immutable files. Paths are relative to the root, with forward slashes."""

    root: str
    """What a user types to name the root."""
    arrow: pafs.FileSystem
    """The same files as pyarrow sees them."""

    def files_in(self, folder: str) -> list[str]:
        """Full paths of the files right in a folder; empty where there is no such folder."""

    def folders_in(self, folder: str) -> list[str]:
        """Names of the folders right in a folder."""

    def walk(self, folder: str = "") -> list[Found]:
        """Every file below a folder, sorted by path; files whose names begin with a dot are left out."""

    def relative(self, path: str) -> str:
        """The path below the root of a full path that `files_in` gave."""

    def read(self, path: str) -> bytes:
        """The content of a full path or URI. FileNotFoundError where there is none, StoreError on a fault."""

    def write(self, path: str, data: bytes) -> str:
        """The URI of the new file. StoreError, and no partial file, where it cannot be written."""

    def remove(self, path: str) -> None:
        """Remove a file below the root; nothing happens where there is none. StoreError on a fault."""


def open_files(uri: str | Path) -> Files:
    """The files below a local path or an fsspec URI. StoreError where the URI means nothing or holds a password."""
    text = str(uri)
    if not is_remote(text):
        # Unlike Path's own, this expanduser knows no error.
        return LocalFiles(Path(os.path.expanduser(text.split("://", 1)[-1])).absolute())
    try:
        refuse_credentials(text)
    except ValueError as error:
        raise StoreError(f"the store: {error}") from None
    from ganray.store.remote import RemoteFiles
    from ganray.store.spool import SpooledFiles

    return SpooledFiles(RemoteFiles(text))


class LocalFiles:
    """Files on a local disk: written under a temporary name, synced and moved."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.arrow: pafs.FileSystem = pafs.LocalFileSystem()

    def files_in(self, folder: str) -> list[str]:
        return self._entries(folder, files=True)

    def folders_in(self, folder: str) -> list[str]:
        return [os.path.basename(path) for path in self._entries(folder, files=False)]

    def _entries(self, folder: str, files: bool) -> list[str]:
        path = os.path.join(self.root, folder)
        try:
            with os.scandir(path) as entries:
                return sorted(e.path for e in entries if e.is_file() == files and not e.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"cannot read the store at {path}: {error.strerror}") from error

    def walk(self, folder: str = "") -> list[Found]:
        found = []
        for place, folders, names in os.walk(os.path.join(self.root, folder)):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = os.path.join(place, name)
                with suppress(FileNotFoundError):  # removed since
                    status = os.stat(path)
                    if not name.startswith("."):
                        found.append(Found(self.relative(path), status.st_size, status.st_mtime))
        return sorted(found, key=lambda file: file.path)

    def relative(self, path: str) -> str:
        return Path(os.path.relpath(path, self.root)).as_posix()

    def read(self, path: str) -> bytes:
        try:
            return Path(path.removeprefix("file://")).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}") from error

    def write(self, path: str, data: bytes) -> str:
        target = Path(self.root, path)
        # The leading dot hides the file from every reader of hive partitions while it is being written.
        temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
            _sync_folder(target.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            remedy = _REMEDIES.get(error.errno or 0, "check the path")
            raise StoreError(f"cannot write {target}: {error.strerror}; {remedy}, {ELSEWHERE}") from error
        return str(target)

    def remove(self, path: str) -> None:
        target = Path(self.root, path)
        try:
            target.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {target}: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; some network disks cannot, and need not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
