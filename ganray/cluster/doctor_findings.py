"""A doctor's findings, what they are drawn from, and the words that the checks share."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ganray.cluster.doctor_node import View

Level = Literal["ok", "warning", "problem"]
MIB, GIB = 2**20, 2**30
NAMES = {
    "versions": "versions",
    "shared_memory": "object store",
    "disk": "disk",
    "open_files": "open files",
    "shared": "shared folders",
    "stores": "store",
    "data": "data",
    "weights": "weights",
    "listening": "listening",
}
"""The check that judges a part of a node's view."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    check: str
    level: Level
    text: str
    fix: str | None = None
    node: str | None = None
    """The node at fault; None where it is about all of them."""


@dataclass(frozen=True)
class Seen:
    """All that the checks judge by."""

    here: View
    """The machine that asks: its `versions` and `token`."""
    nodes: Mapping[str, View]
    """Each node's view by its name; without Ray, this machine alone."""
    ray: Mapping[str, Mapping[str, float]] | None = None
    """Each node's resources as Ray counts them; None where no Ray was asked."""
    skew_s: Mapping[str, float] = field(default_factory=dict)
    """How far each node's clock is ahead of this machine's."""
    silent: Sequence[str] = ()
    """Nodes that started no process, with the reason."""
    cluster_file: str | None = None
    cluster_file_faults: Sequence[str] = ()


def each_node(seen: Seen, part: str, judge_node: Callable[[str, View], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of every node; where looking itself failed, that is the finding."""
    check = NAMES[part]
    for node, view in seen.nodes.items():
        if "error" in view[part]:
            yield Finding(check, "warning", f"could not be looked at: {view[part]['error']}", None, node)
        else:
            yield from judge_node(node, view[part])


def or_fine(
    seen: Seen, part: str, judge_node: Callable[[str, View], Iterator[Finding]], fine: str
) -> Iterator[Finding]:
    """What is wrong on each node, or one line that says that nothing is."""
    faults = [*each_node(seen, part, judge_node)]
    yield from faults or [Finding(NAMES[part], "ok", fine)]


def count(things: Collection[object], word: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def size(size_bytes: float, space: str = " ") -> str:
    """`1.5 GiB`; without a space and in whole units as a command takes it: `2G`."""
    if not space:
        return f"{-(-int(size_bytes) // GIB)}G"
    return f"{size_bytes / GIB:.1f} GiB" if size_bytes >= GIB else f"{size_bytes / MIB:.0f} MiB"
