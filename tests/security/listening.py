"""Starts Ray as `ganray sweep` does and prints where its processes listen: one JSON object on the last line.

python listening.py FOLDER [--group] [--strangers]

--group: also a slot's worker group of two processes, which have met. --strangers: who gets in with which token.
"""

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil


def listening():
    """`NAME IP` of every socket that waits for somebody, of this process and all that it started."""
    me = psutil.Process()
    found = set()
    for process in [me, *me.children(recursive=True)]:
        for connection in process.net_connections(kind="inet"):
            waits = connection.status == psutil.CONN_LISTEN or (
                connection.type == socket.SOCK_DGRAM and not connection.raddr
            )
            if waits:
                found.add(f"{process.name()} {connection.laddr.ip}")
    return sorted(found)


def with_group(folder):
    """Where Ray listens while two workers of a slot wait for a job."""
    import ray

    from ganray.cluster.group import WorkerGroup
    from ganray.cluster.resources import Demand

    group = WorkerGroup(Demand(2, 1.0, 0.0), folder, "listening")
    while not ray.get(group.mailbox.nodes.remote()):
        time.sleep(0.5)
    time.sleep(2)  # the workers have met; now they have broadcast that there is no job
    found = listening()
    group.close()
    return found


ASK = "from ray._raylet import GcsClient; print(len(GcsClient(address={!r}).get_all_node_info(timeout=10)))"


def who_gets_in(address):
    """What others hear who ask Ray for its nodes: with its token, with another one, with none."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    visitors = {
        "own": dict(os.environ),
        "other": {**environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "b" * 64},
        "none": {**environment, "RAY_AUTH_MODE": "disabled"},
    }
    said = {}
    for name, variables in visitors.items():
        done = subprocess.run(
            [sys.executable, "-c", ASK.format(address)], env=variables, capture_output=True, text=True, timeout=60
        )
        said[name] = done.stdout.strip() or ("InvalidAuthToken" if "InvalidAuthToken" in done.stderr else done.stderr)
    return said


def main():
    folder = Path(sys.argv[1])
    from ganray.cluster.settings import start_ray

    start_ray(None, num_cpus=2)
    import ray

    @ray.remote
    class Anything:
        def token(self):
            return os.environ.get("RAY_AUTH_TOKEN"), os.environ.get("RAY_AUTH_MODE")

    actor = Anything.remote()
    token, mode = ray.get(actor.token.remote())
    found = with_group(folder) if "--group" in sys.argv else listening()
    visitors = who_gets_in(ray.get_runtime_context().gcs_address) if "--strangers" in sys.argv else {}
    file = Path.home() / ".ray" / "auth_token"
    session = ray._private.worker.global_worker.node.get_session_dir_path()
    ray.shutdown()
    print(json.dumps({
        "listening": found,
        "visitors": visitors,
        "mode": mode,
        "token": token,
        "token_file": file.exists() and stat.filemode(file.stat().st_mode),
        "session": session,
        "environment": {name: value for name, value in os.environ.items() if "SOCKET_IFNAME" in name},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
