"""A sweep in the browser: optuna-dashboard on its journal, the report, and where Ray's own dashboard is."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from ganray.cluster.claim import STUDY, fetch_state
from ganray.errors import ClusterError, GanrayError
from ganray.recipe.messages import nearest
from ganray.store.store import Store
from ganray.trial.folder import Runs

HOST = "127.0.0.1"
"""Neither server asks for a password, so nothing leaves this machine."""

_START_S = 60.0
_STOP_S = 5.0
_LOOK_S = 0.2


def run_dashboard(
    experiment: str,
    runs: str | Path,
    port: int,
    build_report: Callable[[Path], object],
    report: Path | None,
    tell: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C: Optuna's dashboard at `port`, the report at `port + 1`; `tell` gets each address.

    `build_report` writes the report's `index.html` into a folder: `report`, or one beside the journal. Raises
    ClusterError where optuna-dashboard is not installed, the sweep has no journal, or a port is in use.
    """
    journal = find_journal(experiment, Runs.at(runs))
    check_installed()
    for number in (port, port + 1):
        check_free(number)
    folder = report or journal.parent / "report"
    with ExitStack() as running:
        process = running.enter_context(optuna_dashboard(journal, port))
        tell(f"optuna-dashboard  http://{HOST}:{port}/")
        try:
            build_report(folder)
        except GanrayError as error:
            tell(f"report            none: {error}")
        else:
            running.enter_context(served(folder, port + 1))
            tell(f"report            http://{HOST}:{port + 1}/  (also {folder / 'index.html'})")
        tell(f"Ray's dashboard   {ray_dashboard() or 'no Ray cluster with a dashboard runs here'}")
        tell("Ctrl-C ends them")
        _wait(process)


def report_builder(store: Store, experiment: str) -> Callable[[Path], object]:
    """Writes the HTML report of one experiment into a folder."""

    def build(folder: Path) -> object:
        from ganray.report.site import build_report

        return build_report(store, [experiment], folder)

    return build


def find_journal(experiment: str, runs: Runs) -> Path:
    """The journal of a sweep, brought here from the runs' URI. ClusterError, with the sweeps that are there, without.

    StoreError where the URI cannot be reached.
    """
    if runs.is_remote:
        fetch_state(experiment, runs)
    journal = runs.folder / experiment / STUDY
    if journal.is_file():
        return journal
    known = sorted(path.parent.name for path in runs.folder.glob(f"*/{STUDY}"))
    there = nearest(experiment, known) if known else "no sweep has been run there; name another folder with --runs"
    raise ClusterError(f"there is no journal {runs.place(f'{experiment}/{STUDY}')}; {there}")


def check_installed() -> None:
    """ClusterError, with the command, where optuna-dashboard is missing."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise ClusterError(
            "optuna-dashboard is not installed; run `pip install 'ganray[dashboard]'` (or pip install optuna-dashboard)"
        )


def check_free(port: int) -> None:
    """ClusterError where something else listens at the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ClusterError(
                f"port {port} on {HOST} cannot be used ({error.strerror}); choose another with --port: "
                f"the dashboard takes it and the report the next one"
            ) from error


@contextmanager
def optuna_dashboard(journal: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process of optuna-dashboard that answers at the port; it is ended on the way out.

    ClusterError, with the end of what it printed, where it does not come up.
    """
    command = [sys.executable, "-m", "optuna_dashboard._cli", str(journal), "--storage-class", "JournalFileStorage"]
    command += ["--host", HOST, "--port", str(port), "--server", "wsgiref", "--quiet"]
    with tempfile.TemporaryFile() as log:
        # A session of its own: Ctrl-C in the terminal reaches this process alone, which then ends the other in order.
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            _until_it_answers(process, port, log)
            yield process
        finally:
            _end(process)


def _until_it_answers(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if _listens(HOST, port):
            return
        time.sleep(_LOOK_S)
    log.seek(0)
    last = log.read().decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
    raise ClusterError(f"optuna-dashboard did not come up on port {port}: {last[0]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Quiet(SimpleHTTPRequestHandler):
    """Without a line in the terminal per picture."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served(folder: Path, port: int) -> Iterator[None]:
    """The files of a folder over HTTP, on this machine only."""
    server = ThreadingHTTPServer((HOST, port), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ray_dashboard() -> str | None:
    """The address of the dashboard of the Ray cluster that runs here or at RAY_ADDRESS; None where none answers.

    The cluster's own key-value store is asked: connecting as a driver would take seconds and leave a job behind.
    A Ray without the dashboard's packages names an address, too, at which nothing answers.
    """
    try:
        import ray
        from ray._private import ray_constants, services

        where = os.environ.get("RAY_ADDRESS") or next(iter(sorted(services.find_gcs_addresses())), None)
        address = services.canonicalize_bootstrap_address(where) if where else None
        if address is None or not _listens(*address.rsplit(":", 1)):
            return None
        raylet: Any = ray._raylet
        client = raylet.GcsClient(address=address)
        key, space = ray_constants.DASHBOARD_ADDRESS.encode(), ray_constants.KV_NAMESPACE_DASHBOARD
        found = client.internal_kv_get(key, namespace=space, timeout=_STOP_S)
    except Exception:  # parts of Ray that may change with any version, and a cluster that may be going down
        return None
    if not found or not _listens(*found.decode().rsplit(":", 1)):
        return None
    return f"http://{found.decode()}"


def _listens(host: str, port: str | int) -> bool:
    try:
        with socket.create_connection((host, int(port)), timeout=_STOP_S):
            return True
    except OSError:
        return False


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until Ctrl-C or SIGTERM, which both count as the normal end. ClusterError where optuna-dashboard ends itself."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, previous)
    raise ClusterError(f"optuna-dashboard ended by itself with exit code {code}")
