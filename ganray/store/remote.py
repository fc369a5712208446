"""Files behind fsspec (S3, GCS, memory, ...): each written by a single PUT, which is atomic there."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow.fs as pafs

from ganray.errors import StoreError
from ganray.recipe.secrets import masked
from ganray.store.files import ELSEWHERE, Found

if TYPE_CHECKING:
    from tenacity import RetryCallState

_log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_S = 30.0
"""How long a call that fails for a passing reason is repeated. Backends retry by themselves within each call."""
_WRITE_S = 30.0
_SLOWEST_BYTES_PER_S = 500_000
"""A write may take so long, and so much longer by its size."""
_PERMANENT = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
_PERMANENT_CODES = (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ENAMETOOLONG, errno.EMSGSIZE)
_PERMANENT_NAMES = ("CredentialsError", "ParamValidationError", "ProfileNotFound", "UnauthorizedSSOTokenError")


class RemoteFiles:
    """Files below an fsspec URI. Credentials and endpoints come from the environment, as fsspec reads them."""

    def __init__(self, uri: str) -> None:
        self.root = uri.rstrip("/")
        if self.root.endswith(":"):
            raise StoreError(f"the store {uri} names no place; write {uri.partition('://')[0]}://BUCKET/FOLDER")
        try:
            self._fs, self._base = file_system(self.root)
        except Exception as error:
            raise StoreError(f"cannot open the store {uri}: {reason(error)}") from error
        self._base = self._base.rstrip("/")
        self.patience_s = RETRY_S
        self.arrow: pafs.FileSystem = pafs.PyFileSystem(pafs.FSSpecHandler(self._fs))

    # Every backend has exceptions of its own (botocore's are no OSError), hence the broad handlers below.

    def files_in(self, folder: str) -> list[str]:
        return sorted(entry["name"] for entry in self._listed(folder) if entry["type"] == "file")

    def folders_in(self, folder: str) -> list[str]:
        folders = (entry["name"] for entry in self._listed(folder) if entry["type"] == "directory")
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in folders)

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        def ask() -> list[dict[str, Any]]:
            self._fs.invalidate_cache()  # other writers add files all the time
            entries: list[dict[str, Any]] = self._fs.ls(f"{self._base}/{folder}".rstrip("/"), detail=True)
            return entries

        try:
            return retried(ask, self.patience_s)
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not _no_bucket(error):
                return []
            raise StoreError(f"cannot read the store {self.root}: {reason(error)}; {_remedy(error)}") from error

    def walk(self, folder: str = "") -> list[Found]:
        def ask() -> dict[str, dict[str, Any]]:
            self._fs.invalidate_cache()
            entries: dict[str, dict[str, Any]] = self._fs.find(f"{self._base}/{folder}".rstrip("/"), detail=True)
            return entries

        try:
            entries = retried(ask, self.patience_s)
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not _no_bucket(error):
                return []
            raise StoreError(f"cannot read the store {self.root}: {reason(error)}; {_remedy(error)}") from error
        found = [
            Found(self.relative(path), int(entry.get("size") or 0), _modified(entry))
            for path, entry in entries.items()
            if not path.rsplit("/", 1)[-1].startswith(".")
        ]
        return sorted(found, key=lambda file: file.path)

    def relative(self, path: str) -> str:
        if path.startswith(f"{self.root}/"):
            return path.removeprefix(self.root).lstrip("/")
        return path.lstrip("/").removeprefix(self._base.lstrip("/")).lstrip("/")

    def read(self, path: str) -> bytes:
        try:
            data: bytes = retried(lambda: self._fs.cat_file(path), self.patience_s)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise StoreError(f"cannot read {path}: {reason(error)}; {_remedy(error)}") from error
        return data

    def write(self, path: str, data: bytes) -> str:
        try:
            target = f"{self._base}/{path}"
            retried(lambda: upload(self._fs, "pipe_file", len(data), target, data), self.patience_s)
        except Exception as error:
            raise StoreError(f"cannot write {self.root}/{path}: {reason(error)}; {_remedy(error)}") from error
        return f"{self.root}/{path}"

    def remove(self, path: str) -> None:
        try:
            retried(lambda: self._fs.rm_file(f"{self._base}/{path}"), self.patience_s)
        except FileNotFoundError:
            return
        except Exception as error:
            raise StoreError(f"cannot remove {self.root}/{path}: {reason(error)}; {_remedy(error)}") from error


def file_system(uri: str) -> tuple[Any, str]:
    """The file system that fsspec opens for a URI, and the path there. ImportError, ValueError where it has none.

    Boto, s3fs and `retried` each try again. With the defaults of all three, one write to an S3 that accepts
    connections and never answers takes minutes; so it takes less than one.
    """
    import fsspec

    options: dict[str, Any] = {}
    if uri.startswith(("s3://", "s3a://")):
        configured = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        options["config_kwargs"] = {"retries": {"total_max_attempts": 2, "mode": "standard"}, **configured}
    fs, path = fsspec.core.url_to_fs(uri, **options)
    if options:
        fs.retries = 2
    return fs, path


def upload(fs: Any, method: str, size_bytes: int, *arguments: Any) -> None:
    """Call `pipe_file` or `put_file`. TimeoutError where the server does not take so many bytes in reasonable time.

    aiohttp knows no time-out for what it sends: without this one, a server that accepts connections and reads nothing
    holds a trial up for ever.
    """
    if not fs.async_impl:
        getattr(fs, method)(*arguments)
        return
    from fsspec.asyn import sync

    limit_s = _WRITE_S + size_bytes / _SLOWEST_BYTES_PER_S

    async def limited() -> None:
        await asyncio.wait_for(getattr(fs, f"_{method}")(*arguments), limit_s)

    sync(fs.loop, limited)


def retried(call: Callable[[], T], patience_s: float) -> T:
    """The call's result; a fault that may pass is met by trying again, with growing pauses, for that long."""
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

    attempts = Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_after_delay(patience_s),
        wait=wait_exponential_jitter(initial=0.2, max=5.0),
        reraise=True,
        before_sleep=_note,
    )
    return attempts(call)


