"""The folder of a report: built beside its place and swapped in; never over files that are not ours."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganray.errors import GanrayError

MARKER = ".ganray-report"
"""A folder with this file in it was written by us."""
OURS = {MARKER, "index.html", "compare.html", "assets", "data", "pictures", "trials"}
"""All that a report has at its top."""


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder to write into; it takes the place of `folder` at the end, and is removed on an error.

    GanrayError where `folder` holds something else than a report, or cannot be written.
    """
    target = Path(os.path.realpath(folder))
    _refuse_foreign(target, folder)
    name = secrets.token_hex(4)
    new, old = (target.with_name(f".{target.name}-{kind}-{name}") for kind in ("new", "old"))
    try:
        new.mkdir(parents=True)
        try:
            yield new
            (new / MARKER).write_text("Written by `ganray report`, which may replace this folder.\n", encoding="utf-8")
            _swap(new, target, old)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise GanrayError(
            f"cannot write the report {folder}: {error.strerror or error}; choose another folder with -o"
        ) from error


def _refuse_foreign(target: Path, named: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise GanrayError(f"{named} is a file, so no report can be written there; choose another folder with -o")
    there = {entry.name for entry in target.iterdir()}
    if there and MARKER not in there:
        raise GanrayError(
            f"the folder {named} holds files that are no report of ours, so nothing is written there; "
            f"empty it, or choose another folder with -o"
        )
    if foreign := sorted(there - OURS):
        raise GanrayError(
            f"the report {named} also holds {', '.join(foreign[:5])}, which a new report would replace; "
            f"move that away, or choose another folder with -o"
        )


def _swap(new: Path, target: Path, old: Path) -> None:
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
