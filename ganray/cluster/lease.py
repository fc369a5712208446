"""One driver per sweep: a lock on this machine, and a lease beside the runs where they are at a URI."""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ganray.errors import ClusterError, StoreError
from ganray.store.remote import RETRY_S
from ganray.trial.folder import Runs

LOG = logging.getLogger(__name__)
LOCK = "driver.lock"
LEASE = "driver.json"
RENEW_S = 20.0
EXPIRES_S = 90.0
"""A lease that was not renewed for so long belongs to a driver that is gone."""
SETTLE_S = 1.0
"""How long after taking a lease one looks whether somebody else took it at the same moment."""
FAREWELL_S = 10.0
"""How long a sweep that ends waits for a renewal under way, and tries to give the lease back: it expires anyway."""


@contextmanager
def only_driver(experiment: str, runs: Runs, lost: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Be the only driver of this sweep. `lost` is called with the reason where another one has taken it over.

    What it gives writes the lease anew, for who has just removed everything of the sweep.

    Raises ClusterError where another one is at work, on this machine or, for runs at a URI, anywhere.
    """
    folder = runs.folder / experiment
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ClusterError(_busy(experiment, _read(folder / LEASE), "on this machine")) from None
    try:
        lease = _Lease(experiment, runs, lost)
        with lease.held():
            yield lease.write
    finally:
        lock.release()


class _Lease:
    """Says who drives a sweep; at a URI it is renewed, since a lock does not cross machines."""

    def __init__(self, experiment: str, runs: Runs, lost: Callable[[str], None]) -> None:
        self.experiment, self.runs, self.lost = experiment, runs, lost
        self.id = secrets.token_hex(8)
        self.path = f"{experiment}/{LEASE}"
        self._ended = threading.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        if self.runs.is_remote:
            self._refuse_other()
        self.write()
        if self.runs.is_remote:
            time.sleep(SETTLE_S)
            self._refuse_other()
        renewal = threading.Thread(target=self._renew, daemon=True)
        if self.runs.is_remote:
            renewal.start()
        try:
            yield
        finally:
            self._ended.set()
            if renewal.is_alive():
                renewal.join(FAREWELL_S)  # else it might write the lease again after it was given back
            self._drop()

    def _refuse_other(self) -> None:
        other = self._other()
        if other is None:
            return
        age_s = time.time() - other["at_s"]
        # A container that starts again has its name and its process ids from before.
        is_dead = other["host"] == socket.gethostname() and (other["pid"] == os.getpid() or not _lives(other["pid"]))
        if age_s > EXPIRES_S or is_dead:
            return
        left_s = EXPIRES_S - age_s
        raise ClusterError(
            _busy(self.experiment, other, f"heard of {max(0.0, age_s):.0f} s ago")
            + f"; if that one is gone, its lease ends in {left_s:.0f} s"
        )

    def _other(self, patience_s: float = RETRY_S) -> dict[str, Any] | None:
        """The lease at the URI, where it is somebody else's. StoreError where the URI fails."""
        found = self.runs.folder / self.experiment / f".{LEASE}.remote"
        try:
            known = _read(found) if self.runs.fetch(self.path, found, patience_s) else None
        finally:
            found.unlink(missing_ok=True)
        return known if known and known["id"] != self.id else None

    def write(self) -> None:
        """Say that this process drives the sweep, now. StoreError where the URI fails."""
        content = {"id": self.id, "host": socket.gethostname(), "pid": os.getpid(), "at_s": time.time()}
        target = self.runs.folder / self.path
        temporary = target.with_name(f".{LEASE}.tmp")
        temporary.write_text(json.dumps(content))
        os.replace(temporary, target)
        if self.runs.is_remote:
            self.runs.send(self.path)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S):
            try:
                if other := self._other():
                    self.lost(f"{other['host']} (process {other['pid']}) has taken this sweep over")
                    return
                self.write()
            except (StoreError, OSError) as error:
                LOG.warning("the sweep's lease is not renewed for now: %s", error)

    def _drop(self) -> None:
        try:
            if self.runs.is_remote and self._other(FAREWELL_S) is None:
                self.runs.remove(self.path, FAREWELL_S)
            (self.runs.folder / self.path).unlink(missing_ok=True)
        except (StoreError, OSError) as error:
            LOG.warning("the sweep's lease stays until it expires: %s", error)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        known = json.loads(path.read_text())
        return known if {"id", "host", "pid", "at_s"} <= known.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def _busy(experiment: str, other: dict[str, Any] | None, where: str) -> str:
    who = f"process {other['pid']} on {other['host']}, {where}" if other else where
    since = f" since {datetime.fromtimestamp(other['at_s'], UTC):%Y-%m-%d %H:%M:%S} UTC" if other else ""
    return (
        f"the sweep {experiment} is being run already ({who}{since}): a second one would do the same work twice; watch "
        f"it with `ganray status {experiment}`, or end it and go on with --resume"
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
