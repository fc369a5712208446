"""Ctrl-C, SIGTERM and a closed terminal, sent for real to a process of its own."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from ganray.cluster.signals import ENDINGS, interruptible

PROGRAM = """
import signal, sys, time
from ganray.cluster.signals import interruptible
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
signal.signal(signal.SIGINT, signal.default_int_handler)
told = []
with interruptible(told.append):
    print("ready", flush=True)
    try:
        while len(told) < int(sys.argv[1]):
            time.sleep(0.05)
        for line in range(200):
            print("still printing", flush=True)
            time.sleep(0.002)
        open(sys.argv[2], "w").write(f"in order: {told}")
    except KeyboardInterrupt:
        open(sys.argv[2], "w").write(f"at once: {told}")
"""


def begin(arguments, **options):
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], **options)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "the terminal was closed")],
)
def test_once_ends_in_order_with_the_reason(tmp_path, number, reason):
    process = begin(["1", str(tmp_path / "end")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.communicate(timeout=30)
    assert (tmp_path / "end").read_text() == f"in order: ['{reason}']"


def test_twice_ends_at_once(tmp_path):
    process = begin(["2", str(tmp_path / "end")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert (tmp_path / "end").read_text() == "at once: ['Ctrl-C']"


def test_a_closed_terminal_does_not_break_what_is_printed_after_it(tmp_path):
    ours, theirs = pty.openpty()
    process = begin(["1", str(tmp_path / "end")], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    assert b"ready" in os.read(ours, 100)
    process.send_signal(signal.SIGHUP)  # a process without a controlling terminal is not told of its end
    time.sleep(0.2)
    os.close(ours)
    assert process.wait(30) == 0
    assert (tmp_path / "end").read_text() == "in order: ['the terminal was closed']"


def test_the_handlers_are_as_before_afterwards():
    before = {number: signal.getsignal(number) for number in ENDINGS}
    with interruptible(lambda reason: None):
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in ENDINGS} == before


def test_what_nohup_has_ignored_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible(lambda reason: None):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
