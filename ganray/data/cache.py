"""Decoded sets on disk: `FINGERPRINT.npy` with the pixels and `FINGERPRINT.json` with what was found in them.

Files appear whole or not at all (temporary name, then a rename), the JSON last, so any number of processes
may write the same set at once: they write the same bytes, and the last one wins.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ganray.data.decode import Array
from ganray.errors import DataError

MEMORY_SHARE = 0.25
"""A set larger than this share of the available memory is memory-mapped instead of read."""


@dataclass(frozen=True)
class Findings:
    """What decoding found out, by index into the source's entries (names may change without the content)."""

    n_files: int
    bad: tuple[tuple[int, str], ...] = ()
    """Index and reason of every unusable file."""
    duplicates: tuple[tuple[int, ...], ...] = ()
    """Groups of files whose pixels are equal."""
    n_small: int = 0
    """Images with a side below the resolution."""
    smallest: tuple[int, int, int] | None = None
    """Index, width, height of the smallest of them."""

    @property
    def n_images(self) -> int:
        """Files that became images."""
        return self.n_files - len(self.bad)


class ImageCache:
    """One folder of decoded sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, fingerprint: str, resolution: int) -> tuple[Array, Findings] | None:
        """Pixels `uint8 [N, 3, R, R]` and findings, or None where they are absent or damaged.

        A memory-mapped array is read-only.
        """
        try:
            raw = json.loads(self._path(fingerprint, "json").read_text())
            findings = Findings(
                n_files=raw["n_files"],
                bad=tuple((index, reason) for index, reason in raw["bad"]),
                duplicates=tuple(tuple(group) for group in raw["duplicates"]),
                n_small=raw["n_small"],
                smallest=tuple(raw["smallest"]) if raw["smallest"] else None,
            )
            path = self._path(fingerprint, "npy")
            too_large = path.stat().st_size > MEMORY_SHARE * available_bytes()
            pixels = np.load(path, mmap_mode="r" if too_large else None, allow_pickle=False)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None  # absent, or cut short by a crash of the machine: it is made again
        whole = pixels.dtype == np.uint8 and pixels.shape == (findings.n_images, 3, resolution, resolution)
        return (pixels, findings) if whole else None

    @contextmanager
    def writer(self, fingerprint: str, resolution: int) -> Iterator["CacheWriter"]:
        """A writer whose files vanish unless it commits.

        Raises:
            DataError: the folder cannot be written or the disk is full.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (
                tempfile.TemporaryDirectory(dir=self.folder, prefix=".part-") as part,
                open(Path(part, "pixels"), "wb") as file,
            ):
                yield CacheWriter(file, self._path(fingerprint, "npy"), resolution=resolution)
        except OSError as error:
            raise DataError(
                f"the image cache {self.folder} cannot be written: {error.strerror or error}; "
                f"make room there, or set GANRAY_CACHE_DIR to another folder"
            ) from error

    def _path(self, fingerprint: str, suffix: str) -> Path:
        return self.folder / f"{fingerprint}.{suffix}"


class CacheWriter:
    """Appends images one by one: memory holds one image, and a full disk is an OSError, not a bus error."""

    def __init__(self, file: BinaryIO, pixels: Path, *, resolution: int) -> None:
        self._file = file
        self._pixels = pixels
        self._resolution = resolution
        self._n = 0
        self._header()

    def append(self, image: Array) -> None:
        """Add one image `uint8 [3, R, R]`."""
        self._file.write(image.tobytes())
        self._n += 1

    def commit(self, findings: Findings) -> None:
        """Put both files in place, the findings last: a reader wants both."""
        self._file.seek(0)
        self._header()
        self._file.flush()
        written = Path(self._file.name)
        notes = written.with_name("findings")
        notes.write_text(json.dumps(asdict(findings)))
        os.replace(written, self._pixels)
        os.replace(notes, self._pixels.with_suffix(".json"))

    def _header(self) -> None:
        # numpy pads the header so that the first axis can grow in place (GROWTH_AXIS_MAX_DIGITS): it is
        # written with 0 images first and again with their number.
        shape = (self._n, 3, self._resolution, self._resolution)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def available_bytes() -> int:
    """Memory that a process here may still take: the smaller of the machine's and the container's."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text())
            free = min(free, max(int(limit) - used, 0))
    except (OSError, ValueError, StopIteration):
        pass  # no Linux, or no cgroup v2 here: what is known so far stands
    return free
