"""What `data.source` names: a folder, a zip, a sample set or a set of the catalogue, as a sorted list of entries."""

import hashlib
import lzma
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from ganray.data import catalog, samples
from ganray.data.decode import UnreadableImage
from ganray.data.records import locate
from ganray.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
SAMPLE_PREFIX = "sample:"
UNREADABLE_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, IndexError)
"""What a zip raises besides OSError. RuntimeError: an encrypted member; NotImplementedError, its subclass: an unknown
compression or version; IndexError: a member without a name."""


@dataclass(frozen=True)
class Entry:
    """One image file of a source; nothing is read before it is asked for."""

    name: str
    """Relative to the source, with forward slashes."""
    read: Callable[[], bytes]
    """The file's bytes; raises UnreadableImage."""
    digest: Callable[[], str]
    """SHA-256 of the content, 64 hex digits; raises UnreadableImage."""


@dataclass(frozen=True)
class Source:
    """A folder, a zip, a sample set or a set of the catalogue."""

    name: str
    """The folder's name, the zip's without suffix, the sample set's; `NAME` or `NAME:N` of `catalog:NAME:N`."""
    place: str
    """What the user wrote, for messages."""
    entries: tuple[Entry, ...]
    """Image files sorted by name; hidden files and `__MACOSX` are left out."""
    ignored: tuple[str, ...]
    """Names of the visible files whose suffix is not an image's."""


def open_source(place: str | Path) -> Source:
    """List what a source holds.

    Raises:
        DataError: missing path, neither folder nor zip, damaged zip, unknown sample set, no image in it; a set of the
            catalogue that is unknown, not here, or no longer whole.
    """
    text = str(place)
    if text.startswith(SAMPLE_PREFIX):
        return _sample(text)
    if text.startswith(catalog.PREFIX):
        return _of_catalog(text)
    path = Path(os.path.expanduser(text))  # unlike Path's, no error for `~nobody`
    if path.is_dir():
        source = _folder(path, text)
    elif path.is_file():
        source = _zip(path, text)
    else:
        raise DataError(_missing(path, text))
    if not source.entries:
        raise DataError(_nothing(source))
    return source


def _sample(text: str) -> Source:
    sample = samples.find(text.removeprefix(SAMPLE_PREFIX))
    entries = tuple(
        Entry(name, partial(samples.crop_png, sample, i), partial(samples.crop_digest, sample, i))
        for i, name in enumerate(samples.crop_names(sample))
    )
    return Source(name=sample.name, place=text, entries=entries, ignored=())


def _of_catalog(text: str) -> Source:
    entry, n = catalog.parse(text)
    here = locate(entry.name)
    if here is None:
        raise DataError(f"{text}: the data set {entry.title} is not on this machine; {catalog.how_to_get(entry)}")
    source = replace(_folder(here.place, text), name=text.removeprefix(catalog.PREFIX))
    found, known = len(source.entries), here.record.n_images
    if found != known:
        raise DataError(
            f"{text}: {here.place} holds {found} images, but {known} were fetched: files were added or removed; "
            f"restore them, or register the folder as it is now: `ganray data fetch {entry.name} --from {here.place}`"
        )
    if n is not None and n > found:
        raise DataError(f"{text}: only {found} images are here ({here.place}); name a smaller subset")
    return replace(source, entries=source.entries[:n])


def _folder(root: Path, text: str) -> Source:
    images, ignored = split_names(_walk(root))
    entries = tuple(_entry(name, (root / name).read_bytes) for name in images)
    return Source(name=root.resolve().name, place=text, entries=entries, ignored=ignored)


def _zip(path: Path, text: str) -> Source:
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{text} is a single image; name the folder or the zip that holds the images")
    try:
        archive = zipfile.ZipFile(path)
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except UNREADABLE_ZIP as error:
        raise DataError(f"{text} is neither a folder nor a whole zip ({error}); copy or make the zip again") from None
    except OSError as error:
        raise DataError(f"{text} cannot be read: {error.strerror or error}") from None
    # ZipFile.read is safe from several threads (it locks the file); the archive closes with the last entry.
    images, ignored = split_names(iter(names))
    entries = tuple(_entry(name, partial(archive.read, name)) for name in images)
    return Source(name=path.stem, place=text, entries=entries, ignored=ignored)


def _entry(name: str, read: Callable[[], bytes]) -> Entry:
    def guarded() -> bytes:
        try:
            return read()
        except (OSError, *UNREADABLE_ZIP) as error:
            raise UnreadableImage(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None

    return Entry(name, guarded, lambda: hashlib.sha256(guarded()).hexdigest())


def _walk(root: Path) -> Iterator[str]:
    # Links to folders are followed (class folders often are links); the set stops a link to a parent.
    seen: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()
        for file in files:
            yield Path(folder, file).relative_to(root).as_posix()


def split_names(names: Iterator[str]) -> tuple[list[str], tuple[str, ...]]:
    """The image files among names with forward slashes, sorted, and the other visible files, sorted."""
    visible = sorted({name for name in names if not _hidden(name)})
    images = [name for name in visible if PurePosixPath(name).suffix.lower() in SUFFIXES]
    chosen = set(images)
    return images, tuple(name for name in visible if name not in chosen)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _missing(path: Path, text: str) -> str:
    where = "" if path.is_absolute() else f" (looked from {Path.cwd()})"
    return (
        f"data.source {text} does not exist{where}; give a folder or zip of images, "
        f"one of {', '.join(SAMPLE_PREFIX + name for name in samples.SAMPLES)}, "
        f"or {catalog.PREFIX}NAME (`ganray data catalog` lists them)"
    )


def _nothing(source: Source) -> str:
    known = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
    if not source.ignored:
        return f"{source.place} holds no files; GANRay reads {known}"
    kinds = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in source.ignored)
    found = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(5))
    return f"{source.place} holds no image that GANRay reads ({known}), only {found}; convert them first"
