"""A real S3 server on loopback: Ceph's radosgw over one monitor and one osd that keeps all objects in memory.

It answers after a second (with Ceph's own `paxos propose interval` after eleven) and takes 150 MB. Whatever ends this
process ends the daemons, too: each has asked the kernel to be killed with its parent.
Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common (`make test` does so).
"""

import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

BINARIES = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool", "setpriv")
START_S = 60.0

# cephx, because a radosgw without it does not start; the capabilities of each name are in the keyring below. No cache,
# because gateways tell each other of changes and would wait half a minute for one that was killed.
CONFIG = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon_port}
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
run dir = {folder}
log file = {folder}/$name.log
admin socket =
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 0
paxos propose interval = 0.02
paxos min wait = 0.01
rgw cache enabled = false
rgw s3 auth use sts = true
rgw sts key = 0123456789abcdef
"""

CAPABILITIES = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    "client.rgw": {"mon": "allow rw", "osd": "allow rwx"},
}


def missing_binaries() -> list[str]:
    """What this machine lacks to run the server; empty where it has all."""
    return [name for name in BINARIES if shutil.which(name) is None]


class RadosGW:
    """The running server. `endpoint` stays the same when the gateway is stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.daemons: dict[str, subprocess.Popen] = {}
        self.start_s = 0.0
        """How long it took until the gateway answered."""

    def start(self) -> None:
        """RuntimeError, with the end of the daemons' logs, where it does not answer; nothing is left running then."""
        began = time.monotonic()
        try:
            self._start_cluster()
            self.start_gateway()
        except BaseException:
            self.stop()
            raise
        self.start_s = time.monotonic() - began

    def stop(self) -> None:
        """Kill all daemons; what was stored is gone."""
        for daemon in reversed(self.daemons.values()):
            daemon.kill()
            daemon.wait()
        self.daemons.clear()

    def start_gateway(self) -> None:
        """Start the gateway (again) on its port; it answers when this returns. Objects are as they were."""
        self._daemon("radosgw", "-n", "client.rgw", "--rgw-frontends", f"beast endpoint=127.0.0.1:{self.port}")
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in self.daemons.values()):
                raise RuntimeError(f"radosgw does not answer on {self.endpoint}:\n{self._logs()}")
            time.sleep(0.05)

    def kill_gateway(self) -> None:
        """Connections are reset and refused from now on. Nothing happens where it is dead already."""
        if gateway := self.daemons.pop("radosgw", None):
            gateway.kill()
            gateway.wait()

    def freeze_gateway(self) -> None:
        """Connections are accepted by the kernel and never answered from now on."""
        self.daemons["radosgw"].send_signal(signal.SIGSTOP)

    def thaw_gateway(self) -> None:
        self.daemons["radosgw"].send_signal(signal.SIGCONT)

    def add_user(self, name: str) -> tuple[str, str]:
        """A new user's access key and secret key. Both are easy to recognise wherever they turn up."""
        access = f"PLANTEDACCESS{secrets.token_hex(4).upper()}"
        secret = f"PlantedSecretOf{name.capitalize()}{secrets.token_hex(8)}"
        self._run(
            "radosgw-admin", "-n", "client.rgw", "user", "create", f"--uid={name}", f"--display-name={name}",
            f"--access-key={access}", f"--secret-key={secret}",
        )  # fmt: skip
        return access, secret

    def allow_sts(self, name: str) -> None:
        """Let a user give a policy to himself, as asking for a temporary token needs one."""
        self._run("radosgw-admin", "-n", "client.rgw", "caps", "add", f"--uid={name}", "--caps=user-policy=*")

    def _start_cluster(self) -> None:
        for name in ("mon", "osd"):
            (self.folder / name).mkdir(parents=True)
        fsid, osd_id, mon_port = uuid.uuid4(), uuid.uuid4(), free_port()
        (self.folder / "ceph.conf").write_text(CONFIG.format(fsid=fsid, mon_port=mon_port, folder=self.folder))
        keyring, monmap = self.folder / "keyring", self.folder / "monmap"
        self._run("ceph-authtool", "--create-keyring", keyring)
        for name, capabilities in CAPABILITIES.items():
            caps = [word for kind, cap in capabilities.items() for word in ("--cap", kind, cap)]
            self._run("ceph-authtool", keyring, "--gen-key", "-n", name, *caps)
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monmap)
        # The monitor takes all of the keyring's names over, so that none has to be made by a command afterwards.
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self._daemon("ceph-mon", "-i", "a")
        # The osd must come with the very uuid that the monitor was told.
        self._run("ceph", "osd", "new", osd_id)
        self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd_id)
        self._daemon("ceph-osd", "-i", "0")

    def _run(self, program: str, *arguments: object) -> None:
        command = [program, *map(str, arguments)]
        if program.startswith(("ceph", "radosgw")) and program != "ceph-authtool":
            command += ["--conf", str(self.folder / "ceph.conf")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=START_S)
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}\n{self._logs()}")

    def _daemon(self, program: str, *arguments: str) -> None:
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            program,
            "--conf",
            str(self.folder / "ceph.conf"),
            "-f",
            *arguments,
        ]
        with open(self.folder / f"{program}.out", "ab") as output:
            # A session of its own: Ctrl-C in the terminal is for pytest, which takes the daemons down after the tests.
            self.daemons[program] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    def _logs(self) -> str:
        texts = [(p.name, p.read_text(errors="replace")[-1500:]) for p in sorted(self.folder.glob("*.out"))]
        return "\n".join(f"--- {name}\n{text}" for name, text in texts)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
