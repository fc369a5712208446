"""The stored pictures of samples, copied beside the pages."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from ganray.errors import StoreError
from ganray.report.site.collect import Trial
from ganray.store.schema import EvaluationRow
from ganray.store.store import Store

Which = Literal["all", "best", "none"]

THREADS = 8
"""Pictures read at once: an object store answers slowly, but many questions at a time."""

_SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a checkpoint; `path` (from the report's root) is None where it is `missing`, for that reason."""

    kimg: float
    path: str | None = None
    width: int = 0
    height: int = 0
    missing: str = ""


@dataclass(frozen=True)
class Pictures:
    """Of one trial, over kimg."""

    grids: tuple[Picture, ...]
    pairs: tuple[Picture, ...]


def copy_pictures(store: Store, trial: Trial, root: Path, which: Which, pool: ThreadPoolExecutor) -> Pictures:
    """Copy the pictures of a trial below `root`. One that is gone, or is no picture, is described instead."""
    rows = _wanted(trial, which)
    found = []
    for kind in ("grid", "pairs"):
        uris = _uris(rows, f"{kind}_uri")
        names = [f"pictures/{trial.slug}/{kind}-{index}" for index in range(len(uris))]
        jobs = [(store, uri, kimg, root, name) for (kimg, uri), name in zip(uris.items(), names)]
        found.append(tuple(pool.map(lambda job: _copy(*job), jobs)))
    return Pictures(*found)


def _wanted(trial: Trial, which: Which) -> Sequence[EvaluationRow]:
    if which == "all":
        return trial.evaluations
    best = {score.best.kimg for score in trial.scores.values()} if which == "best" else set()
    return [row for row in trial.evaluations if row.kimg in best]


def _uris(rows: Iterable[EvaluationRow], column: str) -> dict[float, str]:
    """Kimg to the picture of that checkpoint: protocols share it."""
    found: dict[float, str] = {}
    for row in sorted(rows, key=lambda row: row.kimg):
        if uri := getattr(row, column):
            found.setdefault(row.kimg, uri)
    return found


def _copy(store: Store, uri: str, kimg: float, root: Path, name: str) -> Picture:
    try:
        data = store.read_artifact(uri)
    except StoreError:
        return Picture(kimg=kimg, missing="This picture is no longer in the store.")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            suffix, (width, height) = _SUFFIXES.get(picture.format or ""), picture.size
    except (OSError, ValueError, Image.DecompressionBombError):
        suffix = None
    if suffix is None:
        return Picture(kimg=kimg, missing="The file in the store is no picture.")
    path = root / f"{name}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Picture(kimg=kimg, path=f"{name}.{suffix}", width=width, height=height)
