"""A trial's checkpoint on this machine and at the runs' URI: the newer one is gone on from, each new one is sent there.

The URI keeps the one before the newest, too: the newest is gone on from unless it is damaged.

Where the URI cannot be reached, training goes on from the copy here. A file `unsent` beside it says that the URI
lacks it; it is sent with the next checkpoint, of this trial or of another one on this machine.
"""

import contextlib
import logging
import os
from pathlib import Path

from filelock import FileLock, Timeout

from ganray.errors import StoreError, WeightsError
from ganray.store.remote import RETRY_S
from ganray.training.checkpoint import is_intact, previous_of, read_checkpoint
from ganray.training.distributed import World
from ganray.trial.attempts import ATTEMPTS
from ganray.trial.folder import Runs
from ganray.trial.job import CHECKPOINT, LOCK, TrialFiles
from ganray.trial.memory import RETRY

LOG = logging.getLogger(__name__)
PREVIOUS = previous_of(Path(CHECKPOINT)).name
UNSENT = "unsent"
ERROR = "error.txt"


class Mirror:
    """Used by the main worker, which holds the trial's lock. Does nothing where the runs are a folder."""

    def __init__(self, files: TrialFiles, patience_s: float = RETRY_S) -> None:
        self.files, self.runs = files, files.runs
        self._there: int | None = None
        """Steps of the checkpoint at the URI; -1: there is none, None: not known."""
        self._patience_s = patience_s

    def pull(self) -> None:
        """Have the newer checkpoint here; a damaged one is never the newer. Where the URI fails, the one here stays.

        The count of attempts comes along, and what is known of memory that ran out.
        """
        if not self.runs.is_remote:
            return
        try:
            self._fetch()
            for name in (ATTEMPTS, RETRY):
                self.runs.fetch(self._relative(name), self.files.folder / name, self._patience_s)
        except StoreError as error:
            LOG.warning("going on from what is on this machine: %s", error)
            self._patience_s = 0.0
            return
        here = steps_of(self.files.checkpoint)
        if here is not None and self._there is not None and here > self._there:
            self.push(here)

    def push(self, steps: int) -> None:
        """Send the checkpoint of so many steps, and others of this machine that wait.

        A failure is logged, and made good with the next one.
        """
        if not self.runs.is_remote:
            return
        marker = self.files.folder / UNSENT
        marker.touch()
        if self.send(steps):
            marker.unlink(missing_ok=True)
            send_waiting(self.runs, 0.0)

    def send_error(self) -> None:
        """Send the text of what ended the trial, if that works at once."""
        if self.runs.is_remote:
            try:
                self.runs.send(self._relative(ERROR), 0.0)
            except StoreError as error:
                LOG.warning("%s", error)

    def send_attempts(self) -> None:
        """Have the count of attempts at the URI as it is here, for whichever machine goes on; if that works at once."""
        self.send_note(ATTEMPTS)

    def send_note(self, name: str) -> None:
        """Have a small file, or its absence, at the URI as it is here; if that works at once."""
        if not self.runs.is_remote:
            return
        try:
            if (self.files.folder / name).exists():
                self.runs.send(self._relative(name), 0.0)
            else:
                self.runs.remove(self._relative(name), 0.0)
        except StoreError as error:
            LOG.warning("%s", error)

    def drop_previous(self) -> None:
        """Nobody goes on from a trial that has ended: one checkpoint of it is enough, here and at the URI."""
        with contextlib.suppress(OSError, StoreError):
            previous_of(self.files.checkpoint).unlink(missing_ok=True)
            if self.runs.is_remote:
                self.runs.remove(self._relative(PREVIOUS), 0.0)

    def send(self, steps: int) -> bool:
        """Send the checkpoint, unless the URI has one that is further; whether the URI has what it should have."""
        try:
            if self._there is None:
                self._there = self._look()
            if steps >= self._there:
                if 0 <= self._there < steps:
                    self.runs.copy(self._relative(CHECKPOINT), self._relative(PREVIOUS), self._patience_s)
                self.runs.send(self._relative(CHECKPOINT), self._patience_s)
                self._there = steps
        except StoreError as error:
            LOG.warning("the checkpoint stays on this machine until the next one: %s", error)
            self._patience_s = 0.0  # training must not wait for a time-out at each checkpoint
            return False
        self._patience_s = RETRY_S
        return True

    def _fetch(self) -> None:
        """Take the checkpoint at the URI unless the one here is whole and further."""
        here, there = self.files.checkpoint, self._remote_copy()
        name = self._fetch_undamaged(there)
        if name is None:
            self._there = -1
            return
        steps_here, steps_there = steps_of(here), steps_of(there)
        if steps_here is None or (steps_there is not None and steps_there >= steps_here):
            os.replace(there, here)
        else:
            there.unlink()
        self._there = steps_there if name == CHECKPOINT and steps_there is not None else -1

    def _fetch_undamaged(self, there: Path) -> str | None:
        """Copy the newest checkpoint at the URI to `there`, or else the one before it; which of them, None: neither."""
        for name in (CHECKPOINT, PREVIOUS):
            if not self.runs.fetch(self._relative(name), there, self._patience_s):
                continue
            if is_intact(there):
                return name
            aside = self.files.folder / f"{Path(name).stem}-remote.damaged"
            LOG.warning("%s is damaged; it is kept as %s", self.runs.place(self._relative(name)), aside)
            os.replace(there, aside)
        return None

    def _look(self) -> int:
        """How far the checkpoint at the URI is: another machine may have sent it. -1 where there is none."""
        there = self._remote_copy()
        found = self.runs.fetch(self._relative(CHECKPOINT), there, self._patience_s)
        steps = steps_of(there) if found else None
        there.unlink(missing_ok=True)
        return -1 if steps is None else steps

    def _relative(self, name: str) -> str:
        return f"{self.files.relative}/{name}"

    def _remote_copy(self) -> Path:
        return self.files.folder / f".{CHECKPOINT}.{os.getpid()}.remote.tmp"


