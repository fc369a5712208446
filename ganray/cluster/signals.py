"""Ctrl-C, SIGTERM and a closed terminal end a sweep in order, a second Ctrl-C or SIGTERM at once. Either way it can be
resumed."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible(stop: Callable[[str], None]) -> Iterator[None]:
    """Within, the first signal calls `stop` with its name; a second Ctrl-C or SIGTERM raises KeyboardInterrupt.

    Outside the main thread nothing can be caught, and nothing is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if number == signal.SIGHUP:
            _leave_terminal()
            if told:
                return  # a shell passes on that its window is closed, and the kernel tells of the shell's own end
        if told:
            raise KeyboardInterrupt
        told = True
        stop({signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "the terminal was closed"}[number])  # type: ignore[index]

    before = {number: signal.getsignal(number) for number in ENDINGS}
    for number in ENDINGS:
        # nohup has SIGHUP ignored, and so it stays.
        if not (number == signal.SIGHUP and before[number] == signal.SIG_IGN):
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deaf_to_terminal() -> Iterator[None]:
    """What is started within never hears SIGHUP, which a shell sends to a whole job: the driver alone answers it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_terminal() -> None:
    """What is printed from now on goes nowhere: writing to a terminal that is gone would end the sweep by an error."""
    with open(os.devnull, "w") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            if stream.isatty():
                os.dup2(nowhere.fileno(), stream.fileno())
