"""Many files at once: threads suffice, for Pillow, zlib and hashlib release Python's lock."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], *, total: int, text: str, progress: bool
) -> Iterator[R]:
    """Results in the order of the items, computed on all usable cores; a bar on stderr if `progress`.

    Only a few results wait at any time, so that a large set never has to fit into memory.
    """
    results = _windowed(function, items, threads=_usable_cores())
    if not progress:
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, text, total=total, console=Console(stderr=True), transient=True)


def _windowed(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="ganray-data") as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 4 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _usable_cores() -> int:
    # Not every system knows affinity; a container often has fewer cores than the machine.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 32)
