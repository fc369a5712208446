"""A real head of Ray with the dashboard and a token, on free ports of this machine, in a folder of its own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

PORTS = ("--port", "--dashboard-port", "--dashboard-agent-listen-port", "--dashboard-agent-grpc-port",
         "--metrics-export-port", "--ray-client-server-port")  # fmt: skip
START_S = 180


class Head:
    """Its address, its token, its folder (short: Ray's sockets lie in it)."""

    def __init__(self, address, token, token_file, folder):
        self.address, self.token, self.token_file, self.folder = address, token, token_file, folder

    @property
    def logs(self):
        return [path for path in (self.folder / "session_latest" / "logs").rglob("*") if path.is_file()]


@contextmanager
def running_head(cpus=2, **environment):
    """A head whose own environment holds these variables too. Nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gr", dir="/tmp"))
    token = secrets.token_hex(16)
    token_file = folder / "token"
    token_file.write_text(token)
    ports = dict(zip(PORTS, _free_ports(len(PORTS))))
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--num-cpus={cpus}"]
    command += [f"--temp-dir={folder}", "--object-store-memory=100000000"]
    command += [f"{name}={port}" for name, port in ports.items()]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_", "WANDB_"))}
    variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file), "OMP_NUM_THREADS": "1"}
    variables |= {"RAY_raylet_start_wait_time_s": "180", **environment}
    with open(folder / "start.log", "w") as log:
        process = subprocess.Popen(
            command, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=folder
        )
    address = f"http://127.0.0.1:{ports['--dashboard-port']}"
    try:
        _wait_for(address, process, folder / "start.log")
        yield Head(address, token, token_file, folder)
    finally:
        _end(process, folder)


def _free_ports(count):
    with ExitStack() as open_:
        sockets = [open_.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_for(address, process, log):
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(f"{address}/api/authentication_mode", timeout=5).close()
            return
        time.sleep(0.3)
    raise AssertionError(f"no head of Ray within {START_S} s:\n{log.read_text()}")


def _end(process, folder):
    """Whatever has this head's folder in its command line, or descends from it, is ours."""
    ours = {process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))}
    ours |= {p.pid for p in psutil.process_iter(["cmdline"]) if any(str(folder) in a for a in p.info["cmdline"] or [])}
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for pid in ours:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)
