"""The small file at a store's root that says that it is one, and of which version."""

from __future__ import annotations

import json
import logging
from typing import Any

from ganray.errors import StoreError
from ganray.store.files import Files
from ganray.store.schema import SCHEMA_VERSION, TABLES
from ganray.store.spool import SpooledFiles, write_now

_log = logging.getLogger(__name__)

NAME = "ganray-store.json"
FORMAT = "ganray-store"
READABLE_FROM = 1
"""The oldest schema version whose code can read what this one writes: columns were only ever added."""


class Marker:
    """Reads the marker once, and writes it once where it is missing or older. Stores of version 1 have none."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._checked = self._ensured = False

    def check(self) -> None:
        """StoreError where a newer GANRay wrote what this one cannot read; a warning where it wrote more columns."""
        if not self._checked:
            content = self._read()
            self._judge(content)
            self._checked = content is not None

    def _judge(self, content: dict[str, Any] | None) -> None:
        version = content.get("schema_version", 0) if content else SCHEMA_VERSION
        if content and content.get("readable_from", 1) > SCHEMA_VERSION:
            raise StoreError(
                f"the store {self._files.root} has schema version {version}; this GANRay reads versions up to "
                f"{SCHEMA_VERSION}: upgrade it (pip install -U ganray)"
            )
        if version > SCHEMA_VERSION:
            _log.warning(
                "the store %s is of a newer GANRay (schema version %s, this one has %s): columns that are new there "
                "are left out; upgrade to see them",
                self._files.root,
                version,
                SCHEMA_VERSION,
            )

    def ensure(self) -> None:
        """Before the first write: leave a marker. A store that cannot be reached gets its marker another time."""
        if self._ensured or (isinstance(self._files, SpooledFiles) and self._files.is_down):
            return
        try:
            content = self._read()
        except StoreError as error:
            _log.debug("no marker yet: %s", error)  # whatever is wrong, the row's own write will say it
            return
        if not self._checked:
            self._judge(content)
        if content is None or content.get("schema_version", 0) < SCHEMA_VERSION:
            marker = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "readable_from": READABLE_FROM}
            try:
                write_now(self._files, NAME, json.dumps(marker).encode())
            except StoreError as error:
                _log.debug("no marker yet: %s", error)
                return
        self._checked = self._ensured = True

    def require(self) -> None:
        """StoreError where there is no store, or where what is there is none."""
        if self._read() is not None:
            self.check()
            return
        folders = self._files.folders_in("")
        if any(table in folders for table in TABLES):
            return  # of version 1
        names = [*folders, *(path.rsplit("/", 1)[-1] for path in self._files.files_in(""))]
        if names:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise StoreError(
                f"{self._files.root} is not a store of GANRay: it holds {shown}, but neither {NAME} nor any of "
                f"{', '.join(TABLES)}; name the right folder with --store"
            )
        raise StoreError(f"there is no store at {self._files.root}; run a sweep first, or name another --store")

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._files.read(f"{self._files.root}/{NAME}"))
        except FileNotFoundError:
            return None
        except ValueError:
            content = None
        versions = ("schema_version", "readable_from")
        if (
            not isinstance(content, dict)
            or content.get("format") != FORMAT
            or not all(isinstance(content.get(name, 0), int) for name in versions)
        ):
            raise StoreError(
                f"{self._files.root}/{NAME} is damaged, or of another program; delete it if this is a store of GANRay"
            )
        return content
