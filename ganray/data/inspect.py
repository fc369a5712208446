"""What lies in a folder, a zip or a sample set, before anything is trained on it."""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from PIL import Image

from ganray.data.decode import Array, BadFile, UnreadableImage, quiet_pillow, read_picture, to_square
from ganray.data.grid import image_grid
from ganray.data.labels import class_folders
from ganray.data.parallel import ordered_map
from ganray.data.sources import Entry, Source, open_source
from ganray.recipe.data import Resolution

if TYPE_CHECKING:
    import torch

CROP_LOSS = 0.25
"""A centre crop that drops more than this share of a picture is worth a warning."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """The facts about a source; names are relative to it."""

    name: str
    place: str
    n_files: int
    """Image files, readable or not."""
    total_bytes: int
    sizes: dict[tuple[int, int], int]
    """(width, height) in pixels after EXIF rotation -> number of images, most frequent first."""
    modes: dict[str, int]
    """Pillow's mode of the stored pixels -> number, most frequent first."""
    formats: dict[str, int]
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of files with the same bytes."""
    same_pixels: tuple[tuple[str, ...], ...]
    """Groups of files whose pixels are equal although not all of their bytes are."""
    class_folders: dict[str, int]
    """Class as `data.labels: folders` takes it -> number of image files; empty where all lie in one folder.

    Files beside the class folders are not counted.
    """
    unreadable: tuple[BadFile, ...]
    ignored: tuple[str, ...]
    """Visible files that are no images by their suffix."""
    thumbnails: Array
    """uint8 [M, 3, r, r] of at most `limit` readable images, evenly spaced over the source."""

    @property
    def has_classes(self) -> bool:
        """Whether `data.labels: folders` can be set: every file lies in one of several class folders."""
        return len(self.class_folders) > 1 and sum(self.class_folders.values()) == self.n_files

    @property
    def n_images(self) -> int:
        """Readable images."""
        return self.n_files - len(self.unreadable)

    def side_px(self, of: Literal["width", "height", "shorter"]) -> tuple[int, int, int]:
        """Smallest, median and largest over the readable images, in pixels; zeros where there are none."""
        values: list[int] = []
        for (width, height), count in self.sizes.items():
            value = {"width": width, "height": height, "shorter": min(width, height)}[of]
            values.extend([value] * count)
        return (min(values), round(statistics.median(values)), max(values)) if values else (0, 0, 0)

    @property
    def largest_resolution(self) -> int | None:
        """The largest training resolution at which no image is enlarged; None where all would be."""
        fitting = [r for r in get_args(Resolution) if r <= self.side_px("shorter")[0]]
        return max(fitting, default=None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to look at before training, one sentence each."""
        return tuple(_warnings(self))


def inspect(place: str | Path, *, resolution: int = 128, limit: int = 200, progress: bool = False) -> Inspection:
    """Decode every file of a `data.source` and report what is there.

    Args:
        place: as `data.source`.
        resolution: side of the thumbnails in pixels.
        limit: number of thumbnails at most.
        progress: show a bar on stderr.

    Raises:
        DataError: missing path, neither folder nor zip, unknown sample set, or no image at all.
    """
    source = open_source(place)
    n = len(source.entries)
    shown = set(np.linspace(0, n - 1, min(n, limit)).round().astype(int).tolist())
    jobs = [(entry, i in shown) for i, entry in enumerate(source.entries)]
    results = ordered_map(partial(_look, resolution=resolution), jobs, total=n, text="Inspecting", progress=progress)
    with quiet_pillow():
        looks = list(results)
    return _summary(source, looks, resolution)


def contact_sheet(images: torch.Tensor | Array, columns: int = 10) -> Image.Image:
    """Images uint8 `[N, 3, H, W]` in rows of `columns` on one picture."""
    return image_grid(images, columns)


@dataclass(frozen=True)
class _Look:
    n_bytes: int
    content: str
    """Digest of the bytes."""
    reason: str | None = None
    """Why the file cannot be used; the fields below are then empty."""
    format: str = ""
    mode: str = ""
    size: tuple[int, int] = (0, 0)
    pixels: str = ""
    """Digest of size and RGB values."""
    thumbnail: Array | None = None


def _look(job: tuple[Entry, bool], resolution: int) -> _Look:
    entry, shown = job
    data = b""
    try:
        data = entry.read()
        picture = read_picture(data)
    except UnreadableImage as error:
        return _Look(len(data), _digest(data), reason=str(error))
    return _Look(
        n_bytes=len(data),
        content=_digest(data),
        format=picture.format,
        mode=picture.mode,
        size=picture.rgb.size,
        pixels=_digest(f"{picture.rgb.size}".encode() + picture.rgb.tobytes()),
        thumbnail=to_square(picture.rgb, resolution, "crop") if shown else None,
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _summary(source: Source, looks: Sequence[_Look], resolution: int) -> Inspection:
    names = [entry.name for entry in source.entries]
    good = [(name, look) for name, look in zip(names, looks) if look.reason is None]
    content = {name: look.content for name, look in good}
    duplicates = _groups(content.items())
    same_pixels = _groups((name, look.pixels) for name, look in good)
    thumbnails = [look.thumbnail for _, look in good if look.thumbnail is not None]
    folders = Counter(name for name in class_folders(names) if name)
    return Inspection(
        name=source.name,
        place=source.place,
        n_files=len(names),
        total_bytes=sum(look.n_bytes for look in looks),
        sizes=dict(Counter(look.size for _, look in good).most_common()),
        modes=dict(Counter(look.mode for _, look in good).most_common()),
        formats=dict(Counter(look.format for _, look in good).most_common()),
        duplicates=duplicates,
        same_pixels=tuple(group for group in same_pixels if len({content[name] for name in group}) > 1),
        class_folders=dict(folders),
        unreadable=tuple(BadFile(n, look.reason) for n, look in zip(names, looks) if look.reason is not None),
        ignored=source.ignored,
        thumbnails=np.stack(thumbnails) if thumbnails else np.zeros((0, 3, resolution, resolution), np.uint8),
    )


def _groups(keyed: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, key in keyed:
        groups[key].append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _warnings(found: Inspection) -> Iterable[str]:
    for file in found.unreadable:
        yield f"{file.name} cannot be used: {file.reason}"
    for group in found.duplicates:
        yield f"the same file {len(group)} times: {', '.join(group)}"
    for group in found.same_pixels:
        yield f"the same pixels in different files: {', '.join(group)}"
    if found.ignored:
        kinds = sorted({PurePosixPath(name).suffix.lower() or "no suffix" for name in found.ignored})
        yield f"{len(found.ignored)} files are no images by their suffix and are ignored ({', '.join(kinds)})"
    cut = sum(n for (w, h), n in found.sizes.items() if 1 - min(w, h) / max(w, h) > CROP_LOSS)
    if cut:
        yield (
            f"the centre crop drops more than {CROP_LOSS:.0%} of {cut} images; look at the contact sheet, "
            f"or set data.fit: resize"
        )
    if found.n_images and found.largest_resolution is None:
        yield f"the smallest image has {found.side_px('shorter')[0]} px: every resolution enlarges it"
