"""A data spec becomes one uint8 tensor: decoded once, cached by content, refused where it makes no sense."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ganray.data.cache import CacheWriter, Findings, ImageCache
from ganray.data.decode import Array, BadFile, UnreadableImage, quiet_pillow, read_picture, to_square
from ganray.data.fingerprint import of_pixels, with_classes
from ganray.data.labels import class_folders, numbered, refuse_without_classes
from ganray.data.parallel import ordered_map
from ganray.data.paths import cache_root
from ganray.data.sources import Entry, Source, open_source
from ganray.errors import DataError
from ganray.recipe.data import DataSpec

__all__ = ["BadFile", "ImageSet", "load_images"]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Square images of one resolution, and what was found out about their files."""

    images: torch.Tensor
    """uint8 [N, 3, R, R] on the CPU; read-only (memory-mapped) where the set is large: never write into it."""
    name: str
    """The folder's, the zip's or the sample set's."""
    fingerprint: str
    """16 hex digits over the files' contents in order and the preprocessing; no path, name or time enters.

    With labels, the class of each image enters too.
    """
    files: tuple[str, ...]
    """Relative name of each image, in the order of `images`."""
    skipped: tuple[BadFile, ...]
    """Unreadable files that were left out (`on_corrupt: skip`)."""
    warnings: tuple[str, ...]
    """What the user should know, one sentence each."""
    labels: torch.Tensor | None = None
    """int64 [N], indices into `classes`; None without labels (`data.labels: none`)."""
    classes: tuple[str, ...] = ()
    """Names of the class folders, sorted; empty without labels."""


def load_images(
    spec: DataSpec, *, cache_dir: Path | None = None, progress: bool = False, alive: Callable[[], object] = bool
) -> ImageSet:
    """Read the images of a spec, from the cache where their content has been decoded before.

    Args:
        spec: source, resolution, fit, on_corrupt, min_images, labels.
        cache_dir: instead of `cache_root()`; decoded sets lie in its folder `images`.
        progress: show bars on stderr.
        alive: called after each file that was read or decoded.

    Raises:
        DataError: missing or empty source, unreadable files under `on_corrupt: fail` (all of them are named),
            fewer than `min_images`, all images identical, cache not writable, no class folders where labels are asked.
    """
    source = open_source(spec.source)
    of_files = class_folders([entry.name for entry in source.entries])
    if spec.labels == "folders":
        refuse_without_classes(source, of_files)
    # The cache holds pixels alone, so its key knows nothing of labels.
    fingerprint = of_pixels(source, spec.resolution, spec.fit, progress, alive)
    cache = ImageCache((cache_dir or cache_root()) / "images")
    found = cache.read(fingerprint, spec.resolution)
    if found is None:
        with cache.writer(fingerprint, spec.resolution) as writer, quiet_pillow():
            findings = _decode_all(source, spec, writer, progress, alive)
            _refuse(source, spec, findings)
            writer.commit(findings)
        found = cache.read(fingerprint, spec.resolution)
        if found is None:
            raise DataError(f"the image cache {cache.folder} lost what was just written; set GANRAY_CACHE_DIR")
    pixels, findings = found
    _refuse(source, spec, findings)
    bad = dict(findings.bad)
    images = ImageSet(
        images=_as_tensor(pixels),
        name=source.name,
        fingerprint=fingerprint,
        files=tuple(entry.name for i, entry in enumerate(source.entries) if i not in bad),
        skipped=_bad_files(source, findings),
        warnings=_warnings(source, spec, findings),
    )
    if spec.labels == "none":
        return images
    labels, classes = numbered(source, [name for i, name in enumerate(of_files) if i not in bad])
    return replace(
        images, fingerprint=with_classes(fingerprint, of_files), labels=torch.tensor(labels), classes=classes
    )


@dataclass(frozen=True)
class _Decoded:
    pixels: Array
    digest: bytes
    size: tuple[int, int]


def _decode(entry: Entry, spec: DataSpec) -> _Decoded | UnreadableImage:
    try:
        picture = read_picture(entry.read())
    except UnreadableImage as error:
        return error
    pixels = to_square(picture.rgb, spec.resolution, spec.fit)
    return _Decoded(pixels, hashlib.blake2b(pixels.data, digest_size=16).digest(), picture.rgb.size)


def _decode_all(
    source: Source, spec: DataSpec, writer: CacheWriter, progress: bool, alive: Callable[[], object]
) -> Findings:
    """Decode every entry, also after a bad one, so that all bad files are known at once."""
    n = len(source.entries)
    results = ordered_map(partial(_decode, spec=spec), source.entries, total=n, text="Decoding", progress=progress)
    bad: list[tuple[int, str]] = []
    small: list[tuple[int, int, int]] = []
    by_content: dict[bytes, list[int]] = defaultdict(list)
    for i, result in enumerate(results):
        alive()
        if isinstance(result, UnreadableImage):
            bad.append((i, str(result)))
            continue
        writer.append(result.pixels)
        by_content[result.digest].append(i)
        if min(result.size) < spec.resolution:
            small.append((i, *result.size))
    return Findings(
        n_files=n,
        bad=tuple(bad),
        duplicates=tuple(tuple(group) for group in by_content.values() if len(group) > 1),
        n_small=len(small),
        smallest=min(small, key=lambda each: (min(each[1:]), each[0]), default=None),
    )


def _refuse(source: Source, spec: DataSpec, findings: Findings) -> None:
    bad = _bad_files(source, findings)
    if bad and spec.on_corrupt == "fail":
        named = "; ".join(f"{file.name}: {file.reason}" for file in bad)
        raise DataError(
            f"{len(bad)} of {findings.n_files} images in {source.place} cannot be used: {named}. Repair or remove "
            f"them, or set data.on_corrupt: skip to train on the rest"
        )
    if findings.n_images < spec.min_images:
        rest = f" ({len(bad)} more cannot be read)" if bad else ""
        raise DataError(
            f"{source.place} has {findings.n_images} images{rest}, but data.min_images is {spec.min_images}; "
            f"add images, or lower data.min_images if so few are meant"
        )
    if findings.n_images > 1 and [len(group) for group in findings.duplicates] == [findings.n_images]:
        raise DataError(
            f"all {findings.n_images} images in {source.place} are identical at {spec.resolution} px: "
            f"there is nothing to learn from one image repeated; check how the folder was made"
        )


def _bad_files(source: Source, findings: Findings) -> tuple[BadFile, ...]:
    return tuple(BadFile(source.entries[i].name, reason) for i, reason in findings.bad)


def _warnings(source: Source, spec: DataSpec, findings: Findings) -> tuple[str, ...]:
    lines = []
    if findings.bad:
        names = _some([source.entries[i].name for i, _ in findings.bad])
        lines.append(f"{len(findings.bad)} of {findings.n_files} files cannot be read and are left out: {names}")
    if findings.duplicates:
        extra = sum(len(group) - 1 for group in findings.duplicates)
        names = _some([" = ".join(source.entries[i].name for i in group) for group in findings.duplicates])
        lines.append(f"{extra} of {findings.n_images} images repeat another one: {names}")
    if findings.smallest is not None:
        index, width, height = findings.smallest
        lines.append(
            f"{findings.n_small} of {findings.n_images} images are smaller than {spec.resolution} px and are "
            f"enlarged; the smallest is {source.entries[index].name} ({width} x {height}); "
            f"a lower data.resolution would show them as they are"
        )
    return tuple(lines)


def _some(names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _as_tensor(pixels: Array) -> torch.Tensor:
    with warnings.catch_warnings():
        # torch warns that a read-only map must not be written to; ImageSet says so.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(pixels)
