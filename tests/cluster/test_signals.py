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


def test_the_two_signals_of_one_closed_window_are_one(tmp_path):
    process = begin(["1", str(tmp_path / "end")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)  # by the shell
    time.sleep(0.1)
    process.send_signal(signal.SIGHUP)  # by the kernel, when the shell has ended
    process.communicate(timeout=30)
    assert (tmp_path / "end").read_text() == "in order: ['the terminal was closed']"


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


TUNE = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from ganray.cluster.settings import start_ray
from ganray.cluster.signals import interruptible
start_ray(None, num_cpus=1)
from ray import tune


class Slow(tune.Trainable):
    def setup(self, config):
        self.steps = 0

    def step(self):
        time.sleep(0.3)
        self.steps += 1
        return {"done": self.steps >= 200}


class CtrlC(tune.Callback):
    def on_trial_result(self, iteration, trials, trial, result, **info):
        if result["training_iteration"] == 3:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()


class UntilTold(tune.Stopper):
    def __call__(self, trial_id, result):
        return False

    def stop_all(self):
        return bool(told)


told = []
with interruptible(told.append):
    run = tune.RunConfig(name="x", storage_path=sys.argv[1], verbose=0, callbacks=[CtrlC()], stop=UntilTold())
    tune.Tuner(Slow, run_config=run).fit()
print("TOLD", told, flush=True)
"""


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_tune_does_not_keep_ctrl_c_for_itself(tmp_path):
    done = subprocess.run([sys.executable, "-c", TUNE, str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert "TOLD ['Ctrl-C']" in done.stdout, done.stdout + done.stderr


WINDOW = """
import signal, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from ganray.cluster.settings import start_ray
from ganray.cluster.signals import interruptible
start_ray(None, num_cpus=1)
import ray


@ray.remote(num_cpus=0)
def one():
    return 1


told = []
with interruptible(told.append):
    print("inside", flush=True)
    while not told:
        time.sleep(0.05)
    time.sleep(1)
    print(told, "RAY ANSWERS", ray.get(one.remote(), timeout=60), flush=True)
"""


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_a_ray_of_this_machine_outlives_the_terminal():
    process = subprocess.Popen([sys.executable, "-c", WINDOW], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)  # fmt: skip
    seen = iter(process.stdout.readline, "")
    assert any(line == "inside\n" for line in seen)
    os.killpg(process.pid, signal.SIGHUP)  # a shell tells all processes of the job
    output, _ = process.communicate(timeout=200)
    assert "['the terminal was closed'] RAY ANSWERS 1" in output
    assert process.returncode == 0
