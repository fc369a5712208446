"""Each fault by name: how it is injected into the sweep that runs, and what has to come of it."""

import contextlib
import signal
import time
import traceback
from collections.abc import Callable

from tests.faults.harness import Sweep
from tests.faults.plugs import Fault, Rig
from tests.faults.processes import kill

NODES = 3
NOTICE_S = 60
AWAY_S = 20.0


def worker(rig: Rig, name: str) -> Fault:
    return rig.strike(name, lambda: rig.some("worker", 1))


def all_workers(rig: Rig, name: str) -> Fault:
    return rig.strike(name, lambda: rig.some("worker"))


def controller(rig: Rig, name: str) -> Fault:
    return rig.strike(name, lambda: rig.some("controller"))


def tune_actor(rig: Rig, name: str) -> Fault:
    return rig.strike(name, lambda: rig.some("tune actor", 1))


def mailbox(rig: Rig, name: str) -> Fault:
    return rig.strike(name, lambda: rig.some("mailbox", 1))


def node(rig: Rig, name: str) -> Fault:
    fault = rig.kill_node(name, "worker")
    rig.cluster.add_node()
    return fault


def node_of_tune_actor(rig: Rig, name: str) -> Fault:
    fault = rig.kill_node(name, "tune actor")
    rig.cluster.add_node()
    return fault


def node_until_capacity_comes_back(rig: Rig, name: str) -> Fault:
    """Two nodes go, so that no trial fits; a new one comes AWAY_S later."""
    trial = rig.midway()
    lost = rig.node_with("worker")
    others = [number for number in rig.cluster.nodes if number not in (0, lost)]

    def pull(_: object) -> None:
        rig.cluster.kill_node(lost)
        rig.cluster.kill_node(rig.random.choice(others))
        time.sleep(AWAY_S)
        rig.cluster.add_node(wait=False)

    fault = rig.watch(name, trial, rig.cluster.members(lost), pull)
    fault.note = f"recovered after includes {AWAY_S:g} s without room"
    rig.cluster.add_node()
    return fault


def preemption(rig: Rig, name: str) -> Fault:
    trial, number = rig.midway(), rig.node_with("worker")
    fault = rig.watch(name, trial, rig.cluster.members(number), lambda _: rig.cluster.drain(number, NOTICE_S))
    rig.cluster.kill_node(number)
    rig.cluster.add_node()
    return fault


def second_sweep(rig: Rig, name: str) -> Fault:
    """The same sweep once more while the first one runs, with and without --resume."""
    fault = Fault(name, trial=rig.midway())
    rig.faults.append(fault)
    for flags in ((), ("--resume",)):
        began = time.monotonic()
        second = Sweep(rig.cluster, rig.file, *flags)
        try:
            fault.code = second.wait(90)
        finally:
            second.process.kill()
        fault.detected_s = round(time.monotonic() - began, 1)
        if fault.code != 2:
            raise AssertionError(f"a second sweep with {flags} ended with {fault.code}:\n{second.text}")
    fault.note = second.text.strip().splitlines()[-1][:200]
    return fault


def ended_by(*numbers: signal.Signals, codes: tuple[int, ...]) -> Callable[[Rig, str], Fault]:
    """The driver gets these signals, a second apart."""

    def pull(rig: Rig, name: str) -> Fault:
        def send(sweep: Sweep) -> None:
            for number in numbers:
                sweep.signal(number)
                time.sleep(1.0 if len(numbers) > 1 else 0.0)

        fault = rig.stop(name, send)
        if fault.code not in codes:
            raise AssertionError(f"the driver ended with {fault.code}:\n{rig.sweep.text}")
        rig.wait_until_actors_end()
        if left := rig.cluster.left_behind():
            raise AssertionError(f"left behind: {left}")
        return rig.resume(fault)

    return pull


def closed_terminal(rig: Rig, name: str) -> Fault:
    """The sweep runs in a terminal whose window is closed."""
    before = rig.stop("(ended in order to begin in a terminal)", lambda sweep: sweep.signal(signal.SIGINT))
    rig.faults.remove(before)
    rig.wait_until_actors_end()
    rig.resume(before, terminal=True)
    fault = rig.stop(name, lambda sweep: sweep.close_terminal())
    if fault.code == 0:
        raise AssertionError("the driver ended with 0")
    rig.wait_until_actors_end()
    return rig.resume(fault)


def gcs(rig: Rig, name: str) -> Fault:
    """The head's GCS, without which there is no cluster: a new one is started before --resume."""
    fault = rig.stop(name, lambda sweep: kill(rig.cluster.gcs()), wait_s=150)
    if fault.code == 0 or "Traceback" in rig.sweep.text:
        raise AssertionError(f"the driver ended with {fault.code}:\n{rig.sweep.text}")
    fault.note = next((line for _, line in rig.sweep.lines if line.startswith("ganray: ")), "")[:200].strip()
    rig.cluster.stop()
    rig.cluster.start()
    return rig.resume(fault)


FAULTS: dict[str, tuple[str, Callable[[Rig, str], Fault]]] = {
    "one of two workers": ("SIGKILL", worker),
    "all workers": ("SIGKILL", all_workers),
    "Train controller": ("SIGKILL", controller),
    "Tune actor": ("SIGKILL", tune_actor),
    "mailbox": ("SIGKILL", mailbox),
    "node with a worker": ("SIGKILL of all its processes", node),
    "node of the Tune actor": ("SIGKILL of all its processes", node_of_tune_actor),
    "two of three nodes, one comes back": ("SIGKILL of all their processes", node_until_capacity_comes_back),
    "spot notice": (f"ray drain-node, preemption in {NOTICE_S} s", preemption),
    "same sweep twice": ("a second `ganray sweep --resume`", second_sweep),
    "driver": ("SIGKILL, then --resume", ended_by(signal.SIGKILL, codes=(-9,))),
    "Ctrl-C": ("SIGINT, then --resume", ended_by(signal.SIGINT, codes=(130,))),
    "Ctrl-C twice": ("SIGINT, SIGINT, then --resume", ended_by(signal.SIGINT, signal.SIGINT, codes=(130,))),
    "SIGTERM": ("SIGTERM, then --resume", ended_by(signal.SIGTERM, codes=(130, 143))),
    "closed terminal": ("the pseudo-terminal closed, then --resume", closed_terminal),
    "head's GCS": ("SIGKILL, a new cluster, then --resume", gcs),
}


def pull_all(rig: Rig, names: list[str]) -> dict[str, str]:
    """Pull the plugs one after another; what was not survived, with the reason."""
    failed: dict[str, str] = {}
    for name in names:
        print(f"{time.strftime('%T')} {name}", flush=True)
        try:
            if rig.sweep.process.poll() is not None:
                rig.start("--resume")
            FAULTS[name][1](rig, name)
            print(f"{time.strftime('%T')} {rig.faults[-1]}", flush=True)
        except (AssertionError, TimeoutError, LookupError) as error:
            failed[name] = str(error)
            print(f"{time.strftime('%T')} FAILED {name}: {traceback.format_exc()}", flush=True)
            rig.sweep.process.kill()
            rig.sweep.process.wait()
            with contextlib.suppress(TimeoutError):
                rig.wait_until_actors_end()
            if rig.cluster.gcs():
                while len(rig.cluster.nodes) < NODES + 1:
                    rig.cluster.add_node()
            else:
                rig.cluster.stop()
                rig.cluster.start()
    return failed
