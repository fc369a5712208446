"""Everything that a cluster or a sweep has ever started, found again after its parents are gone."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

import psutil

T = TypeVar("T")

POLL_S = 0.2

ROLES = {
    "worker": ("ray::RayTrainWorker",),
    "controller": ("ray::TrainController",),
    "tune actor": ("ray::ResourceTrainable", "ray::Slot"),
    "mailbox": ("ray::Mailbox",),
}
"""What Ray calls the processes of a slot."""
RAYS_OWN = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::_AutoscalingCoordinatorActor")
"""Processes that belong to no job. The last one is detached: Ray keeps one per cluster once it has seen a trainer."""


class Family:
    """The descendants of some processes. A thread looks every POLL_S, since orphans have no known parent later on."""

    def __init__(self) -> None:
        self._roots: set[int] = set()
        self._known: dict[tuple[int, float], psutil.Process] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def adopt(self, pid: int) -> None:
        """This process and all that it starts belong to the family."""
        with self._lock, contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            self._roots.add(pid)
            self._known[process.pid, process.create_time()] = process

    def alive(self) -> list[psutil.Process]:
        """Members that run; a zombie is one that its parent has yet to bury."""
        self._look()
        with self._lock:
            return [process for process in self._known.values() if _runs(process)]

    def below(self, pid: int) -> list[psutil.Process]:
        """Members that run: this process and whatever it started, the oldest first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            return [process, *process.children(recursive=True)]
        return []

    def titled(self, *beginnings: str) -> list[psutil.Process]:
        """Members whose title, as Ray sets it, begins so."""
        return [process for process in self.alive() if title(process).startswith(beginnings)]

    def of_role(self, *roles: str) -> list[psutil.Process]:
        """Running processes of slots: `worker`, `controller`, `tune actor`, `mailbox`."""
        return self.titled(*(beginning for role in roles for beginning in ROLES[role]))

    def of_jobs(self) -> list[psutil.Process]:
        """Running actors and tasks of any driver."""
        return [process for process in self.titled("ray::") if not title(process).startswith(RAYS_OWN)]

    def end(self, grace_s: float = 10.0) -> list[str]:
        """SIGKILL whatever runs, and stop looking; the titles of what did run."""
        self._stop.set()
        self._thread.join()
        deadline, titles = time.monotonic() + grace_s, [title(process) for process in self.alive()]
        while (alive := self.alive()) and time.monotonic() < deadline:
            kill(alive)
            time.sleep(0.1)
        return titles

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            self._look()

    def _look(self) -> None:
        children = defaultdict(list)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess):
                children[process.ppid()].append(process)
        with self._lock:
            todo = [*self._roots, *(pid for pid, _ in self._known)]
            while todo:
                for process in children.pop(todo.pop(), ()):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        self._known.setdefault((process.pid, process.create_time()), process)
                        todo.append(process.pid)
            for key in [key for key, process in self._known.items() if not process.is_running()]:
                self._known.pop(key)
                self._roots.discard(key[0])


def title(process: psutil.Process) -> str:
    """What the process calls itself: its command line, which Ray's workers overwrite."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def wait_for(find: Callable[[], T], timeout_s: float, what: str) -> T:
    """The first true answer. TimeoutError where there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := find():
            return found
        time.sleep(POLL_S)
    raise TimeoutError(f"{what}: not within {timeout_s:g} s")


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
