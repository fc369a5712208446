"""What a set of images is known by: a hash of content and preprocessing. Nothing is decoded, torch is not needed."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ganray.data.decode import UnreadableImage
from ganray.data.labels import class_folders
from ganray.data.parallel import ordered_map
from ganray.data.sources import Entry, Source, open_source

PREPROCESSING_VERSION = 1
"""Enters the fingerprint; raise it with every change of decode.py that moves a pixel."""


def of_pixels(
    source: Source, resolution: int, fit: str, progress: bool = False, alive: Callable[[], object] = bool
) -> str:
    """16 hex digits over the files' contents in order and the preprocessing; no path, name or time enters.

    `alive` is called after each file.
    """
    digests = ordered_map(_digest, source.entries, total=len(source.entries), text="Reading", progress=progress)
    digest = hashlib.sha256(f"images {PREPROCESSING_VERSION} {resolution} {fit}".encode())
    for each in digests:
        digest.update(f"\n{each}".encode())
        alive()
    return digest.hexdigest()[:16]


def with_classes(fingerprint: str, classes: Sequence[str]) -> str:
    """The fingerprint of the same pixels with the class of each file."""
    return hashlib.sha256("\n".join([f"labels {fingerprint}", *classes]).encode()).hexdigest()[:16]


def fingerprints(place: str | Path, resolution: int, progress: bool = False) -> tuple[str, str]:
    """A source's fingerprints without and with labels, cropped to squares of that side. Raises DataError."""
    source = open_source(place)
    pixels = of_pixels(source, resolution, "crop", progress)
    return pixels, with_classes(pixels, class_folders([entry.name for entry in source.entries]))


def _digest(entry: Entry) -> str:
    try:
        return entry.digest()
    except UnreadableImage:
        return "unreadable"
