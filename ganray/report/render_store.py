"""What `ganray store` prints as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ganray.report.cells import NOTHING, Row, table
from ganray.store.prune import Removable
from ganray.store.stats import Part

_NUMERIC = ("files", "compacted", "rows", "size")


def stats_table(uri: str, parts: Sequence[Part]) -> Table:
    """A row per experiment and table, and the sums."""
    rows: list[Row] = [
        {
            "experiment": part.experiment,
            "table": part.table,
            "files": str(part.files),
            "compacted": str(part.compacted) if part.rows is not None else NOTHING,
            "rows": NOTHING if part.rows is None else str(part.rows),
            "size": size(part.size_bytes),
        }
        for part in parts
    ]
    rows.append(
        {
            "experiment": "all",
            "table": "",
            "files": str(sum(part.files for part in parts)),
            "compacted": "",
            "rows": str(sum(part.rows or 0 for part in parts)),
            "size": size(sum(part.size_bytes for part in parts)),
        }
    )
    result = table(rows, _NUMERIC)
    result.title = Text(uri)
    return result


def removable_table(items: Sequence[Removable]) -> Table:
    """A row per experiment and kind of file."""
    counts = Counter((item.experiment, item.kind) for item in items)
    rows: list[Row] = [
        {
            "experiment": experiment,
            "kind": kind,
            "files": str(count),
            "size": size(sum(i.size_bytes for i in items if (i.experiment, i.kind) == (experiment, kind))),
        }
        for (experiment, kind), count in sorted(counts.items())
    ]
    return table(rows, _NUMERIC)


def size(count: int) -> str:
    """Bytes as people read them: 1.2 MiB."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" or value >= 100 else f"{value:.1f} {units[0]}"
