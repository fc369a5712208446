"""A Ray of several nodes on this machine, a sweep on it, and the plugs to pull.

Each node is a `ray start` of its own, on a loopback address and in a folder of its own, and has one CPU; the head has
none. Whatever was started is ended when the `with` block is left, however it is left.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from tests.faults.processes import Family, kill, title, wait_for

ROOT = Path(__file__).parents[2]
START_S = 240.0
ENDED_S = 60.0
RAY = str(Path(sys.executable).with_name("ray"))
LEFT = """{
    "groups": [g["state"] for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"],
    "taken": {k: v - ray.available_resources().get(k, 0) for k, v in ray.cluster_resources().items()
              if k in ("CPU", "GPU") and v - ray.available_resources().get(k, 0) > 1e-6},
}"""


class Cluster:
    """A head without CPUs and `nodes` nodes of one CPU each, at 127.77.X.1 and following."""

    def __init__(self, nodes: int, folder: Path) -> None:
        self.folder = folder
        self.family = Family()
        self._temp = Path(tempfile.mkdtemp(prefix="rf", dir="/tmp"))  # Ray's sockets need a short path
        self._subnet = f"127.77.{secrets.randbelow(250) + 1}"
        self._number = 0
        self.port = 0
        self.nodes: dict[int, subprocess.Popen] = {}
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "GANRAY_CACHE_DIR": os.environ.get("GANRAY_CACHE_DIR", str(folder / "cache")),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "180",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        self._wanted = nodes

    @property
    def address(self) -> str:
        return f"{self._subnet}.1:{self.port}"

    def __enter__(self) -> "Cluster":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """The head, then the nodes side by side."""
        self.port = self.port or _free_port(f"{self._subnet}.1")
        self.nodes[0] = self._ray_start(0, "--head", "--port", str(self.port), "--num-cpus", "0")
        self._wait_started(0)
        for number in [self._begin_node() for _ in range(self._wanted)]:
            self._wait_started(number)

    def add_node(self, wait: bool = True) -> int:
        """One more node; its number."""
        number = self._begin_node()
        if wait:
            self._wait_started(number)
        return number

    def ip(self, number: int) -> str:
        """The node's own loopback address."""
        return f"{self._subnet}.{number + 1}"

    def node_of(self, process: psutil.Process) -> int:
        """The node on which a process runs."""
        for number in self.nodes:
            if any(process.pid == member.pid for member in self.members(number)):
                return number
        raise LookupError(f"process {process.pid} runs on no node of this cluster")

    def members(self, number: int) -> list[psutil.Process]:
        """Everything that runs on a node."""
        return self.family.below(self.nodes[number].pid)

    def kill_node(self, number: int) -> None:
        """SIGKILL of everything on a node, as if the machine's plug was pulled."""
        members, started = self.members(number), self.nodes.pop(number)
        for process in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()  # nobody is to notice another one's death and act upon it
        kill(members)
        started.wait()

    def gcs(self) -> list[psutil.Process]:
        """The head's GCS."""
        return [process for process in self.members(0) if _program(process) == "gcs_server"] if 0 in self.nodes else []

    def drain(self, number: int, deadline_s: int) -> None:
        """Tell Ray that the node is about to be preempted, as a cloud's spot notice is told."""
        node_id = self.ask(f"[n['NodeID'] for n in ray.nodes() if n['NodeManagerAddress'] == {self.ip(number)!r}]")[0]
        command = [RAY, "drain-node", "--address", self.address, "--node-id", node_id]
        command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
        command += ["--deadline-remaining-seconds", str(deadline_s)]
        subprocess.run(command, env=self.environment, check=True, capture_output=True, timeout=60)

    def ask(self, expression: str) -> Any:
        """A Python expression, evaluated by a driver of its own and brought here as JSON."""
        code = f"import json, ray; ray.init({self.address!r}, log_to_driver=False, logging_level='ERROR')\n"
        code += f"print(json.dumps({expression}))"
        done = subprocess.run(
            [sys.executable, "-c", code], env=self.environment, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def left_behind(self) -> dict[str, Any]:
        """Placement groups, CPUs and actors that are still there ENDED_S after the sweep's end; {} if nothing is."""
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not self.family.of_jobs(), ENDED_S, "the end of all actors")
        actors = [title(process) for process in self.family.of_jobs()]
        found = {**self.ask(LEFT), "actors": actors}
        return {key: value for key, value in found.items() if value}

    def stop(self) -> None:
        """End all nodes; a later `start` begins a new cluster at the same address."""
        for number in list(self.nodes):
            self.kill_node(number)
        kill(self.family.alive())  # a worker whose raylet went before it looks for Ray a while longer
        wait_for(lambda: not self.family.alive(), 30, "the end of all processes of the cluster")

    def close(self) -> None:
        """End whatever this cluster, or a sweep on it, has started."""
        self.family.end()
        for started in self.nodes.values():
            started.wait()
        shutil.rmtree(self._temp, ignore_errors=True)

    def _begin_node(self) -> int:
        self._number += 1
        self.nodes[self._number] = self._ray_start(self._number, "--address", self.address, "--num-cpus", "1")
        return self._number

    def _ray_start(self, number: int, *flags: str) -> subprocess.Popen:
        command = [RAY, "start", *flags, "--node-ip-address", self.ip(number), "--block", "--disable-usage-stats"]
        command += [
            "--temp-dir",
            str(self._temp / f"{number}-{secrets.token_hex(2)}"),
            "--include-log-monitor",
            "false",
        ]
        command += ["--object-store-memory", "80000000"]
        if number == 0:
            command += ["--include-dashboard", "false", "--ray-client-server-port", str(_free_port(self.ip(0)))]
        with self._log(number).open("w") as log:
            started = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.family.adopt(started.pid)
        return started

    def _wait_started(self, number: int) -> None:
        def is_up() -> bool:
            said = self._log(number).read_text()
            if self.nodes[number].poll() is not None:
                raise AssertionError(f"node {number} of the test's cluster did not start:\n{said}")
            return "Ray runtime started" in said

        wait_for(is_up, START_S, f"the start of node {number}")

    def _log(self, number: int) -> Path:
        return self.folder / f"node-{number}.log"


class Sweep:
    """A `ganray sweep` as a process of its own; its lines with the time at which each was printed."""

    def __init__(self, cluster: Cluster, file: Path, *flags: str, terminal: bool = False) -> None:
        self.lines: list[tuple[float, str]] = []
        self._close = threading.Event()
        self._screen, end = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.driver", "sweep", str(file), "--address", cluster.address, *flags],
            cwd=file.parent,
            env={**cluster.environment, "TERM": "xterm"},
            stdin=end if terminal else subprocess.DEVNULL,
            stdout=end,
            stderr=end,
            start_new_session=True,
            preexec_fn=_take_terminal if terminal else None,
        )
        os.close(end)
        cluster.family.adopt(self.process.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """Everything printed so far."""
        return "".join(line for _, line in self.lines)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close_terminal(self) -> None:
        """As if its window was closed: the kernel sends SIGHUP, and whatever is printed from now on fails."""
        self._close.set()
        self._reader.join()

    def wait(self, timeout_s: float) -> int:
        """The exit code. TimeoutError, with what was printed, where the sweep does not end."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the sweep still runs after {timeout_s:g} s:\n{self.text}") from None
        self._reader.join(10)
        return code

    def wait_for_line(self, pattern: str, timeout_s: float) -> float:
        """When a line that matches was printed, in monotonic seconds."""

        def found() -> float | None:
            for at, line in list(self.lines):
                if re.search(pattern, line):
                    return at
            if self.process.poll() is not None:
                raise AssertionError(f"the sweep ended with {self.process.returncode} before {pattern!r}:\n{self.text}")
            return None

        return wait_for(found, timeout_s, f"a line with {pattern!r} among:\n{self.text}")

    def _read(self) -> None:
        """Until the other end is closed, or this one is to be; lines are kept with the time of their last character."""
        rest = b""
        while not self._close.is_set():
            if not select.select([self._screen], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self._screen, 65536)
            except OSError:  # a terminal whose last program has ended
                break
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            self.lines += [(time.monotonic(), line.decode(errors="replace") + "\n") for line in lines]
        self.lines.append((time.monotonic(), rest.decode(errors="replace")))
        os.close(self._screen)


def _take_terminal() -> None:
    """In the new process: its standard input becomes the terminal that controls it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _program(process: psutil.Process) -> str:
    return Path(title(process).partition(" ")[0]).name


def _free_port(ip: str) -> int:
    with socket.socket() as found:
        found.bind((ip, 0))
        return found.getsockname()[1]
