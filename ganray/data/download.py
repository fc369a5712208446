"""A large file over HTTP: cut off, it goes on from where it stopped, in this call or a later one."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ganray.errors import DataError
from ganray.version import __version__

CHUNK_BYTES = 1 << 16
MAX_WAIT_S = 60.0


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server."""

    timeout_s: float = 30.0
    """Silence after which a connection is given up."""
    attempts: int = 5
    """In a row without a single new byte."""
    backoff_s: float = 1.0
    """Pause after the first failure; doubled after each further one."""


class Unreachable(DataError):
    """An address does not give the file."""


class _Transient(Exception):
    """This attempt failed; the next one may not."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True)
class _Version:
    """Which file a partial download is of, as the server named it."""

    etag: str | None
    last_modified: str | None
    total_bytes: int | None

    @property
    def validator(self) -> str | None:
        """What If-Range may hold: a strong ETag, or else the date."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        return strong or self.last_modified


def is_url(text: str) -> bool:
    """Whether this is a web address."""
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def without_secrets(url: str) -> str:
    """The address without user, query and fragment, which may hold passwords and signatures. Raises Unreachable."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may repeat the user and the password
        raise Unreachable("this is not a web address: the part after // is no name of a server") from None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def partial_of(url: str, folder: Path, name: str) -> Path:
    """Where the download of an address collects; the same file for the same address without its query."""
    return folder / f".{name}-{hashlib.sha256(without_secrets(url).encode()).hexdigest()[:12]}.partial"


def download(url: str, partial: Path, *, patience: Patience | None = None, progress: bool = False) -> None:
    """Fetch an address into `partial`, going on from what an earlier call left there; beside it lies `.partial.json`.

    Args:
        url: http or https.
        partial: the file; after a failure or Ctrl-C it holds what came, for the next call.
        patience: time-outs and attempts.
        progress: show a bar on stderr.

    Raises:
        Unreachable: no such file, no such server, cut off again and again, or a web page instead.
        OSError: the disk is full or cannot be written.
    """
    if "@" in urlsplit(url).netloc:
        raise Unreachable(
            f"{without_secrets(url)}: an address with a user name is not supported; fetch the file by hand"
        )
    patience = patience or Patience()
    failures, farthest = 0, _size(partial)
    with _bar(without_secrets(url), progress) as show:
        while True:
            try:
                return _attempt(url, partial, patience.timeout_s, show)
            except _Transient as error:
                failures = 1 if _size(partial) > farthest else failures + 1
                farthest = max(farthest, _size(partial))
                if failures >= patience.attempts:
                    raise Unreachable(
                        f"{without_secrets(url)}: {error}; given up after {failures} attempts. "
                        f"{farthest:,} bytes are kept, the next call goes on from there"
                    ) from None
                time.sleep(min(max(error.wait_s, patience.backoff_s * 2 ** (failures - 1)), MAX_WAIT_S))


def forget(partial: Path) -> None:
    """Remove a download and what is known of it."""
    partial.unlink(missing_ok=True)
    _notes(partial).unlink(missing_ok=True)


_Show = Callable[[int, int | None], None]
"""Bytes that are here, bytes in all."""


def _attempt(url: str, partial: Path, timeout_s: float, show: _Show) -> None:
    """One connection: from the partial file's end, or from the start where the server cannot or the file changed."""
    known = _read_version(partial)
    offset = _size(partial) if known else 0
    response = _open(url, offset, known, partial, timeout_s)
    if response is None:
        return  # the partial file is the whole
    with response:
        version, start = _placed(response, url.lower().startswith("https:"), offset, known, partial)
        if start == 0:
            # the old bytes go first: with the new notes they would be taken for the new file's
            partial.unlink(missing_ok=True)
            _notes(partial).write_text(json.dumps(asdict(version)))
        received = start
        with open(partial, "ab") as file:
            while chunk := _read(response):
                file.write(chunk)
                received += len(chunk)
                show(received, version.total_bytes)
    if version.total_bytes is not None and received != version.total_bytes:
        raise _Transient(f"cut off after {received:,} of {version.total_bytes:,} bytes")


def _open(url: str, offset: int, known: _Version | None, partial: Path, timeout_s: float) -> Any:
    """The response, or None where the server says that nothing is missing."""
    request = urllib.request.Request(url, headers={"User-Agent": f"ganray/{__version__}"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        if known and known.validator:
            request.add_header("If-Range", known.validator)
    try:
        return urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            return _refused(url, error, offset, known, partial)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError) or isinstance(error, (ValueError, http.client.InvalidURL)):
            raise Unreachable(f"{without_secrets(url)}: {reason}") from None
        raise _Transient(_reason(reason)) from None


def _refused(url: str, error: urllib.error.HTTPError, offset: int, known: _Version | None, partial: Path) -> None:
    if error.code == 416 and offset:
        total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if known and offset == (int(total) if total.isdecimal() else known.total_bytes):
            return
        forget(partial)
        raise _Transient("the file at that address changed")
    if error.code in (408, 425, 429) or error.code >= 500:
        wait = error.headers.get("Retry-After") or ""
        raise _Transient(f"the server answered {error.code} {error.reason}", float(wait) if wait.isdecimal() else 0.0)
    raise Unreachable(f"{without_secrets(url)}: the server answered {error.code} {error.reason}")


def _placed(response: Any, is_tls: bool, offset: int, known: _Version | None, partial: Path) -> tuple[_Version, int]:
    """The file's version, and the position of the first byte of the response."""
    headers = response.headers
    if is_tls and not response.url.lower().startswith("https:"):
        raise Unreachable(
            f"{without_secrets(response.url)}: the address led from https to http, where anybody on the way can change "
            f"the file; get it by hand and name it with --from"
        )
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise Unreachable(
            f"{without_secrets(response.url)}: a web page came instead of a file, perhaps a log-in or a confirmation; "
            f"get the file with a browser and name it with --from"
        )
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    if response.status != 206:
        length = headers.get("Content-Length")
        return _Version(etag, modified, int(length) if length and length.isdecimal() else None), 0
    span = re.match(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range") or "")
    total = int(span[2]) if span and span[2] != "*" else None
    same = known is not None and (total is None or total == known.total_bytes) and (not etag or etag == known.etag)
    if span is None or known is None or int(span[1]) != offset or not same:
        forget(partial)  # not the file that the partial one is of, although the server was told to check
        raise _Transient("the file at that address changed")
    return known, offset


def _read(response: Any) -> bytes:
    try:
        chunk: bytes = response.read1(CHUNK_BYTES)  # what is there already: a silent server costs nothing of it
        return chunk
    except (OSError, http.client.HTTPException) as error:
        raise _Transient(_reason(error)) from None


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "the server fell silent"
    if isinstance(error, http.client.IncompleteRead):
        return "cut off"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _notes(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _read_version(partial: Path) -> _Version | None:
    try:
        return _Version(**json.loads(_notes(partial).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # nothing known of these bytes: the download starts again


@contextmanager
def _bar(text: str, progress: bool) -> Iterator[_Show]:
    if not progress:
        yield lambda received, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    name = TextColumn("{task.description}", markup=False)
    with Progress(name, *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text.rpartition("/")[2] or text, total=None)
        yield lambda received, total: bar.update(task, completed=received, total=total)