def _note(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.debug("trying again: %s", error and reason(error))


def may_pass(error: BaseException) -> bool:
    """Whether the same call may go through later: throttling, a server's fault, a network's, a time-out."""
    if isinstance(error, _PERMANENT) or type(error).__name__.endswith(_PERMANENT_NAMES):
        return False
    if isinstance(error, OSError):
        return error.errno not in _PERMANENT_CODES
    return isinstance(error, Exception) and not isinstance(error, ValueError | TypeError | ImportError | LookupError)


def _answer(error: BaseException) -> dict[str, str | None]:
    """What S3 answered, `Code` and `Message`: s3fs makes an OSError of it, and may leave out all that it says."""
    answer: dict[str, str | None] = getattr(error.__cause__, "response", {}).get("Error", {})
    return answer


def _no_bucket(error: BaseException) -> bool:
    """Whether not only the folder is missing: a bucket that is not there is a mistake, not an empty store."""
    return _answer(error).get("Code") == "NoSuchBucket"


def reason(error: BaseException) -> str:
    """The error in a few words, without the secrets that a server's answer may quote."""
    answer = _answer(error)
    name, text = answer.get("Code") or type(error).__name__, answer.get("Message") if answer else str(error)
    return masked(f"{name}: {text}") if text else name


def _remedy(error: Exception) -> str:
    if isinstance(error, PermissionError) or type(error).__name__.endswith(_PERMANENT_NAMES):
        return (
            "check the credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE; a token "
            f"may have expired) and what they may do there, {ELSEWHERE}"
        )
    if may_pass(error):
        return f"check the network and the endpoint (AWS_ENDPOINT_URL), {ELSEWHERE}"
    return f"check that the bucket exists and that the environment holds credentials that may write there, {ELSEWHERE}"


def _modified(entry: dict[str, Any]) -> float:
    when = entry.get("LastModified") or entry.get("mtime") or entry.get("created")
    return when.timestamp() if isinstance(when, datetime) else float(when or 0.0)
