"""A data set of the catalogue comes here: from its authors, from a mirror, or from a local folder or zip."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ganray.data.catalog import Entry, find, how_to_get
from ganray.data.download import Patience, Unreachable, download, forget, is_url, partial_of, without_secrets
from ganray.data.paths import DATA_VARIABLE, data_root
from ganray.data.records import Present, Record, locate, read_record, write_record, writing
from ganray.data.sources import open_source
from ganray.data.unpack import unpack_images
from ganray.errors import DataError


class WrongCount(DataError):
    """A source has another number of images than the catalogue says."""


@dataclass(frozen=True)
class Fetched:
    """A data set that is here now."""

    entry: Entry
    place: Path
    n_images: int
    sha256: str | None
    """Of the zip that it came in."""
    was_here: bool
    """Nothing had to be done."""


@dataclass(frozen=True)
class _Job:
    """One call of `fetch`."""

    entry: Entry
    root: Path
    accept_count: bool
    patience: Patience | None
    progress: bool

    @property
    def target(self) -> Path:
        """Where unpacked images go."""
        return self.root / self.entry.name


def fetch(
    name: str,
    *,
    source: str | None = None,
    folder: Path | None = None,
    accept_count: bool = False,
    patience: Patience | None = None,
    progress: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Fetched:
    """Bring a data set here, unless it is here. Any number of processes may ask for it at once: one fetches it.

    Args:
        name: NAME of the catalogue.
        source: instead of the authors' address: a mirror's address, a local zip (unpacked into the catalogue's folder)
            or a local folder (registered where it is).
        folder: the catalogue's folder instead of `data_root()`; the set is then registered there too.
        accept_count: take any number of images, and note that in the record.
        patience: with the server.
        progress: show a bar on stderr.
        say: told once where another process has to be waited for.

    Raises:
        DataError: unknown name, no address, unreachable, wrong checksum, unsafe or damaged zip, WrongCount, full disk.
    """
    root = Path(os.path.expanduser(folder or data_root())).absolute()
    job = _Job(find(name), root, accept_count, patience, progress)
    here = _here(job, source)  # asked before the lock: a shared folder may be there to read only
    if here is not None:
        return here
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        with _alone(root, name, say):
            return _here(job, source) or _bring(job, source)


def _here(job: _Job, source: str | None) -> Fetched | None:
    """The set as it is here, where it is whole and came from the address that is asked for."""
    here = locate(job.entry.name, job.root)
    wanted = source is None or (here and is_url(source) and without_secrets(source) == here.record.source)
    if here is None or not wanted or not _whole(here):
        return None
    sha256 = here.record.checksums.get(here.record.source)
    return Fetched(job.entry, here.place, here.record.n_images, sha256, was_here=True)


def _bring(job: _Job, source: str | None) -> Fetched:
    name = job.entry.name
    for left in job.root.glob(f".{name}.part-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
    if source is None and not job.entry.urls:
        raise DataError(f"{name} cannot be fetched: {how_to_get(job.entry)}")
    if source is None or is_url(source):
        return _from_web(job, (source,) if source else job.entry.urls)
    path = Path(os.path.expanduser(source)).absolute()
    if path.is_dir():
        return _from_folder(job, path)
    if path.is_file():
        digest = _sha256(path)
        _refuse_other(job, digest, job.entry.sha256, str(path))
        return _install(job, path, str(path), digest)
    kinds = "only http and https are read" if "://" in source else "name a folder, a zip or a web address"
    raise DataError(f"--from {source} does not exist; {kinds}")


def _from_web(job: _Job, urls: tuple[str, ...]) -> Fetched:
    """Try the addresses in order; the first that gives the file counts."""
    faults = []
    for url in urls:
        called, partial = without_secrets(url), partial_of(url, job.root, job.entry.name)
        try:
            download(url, partial, patience=job.patience, progress=job.progress)
        except Unreachable as error:
            faults.append(str(error))
            continue
        try:
            digest = _sha256(partial)
            _refuse_other(job, digest, job.entry.sha256 or _known_checksums(job).get(called), called)
            got = _install(job, partial, called, digest)
        except WrongCount:
            raise  # the download is kept for a call with --accept-count
        except DataError:
            forget(partial)
            raise
        forget(partial)
        return got
    raise DataError(
        f"{job.entry.name} could not be fetched: {'; '.join(faults)}. With a copy from elsewhere: "
        f"`ganray data fetch {job.entry.name} --from FOLDER_OR_ZIP_OR_URL`"
    )


def _from_folder(job: _Job, path: Path) -> Fetched:
    """Register a folder where it is; of the FastGAN authors' unpacked archive, the set's own folder in it."""
    if job.entry.folder and (path / job.entry.folder).is_dir():
        path = path / job.entry.folder
    n = len(open_source(path).entries)
    _refuse_count(job, n, str(path))
    return _registered(job, path, _record(job, path, str(path), n))


def _install(job: _Job, archive: Path, called: str, digest: str) -> Fetched:
    """Unpack beside the target, then move into place: no reader ever sees half a set.

    The record comes before the images: without one they would be taken for somebody's own, and never replaced.
    """
    _refuse_foreign(job)
    with tempfile.TemporaryDirectory(dir=job.root, prefix=f".{job.entry.name}.part-") as part:
        images = Path(part, "images")  # made with the user's umask, unlike the temporary folder itself
        images.mkdir()
        n = unpack_images(archive, images, job.entry.folder, called=called)
        _refuse_count(job, n, called)
        record, old = _record(job, job.target, called, n, digest), Path(part, "old")
        with suppress(FileNotFoundError):
            os.rename(job.target, old)
        try:
            write_record(job.entry.name, record, job.root)
        except OSError:
            if old.exists():
                os.rename(old, job.target)
            raise
        os.rename(images, job.target)
    return _registered(job, job.target, record)


def _record(job: _Job, place: Path, source: str, n: int, digest: str | None = None) -> Record:
    inside = place.parent == job.root
    return Record(
        place=place.name if inside else str(place),
        source=source,
        n_images=n,
        count_accepted=n not in job.entry.counts,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        checksums=_known_checksums(job) | ({source: digest} if digest else {}),
    )


def _registered(job: _Job, place: Path, record: Record) -> Fetched:
    """Write the record into the catalogue's folder, and into the usual one where that is another."""
    write_record(job.entry.name, record, job.root)
    usual = data_root().absolute()
    if usual != job.root:
        try:
            usual.mkdir(parents=True, exist_ok=True)
            write_record(job.entry.name, replace(record, place=str(place)), usual)
        except OSError as error:
            raise DataError(
                f"{job.entry.name} is in {place}, but the catalogue's usual folder {usual} cannot be written "
                f"({error.strerror or error}); set {DATA_VARIABLE}={job.root} to use it"
            ) from error
    return Fetched(job.entry, place, record.n_images, record.checksums.get(record.source), was_here=False)


def _known_checksums(job: _Job) -> dict[str, str]:
    records = (read_record(job.entry.name, root) for root in (data_root(), job.root))
    return {source: digest for record in records if record for source, digest in record.checksums.items()}


def _refuse_other(job: _Job, digest: str, expected: str | None, called: str) -> None:
    if expected is None or digest == expected:
        return
    known = "the catalogue's" if job.entry.sha256 else "that of the first download"
    way_out = (
        "get the right file and name it with --from"
        if job.entry.sha256
        else f"where its authors changed it on purpose, remove the checksum from {job.root / job.entry.name}.json"
    )
    raise DataError(
        f"{called}: the SHA-256 is {digest}, but {known} is {expected}: another or a damaged file. "
        f"It was not used; run the command again, or {way_out}"
    )


def _refuse_count(job: _Job, n: int, called: str) -> None:
    if n not in job.entry.counts and not job.accept_count:
        raise WrongCount(
            f"{called} has {n:,} images, but {job.entry.name} has {job.entry.images}: numbers from it would not "
            f"compare with published ones. Check that it is the right set, or say --accept-count"
        )


def _refuse_foreign(job: _Job) -> None:
    """Images that GANRay did not put there are never replaced."""
    record = read_record(job.entry.name, job.root)
    ours = record is not None and record.place == job.target.name and record.source != str(job.target)
    if job.target.exists() and not ours:
        raise DataError(
            f"{job.target} is there already and was not fetched by ganray; move it away, or register it: "
            f"`ganray data fetch {job.entry.name} --from {job.target}`"
        )


def _whole(here: Present) -> bool:
    try:
        return len(open_source(here.place).entries) == here.record.n_images
    except DataError:
        return False


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(root: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    lock = FileLock(root / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is fetching {name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
