"""Files that could not reach a remote store wait on the local disk, and are brought there later.

    SPOOL/STORE/store.json      which store the files are for
    SPOOL/STORE/files/...       the files under the paths that they will have there

A file is removed only after the store has it. Files are immutable and keep their names, so bringing one twice is
harmless: a spool survives any crash.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs
from filelock import FileLock, Timeout

from ganray.errors import StoreError
from ganray.store import remote as remote_
from ganray.store.files import Files, Found, LocalFiles, open_files
from ganray.store.remote import RemoteFiles

_log = logging.getLogger(__name__)

SPOOL_VARIABLE = "GANRAY_SPOOL_DIR"
"""The environment variable that names the folder of all spools of this machine."""
PAUSE_S = 60.0
"""How long a store that failed is not tried again: training must not wait for a time-out at each row."""


def spool_root() -> Path:
    """The folder of all spools: `GANRAY_SPOOL_DIR`, else `spool` in the user's state folder."""
    if os.environ.get(SPOOL_VARIABLE):
        return Path(os.environ[SPOOL_VARIABLE]).expanduser().absolute()
    import platformdirs

    return platformdirs.user_state_path("ganray") / "spool"


class Spool:
    """The files that wait for one store."""

    def __init__(self, uri: str, root: Path | None = None) -> None:
        self.uri = uri
        self.folder = (root or spool_root()) / hashlib.sha256(uri.encode()).hexdigest()[:16]
        self._files = LocalFiles(self.folder / "files")

    def put(self, path: str, data: bytes) -> None:
        """Keep a file until the store can be reached. StoreError where this disk cannot take it either."""
        if not (self.folder / "store.json").exists():
            LocalFiles(self.folder).write("store.json", json.dumps({"uri": self.uri}).encode())
        self._files.write(path, data)

    def get(self, path: str) -> bytes | None:
        """A file that waits; None where it does not."""
        try:
            return self._files.read(str(self.folder / "files" / path))
        except FileNotFoundError:
            return None

    def remove(self, path: str) -> None:
        """A file waits no longer; nothing happens where it did not."""
        self._files.remove(path)

    def waiting(self) -> list[Found]:
        """The files that wait, by path."""
        return self._files.walk()

    def drain(self, target: RemoteFiles) -> Iterator[Found]:
        """Bring the files to the store, oldest name first, and yield each once it is there.

        Another process that drains the same spool is left to it. StoreError where the store cannot be written: what
        is left stays.
        """
        if not self.waiting():
            return
        lock = FileLock(self.folder / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return
        except (OSError, NotImplementedError) as error:  # the latter: a file system that knows no locks
            raise StoreError(
                f"cannot lock the spool {self.folder}: {remote_.reason(error)}; set {SPOOL_VARIABLE} to a folder on a "
                f"local disk, and move the files there"
            ) from error
        try:
            for file in self.waiting():
                data = self.get(file.path)
                if data is None:
                    continue
                target.write(file.path, data)
                if self.get(file.path) == data:  # else a newer one has come to wait meanwhile
                    self.remove(file.path)
                yield file
        finally:
            lock.release()


def all_spools() -> list[Spool]:
    """The spools of this machine that hold files."""
    spools = []
    for manifest in sorted(spool_root().glob("*/store.json")):
        try:
            spools.append(Spool(json.loads(manifest.read_text())["uri"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s is damaged and left alone: %s", manifest, error)
    return [spool for spool in spools if spool.waiting()]


_down_until: dict[str, float] = {}
"""Which stores have failed, and until when (monotonic seconds) each is not tried again, for all of this process."""


class SpooledFiles:
    """A remote store whose writes do not fail for its sake: what it does not take now waits on the local disk."""

    def __init__(self, remote: RemoteFiles) -> None:
        self._remote = remote
        self.root = remote.root
        self.arrow: pafs.FileSystem = remote.arrow
        self.spool = Spool(remote.root)
        self._set_patience()

    @property
    def is_down(self) -> bool:
        """Whether the store has failed just now, so that asking it again would only cost time."""
        return time.monotonic() < _down_until.get(self.root, 0.0)

    def _set_patience(self) -> None:
        # After an outage one attempt is enough to learn whether it is over.
        self._remote.patience_s = 0.0 if self.root in _down_until else remote_.RETRY_S

    def files_in(self, folder: str) -> list[str]:
        return self._remote.files_in(folder)

    def folders_in(self, folder: str) -> list[str]:
        return self._remote.folders_in(folder)

    def walk(self, folder: str = "") -> list[Found]:
        return self._remote.walk(folder)

    def relative(self, path: str) -> str:
        return self._remote.relative(path)

    def read(self, path: str) -> bytes:
        try:
            return self._remote.read(path)
        except (FileNotFoundError, StoreError):
            waiting = self.spool.get(self.relative(path))
            if waiting is None:
                raise
            return waiting

    def remove(self, path: str) -> None:
        self._remote.remove(path)

    def write(self, path: str, data: bytes) -> str:
        """The URI that the file has, or will have once the spool is drained. StoreError where not even that works."""
        if self.is_down:
            self.spool.put(path, data)
            return f"{self.root}/{path}"
        began = time.monotonic()
        self._set_patience()
        try:
            uri = self._remote.write(path, data)
        except StoreError as error:
            # A store that hangs costs its time-outs at each attempt; they may take a tenth of the time at most.
            _down_until[self.root] = time.monotonic() + max(PAUSE_S, 10 * (time.monotonic() - began))
            self.spool.put(path, data)
            _log.warning("WARNING: %s. It waits in %s; `ganray store drain` brings it there", error, self.spool.folder)
            return f"{self.root}/{path}"
        _down_until.pop(self.root, None)
        self._drain_quietly(written=path)
        return uri

    def write_now(self, path: str, data: bytes) -> str:
        """The URI of a file that the store has. StoreError where it does not take it now."""
        return self._remote.write(path, data)

    def drain(self) -> Iterator[Found]:
        """Bring what waits to the store. StoreError where it cannot be written."""
        return self.spool.drain(self._remote)

    def _drain_quietly(self, written: str) -> None:
        try:
            self.spool.remove(written)  # an earlier one of the same name: the newer one is there
            count = sum(1 for _ in self.drain())
        except StoreError as error:
            _log.warning("WARNING: the spool of %s is not empty yet: %s", self.root, error)
        else:
            if count:
                _log.warning("%s is back: %d files that waited are there now", self.root, count)


def spooled(uri: str) -> SpooledFiles:
    """The remote store of that URI. StoreError where it is a local folder, which has no spool."""
    files: Files = open_files(uri)
    if not isinstance(files, SpooledFiles):
        raise StoreError(f"{uri} is a folder of this machine: nothing ever waits for it")
    return files


def write_now(files: Files, path: str, content: bytes) -> str:
    """Write a file that must be in the store afterwards and not in a spool. StoreError where it cannot be."""
    return files.write_now(path, content) if isinstance(files, SpooledFiles) else files.write(path, content)
