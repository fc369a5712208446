"""Ends a worker whose trial makes no progress, after writing down where each of its threads hangs.

A deadlock can be ended from outside alone. The group is restarted and the trial goes on from its checkpoint; `attempts`
sees to it that this does not go on for ever. Without Ray, the command ends.
"""

import contextlib
import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ganray.errors import GanrayError
from ganray.store.store import Store
from ganray.training.distributed import World
from ganray.trial import attempts
from ganray.trial.job import TrialJob

EXIT_CODE = 70
STALLED = "stalled"
"""The file by which the first worker that notices tells those who share its folder; it holds the diagnosis."""

POLL_S = 1.0
OTHERS_S = 3.0
"""How long the other workers have to write down where they hang, before the first one ends."""

TELL_S = 20.0
"""How long it may take to write stacks and to send them to the store: either may be what hangs."""


def stacks_path(folder: Path, rank: int) -> Path:
    """Where worker `rank` writes the stacks of its threads."""
    return folder / f"stacks-rank{rank}.txt"


def clear(folder: Path) -> None:
    """Before an attempt: forget that the one before hung, and keep what is known of it. For the main worker alone."""
    (folder / STALLED).unlink(missing_ok=True)
    for blocked in folder.glob("blocked-rank*.txt"):
        if blocked.stat().st_size:
            stacks = blocked.with_name(blocked.name.replace("blocked", "stacks"))
            os.replace(blocked, stacks)
            attempts.note(folder, f"hang: a call into C let no other thread run; stacks in {stacks}")
        else:
            blocked.unlink(missing_ok=True)


@contextlib.contextmanager
def watched(job: TrialJob, world: World) -> Iterator[None]:
    """End this process where the trial's pulse has no beat for `job.stall_s`. Collective; each worker has a watchdog.

    A thread of Python's cannot run while a call into C keeps the interpreter's lock: then `faulthandler`'s timer ends
    the process, with the stacks in `blocked-rankN.txt`. (And one that was stopped for longer than the timer runs.)
    """
    world.on_main(lambda: clear(job.folder))
    watchdog = _Watchdog(job, world)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


class _Watchdog:
    """One trial's, in one process."""

    def __init__(self, job: TrialJob, world: World) -> None:
        self.job, self.pulse, self.rank, self.folder = job, world.pulse, world.rank, job.folder
        self.poll_s = min(POLL_S, job.stall_s / 10)
        self._blocked: TextIO | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ganray-watchdog", daemon=True)
        self._blocked_path = self.folder / f"blocked-rank{self.rank}.txt"

    def start(self) -> None:
        # A full disk is for the trial to complain of, with the right words.
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._blocked = self._blocked_path.open("w")
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        if self._blocked:
            faulthandler.cancel_dump_traceback_later()
            self._blocked.close()
            self._blocked_path.unlink(missing_ok=True)

    def _watch(self) -> None:
        quiet_s, beats, looked = 0.0, self.pulse.beats, time.monotonic()
        while True:
            self._set_timer(1.5 * self.job.stall_s)
            if self._over.wait(self.poll_s):
                return
            now = time.monotonic()
            # A process that was stopped (a debugger, a machine that slept) could not beat: that time does not count.
            quiet_s += min(now - looked, 2 * self.poll_s)
            looked = now
            if self.pulse.beats != beats:
                quiet_s, beats = 0.0, self.pulse.beats
            limit_s = max(self.job.stall_s, self.pulse.slack_s)
            if quiet_s > limit_s:
                self._bark(f"hang: no progress for {limit_s:g} s in {self.pulse.what}")
            elif (self.folder / STALLED).exists():
                self._bark(None)

    def _set_timer(self, seconds: float) -> None:
        """Have this process ended unless this is called again in time."""
        if self._blocked:
            faulthandler.dump_traceback_later(seconds, exit=True, file=self._blocked)

    def _bark(self, found: str | None) -> None:
        """Tell what is known, and end the process. `found`: the diagnosis; None where another worker has it."""
        began = time.monotonic()
        self._set_timer(2 * (TELL_S + OTHERS_S))
        teller = threading.Thread(target=self._tell, args=(found,), daemon=True)
        teller.start()
        teller.join(TELL_S)
        time.sleep(max(0.0, OTHERS_S - (time.monotonic() - began)))
        os._exit(EXIT_CODE)

    def _tell(self, found: str | None) -> None:
        stacks = stacks_path(self.folder, self.rank)
        diagnosis = None if found is None else f"{found}; stacks in {stacks}"
        if diagnosis:
            # Neither logging nor sys.stderr: the thread that hangs may hold their locks.
            os.write(2, f"trial {self.job.trial_id}: {diagnosis}; this worker ends, --resume goes on\n".encode())
        with contextlib.suppress(OSError, GanrayError):
            if diagnosis:
                self._announce(diagnosis)
        with contextlib.suppress(OSError, GanrayError):
            self._write_stacks(stacks, found)
            self._send(stacks)

    def _announce(self, diagnosis: str) -> None:
        """Have the others write their stacks too; the first diagnosis is kept."""
        with (self.folder / STALLED).open("x") as file:
            file.write(diagnosis)
        attempts.note(self.folder, diagnosis)

    def _write_stacks(self, stacks: Path, found: str | None) -> None:
        with stacks.open("w") as file:
            file.write(f"{found or f'another worker hangs; here: {self.pulse.what}'}\nworker {self.rank}\n\n")
            file.flush()
            faulthandler.dump_traceback(file)

    def _send(self, stacks: Path) -> None:
        """Into the store, where it outlives this machine."""
        Store(self.job.store).put_artifact(self.job.experiment, self.job.trial_id, stacks.name, stacks.read_bytes())
