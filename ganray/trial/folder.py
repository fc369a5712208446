"""Where sweeps and trials keep their files: a folder, or an fsspec URI with a scratch folder on each machine."""

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganray.data.paths import cache_root
from ganray.errors import StoreError
from ganray.recipe.uris import is_remote, refuse_credentials
from ganray.store.remote import RETRY_S, file_system, reason, retried, upload

ATOMIC = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl")
"""Object stores: a file is there whole or not at all. Elsewhere it is written under another name and moved."""


@dataclass(frozen=True)
class Runs:
    """The root of all experiments' folders. Paths below it are relative, with forward slashes."""

    uri: str
    """An absolute path, or an fsspec URI without a slash at its end."""

    @classmethod
    def at(cls, place: str | Path) -> "Runs":
        """The runs at a path or a URI. Touches nothing. StoreError where the URI holds credentials."""
        text = str(place)
        if not is_remote(text):
            return cls(str(Path(text.split("://", 1)[-1]).expanduser().absolute()))
        try:
            return cls(refuse_credentials(text).rstrip("/"))
        except ValueError as error:
            raise StoreError(f"runs: {error}") from None

    @property
    def is_remote(self) -> bool:
        return is_remote(self.uri)

    @property
    def folder(self) -> Path:
        """The files on this machine: the runs themselves, or the working copies of what lies at the URI."""
        if not self.is_remote:
            return Path(self.uri)
        return cache_root().absolute() / "runs" / hashlib.sha256(self.uri.encode()).hexdigest()[:16]

    def place(self, relative: str) -> str:
        """The path or URI of a file, as rows name it."""
        return f"{self.uri}/{relative}" if self.is_remote else str(Path(self.uri) / relative)

    def send(self, relative: str, patience_s: float = RETRY_S) -> None:
        """Copy a file of the scratch folder to the URI, whole or not at all. StoreError where that fails."""
        source = str(self.folder / relative)

        def put() -> None:
            fs, base = self._open()
            target, size_bytes = f"{base}/{relative}", os.path.getsize(source)
            parent, _, name = target.rpartition("/")
            if self.uri.partition("://")[0] in ATOMIC:
                upload(fs, "put_file", size_bytes, source, target)
            else:
                fs.makedirs(parent, exist_ok=True)
                temporary = f"{parent}/.{name}.{secrets.token_hex(8)}.tmp"
                upload(fs, "put_file", size_bytes, source, temporary)
                fs.mv(temporary, target)

        self._attempt("write", relative, put, patience_s)

    def fetch(self, relative: str, target: Path, patience_s: float = RETRY_S) -> bool:
        """Copy a file from the URI to `target`, whole or not at all; False where there is none. StoreError."""
        temporary = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")

        def get() -> None:
            fs, base = self._open()
            fs.get_file(f"{base}/{relative}", str(temporary))

        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._attempt("read", relative, get, patience_s)
            os.replace(temporary, target)
        except FileNotFoundError:
            return False
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return True

    def copy(self, relative: str, target: str, patience_s: float = RETRY_S) -> None:
        """Copy a file at the URI to another name there, whole or not at all. StoreError where that fails."""

        def cp() -> None:
            fs, base = self._open()
            if self.uri.partition("://")[0] in ATOMIC:
                fs.cp_file(f"{base}/{relative}", f"{base}/{target}")
            else:
                temporary = f"{base}/{target}.{secrets.token_hex(8)}.tmp"
                fs.cp_file(f"{base}/{relative}", temporary)
                fs.mv(temporary, f"{base}/{target}")

        self._attempt("write", target, cp, patience_s)

    def exists(self, relative: str) -> bool:
        """Whether there is such a file at the URI. StoreError where it cannot be asked."""

        def ask() -> bool:
            fs, base = self._open()
            fs.invalidate_cache()
            return bool(fs.exists(f"{base}/{relative}"))

        found: bool = self._attempt("read", relative, ask, RETRY_S)
        return found

    def remove(self, relative: str, patience_s: float = RETRY_S) -> None:
        """Remove a file, or all files below a folder, at the URI. StoreError where that fails."""

        def rm() -> None:
            fs, base = self._open()
            fs.invalidate_cache()
            fs.rm(f"{base}/{relative}", recursive=True)

        with suppress(FileNotFoundError):
            self._attempt("remove", relative, rm, patience_s)

    def _open(self) -> tuple[Any, str]:
        fs, base = file_system(self.uri)
        return fs, base.rstrip("/")

    def _attempt(self, verb: str, relative: str, act: Any, patience_s: float) -> Any:
        # Every backend has exceptions of its own (botocore's are no OSError), hence the broad handler.
        try:
            return retried(act, patience_s)
        except FileNotFoundError:
            if verb != "write":
                raise
            raise StoreError(f"cannot write {self.place(relative)}: there is no such bucket or folder") from None
        except Exception as error:
            raise StoreError(
                f"cannot {verb} {self.place(relative)}: {reason(error)}; check the bucket, the network and the "
                f"credentials in the environment, or set `runs` to another place"
            ) from error
