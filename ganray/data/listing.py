"""The catalogue with what of it is on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ganray.data.catalog import CATALOG, Entry
from ganray.data.records import Present, locate
from ganray.errors import DataError


@dataclass(frozen=True)
class Listed:
    """One line of the list."""

    entry: Entry
    here: Present | None
    fault: str | None = None
    """Why its record cannot be read."""

    @property
    def state(self) -> str:
        """Where it lies, `no`, or what is wrong."""
        if self.fault is not None:
            return self.fault
        if self.here is None:
            return "no"
        n = self.here.record.n_images
        other = f" ({n:,} images)" if n not in self.entry.counts or len(self.entry.counts) > 1 else ""
        return f"{self.here.place}{other}"

    def to_json(self) -> dict[str, Any]:
        """Every field of the entry, and `place`, `n_images`, `fetched_sha256`, `fault` of what is here."""
        record = self.here.record if self.here else None
        return asdict(self.entry) | {
            "place": str(self.here.place) if self.here else None,
            "n_images": record.n_images if record else None,
            "fetched_sha256": record.checksums.get(record.source) if record else None,
            "fault": self.fault,
        }


def listing() -> list[Listed]:
    """One line per data set of the catalogue, in its order; a damaged record is told, not raised."""
    rows = []
    for entry in CATALOG.values():
        try:
            rows.append(Listed(entry, locate(entry.name)))
        except DataError as error:
            rows.append(Listed(entry, None, str(error)))
    return rows
