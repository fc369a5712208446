"""Immutable files on a local disk or behind fsspec: listed, read whole, written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import pyarrow.fs as pafs

from ganray.errors import StoreError

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
_ELSEWHERE = "or choose another store with --store URI or GANRAY_STORE"


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

    def read(self, path: str) -> bytes:
        """The content of a full path or URI. FileNotFoundError where there is none, StoreError on a fault."""

    def write(self, path: str, data: bytes) -> str:
        """The URI of the new file. StoreError, and no partial file, where it cannot be written."""

    def remove(self, path: str) -> None:
        """Remove a file below the root."""


def open_files(uri: str | Path) -> Files:
    """The files below a local path or an fsspec URI. StoreError where the URI means nothing."""
    text = str(uri)
    if "://" in text and not text.startswith(("file://", "local://")):
        return RemoteFiles(text)
    return LocalFiles(Path(text.split("://", 1)[-1]).expanduser().absolute())


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
            raise StoreError(f"cannot write {target}: {error.strerror}; {remedy}, {_ELSEWHERE}") from error
        return str(target)

    def remove(self, path: str) -> None:
        Path(self.root, path).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; some network disks cannot, and need not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RemoteFiles:
    """Files behind fsspec (S3, GCS, memory, ...): each written by a single PUT, which is atomic there."""

    def __init__(self, uri: str) -> None:
        import fsspec

        self.root = uri.rstrip("/")
        try:
            self._fs, self._base = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError) as error:
            raise StoreError(f"cannot open the store {uri}: {error}") from error
        self._base = self._base.rstrip("/")
        self.arrow: pafs.FileSystem = pafs.PyFileSystem(pafs.FSSpecHandler(self._fs))

    # Every backend has exceptions of its own (botocore's are no OSError), hence the broad handlers below.

    def files_in(self, folder: str) -> list[str]:
        return self._entries(folder, "file")

    def folders_in(self, folder: str) -> list[str]:
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in self._entries(folder, "directory")]

    def _entries(self, folder: str, kind: str) -> list[str]:
        path = f"{self._base}/{folder}"
        try:
            self._fs.invalidate_cache()  # other writers add files all the time
            entries: list[dict[str, Any]] = self._fs.ls(path, detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise StoreError(f"cannot read the store {self.root}: {_reason(error)}") from error
        return sorted(e["name"] for e in entries if e["type"] == kind)

    def read(self, path: str) -> bytes:
        try:
            data: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise StoreError(f"cannot read {path}: {_reason(error)}") from error
        return data

    def write(self, path: str, data: bytes) -> str:
        try:
            self._fs.pipe_file(f"{self._base}/{path}", data)
        except Exception as error:
            raise StoreError(
                f"cannot write {self.root}/{path}: {_reason(error)}; check that the bucket exists and that "
                f"the environment holds credentials that may write there, {_ELSEWHERE}"
            ) from error
        return f"{self.root}/{path}"

    def remove(self, path: str) -> None:
        self._fs.rm_file(f"{self._base}/{path}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