def share_checkpoint(files: TrialFiles, world: World) -> None:
    """Give workers on other machines the main worker's checkpoint. Collective; a folder is theirs already."""
    if not files.runs.is_remote or world.size == 1:
        return
    steps = world.gather(steps_of(files.checkpoint))
    if all(each == steps[0] for each in steps):
        return
    content = world.broadcast(files.checkpoint.read_bytes() if world.is_main and steps[0] is not None else None)
    if steps[world.rank] == steps[0]:
        return
    files.folder.mkdir(parents=True, exist_ok=True)
    if content is None:
        files.checkpoint.unlink(missing_ok=True)
        return
    temporary = files.folder / f".{CHECKPOINT}.{os.getpid()}.tmp"
    temporary.write_bytes(content)
    os.replace(temporary, files.checkpoint)


def send_waiting(runs: Runs, patience_s: float = RETRY_S) -> int:
    """Send checkpoints of this machine that an outage kept from the URI; return how many still wait."""
    waiting = 0
    for marker in sorted(runs.folder.glob(f"*/trials/*/{UNSENT}")) if runs.is_remote else ():
        files = TrialFiles(runs, marker.parent.relative_to(runs.folder).as_posix())
        try:
            with FileLock(marker.parent / LOCK, timeout=0):
                steps = steps_of(files.checkpoint)
                sent = steps is not None and Mirror(files, 0.0 if waiting else patience_s).send(steps)
        except Timeout:
            continue  # whoever trains it sends it
        if sent:
            marker.unlink(missing_ok=True)
        else:
            waiting += 1
    return waiting


def steps_of(checkpoint: Path) -> int | None:
    """How many steps a checkpoint is from the beginning; None where there is none, or a damaged one."""
    try:
        return int(read_checkpoint(checkpoint)["step"])
    except (WeightsError, KeyError, TypeError, ValueError):
        return None


def kimg_of(checkpoint: Path) -> float:
    """How far a checkpoint is; 0 where there is none, or one that cannot be read."""
    try:
        return float(read_checkpoint(checkpoint)["images_shown"]) / 1000
    except (WeightsError, KeyError, TypeError, ValueError):
        return 0.0
