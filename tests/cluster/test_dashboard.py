"""`ganray dashboard` with a real process of optuna-dashboard; Ray is asked for real in the test marked `cluster`."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from ganray.cluster import dashboard
from ganray.cluster.study import study_storage
from ganray.errors import ClusterError, StoreError
from ganray.trial.folder import Runs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runs(tmp_path):
    """A folder of runs with the study of one sweep, `demo`."""
    storage = study_storage(tmp_path / "runs" / "demo" / "study.log")
    study = optuna.create_study(study_name="demo", storage=storage)
    study.add_trial(optuna.trial.create_trial(value=1.0, params={}, distributions={}))
    return tmp_path / "runs"


@pytest.fixture
def port():
    """A port that is free, and the next one too."""
    while True:
        with closing(socket.socket()) as probe:
            probe.bind((dashboard.HOST, 0))
            number = probe.getsockname()[1]
        if number < 65535 and not dashboard._listens(dashboard.HOST, number + 1):
            return number


def get(port, path=""):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as answer:
        return answer.status, answer.read().decode()


def test_optuna_dashboard_answers_with_the_study_and_ends(runs, port):
    with dashboard.optuna_dashboard(runs / "demo" / "study.log", port) as process:
        assert get(port, "dashboard")[0] == 200
        assert '"demo"' in get(port, "api/studies")[1]
    assert process.returncode is not None
    assert not dashboard._listens(dashboard.HOST, port)


def test_where_it_does_not_come_up_the_reason_is_what_it_printed(runs, port):
    with closing(socket.socket()) as other:
        other.bind((dashboard.HOST, port))  # taken, and nothing listens
        with (
            pytest.raises(ClusterError, match=f"did not come up on port {port}: .*Address already in use"),
            dashboard.optuna_dashboard(runs / "demo" / "study.log", port),
        ):
            pass


def test_a_missing_journal_is_named_with_the_nearest_sweep(runs):
    assert dashboard.find_journal("demo", Runs.at(runs)) == runs / "demo" / "study.log"
    with pytest.raises(ClusterError, match=r"runs/dema/study.log; did you mean 'demo'"):
        dashboard.find_journal("dema", Runs.at(runs))
    with pytest.raises(ClusterError, match="--runs"):
        dashboard.find_journal("demo", Runs.at(runs / "none"))


@pytest.mark.parametrize("which", [0, 1])
def test_a_port_in_use_is_named_before_anything_starts(runs, port, which):
    with closing(socket.socket()) as other:
        other.bind((dashboard.HOST, port + which))
        other.listen()
        with pytest.raises(ClusterError, match=f"port {port + which} on 127.0.0.1 cannot be used .*--port"):
            dashboard.run_dashboard("demo", runs, port, lambda folder: None, None, print)


def test_without_optuna_dashboard_the_error_names_the_command(runs, port, monkeypatch):
    monkeypatch.setattr(dashboard.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install 'ganray\[dashboard\]'"):
        dashboard.run_dashboard("demo", runs, port, lambda folder: None, None, print)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_whole_verb_serves_both_and_ctrl_c_ends_both(runs, port, tmp_path, how):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ganray.cluster import dashboard\n"
        "dashboard.ray_dashboard = lambda: None\n"
        "def build(folder):\n"
        "    folder.mkdir(parents=True)\n"
        "    (folder / 'index.html').write_text('the report of demo')\n"
        "tell = lambda line: print(line, flush=True)\n"
        f"dashboard.run_dashboard('demo', {str(runs)!r}, {port}, build, None, tell)\n"
        "print('ended well')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    try:
        assert f"http://127.0.0.1:{port}/" in lines[0]
        assert f"http://127.0.0.1:{port + 1}/" in lines[1]
        assert "no Ray cluster" in lines[2]
        assert get(port, "dashboard")[0] == 200
        assert get(port + 1) == (200, "the report of demo")
        with pytest.raises(urllib.error.HTTPError):
            get(port + 1, "../study.log")
        time.sleep(0.5)
    finally:
        process.send_signal(how)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "ended well\n")
    assert not dashboard._listens(dashboard.HOST, port)
    assert not dashboard._listens(dashboard.HOST, port + 1)


def test_a_report_that_cannot_be_built_does_not_keep_the_study_from_view(runs, port, monkeypatch):
    def build(folder):
        raise StoreError("no experiment 'demo' in the store")

    lines = []
    monkeypatch.setattr(dashboard, "ray_dashboard", lambda: "http://127.0.0.1:8265")
    monkeypatch.setattr(dashboard, "_wait", lambda process: lines.append(str(get(port, "dashboard")[0])))
    dashboard.run_dashboard("demo", runs, port, build, None, lines.append)
    assert "none: no experiment 'demo'" in lines[1]
    assert "http://127.0.0.1:8265" in lines[2]
    assert lines[-1] == "200"


@pytest.mark.cluster
def test_ray_is_asked_where_its_dashboard_is(port):
    """The key that Ray's dashboard writes is written here: its web server needs packages that GANRay does not."""
    code = (
        "import os, socket, ray\n"
        "from ray.experimental import internal_kv\n"
        "from ganray.cluster.dashboard import ray_dashboard\n"
        "ray.init(num_cpus=1, include_dashboard=False, address='local', log_to_driver=False)\n"
        "os.environ['RAY_ADDRESS'] = ray.get_runtime_context().gcs_address\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "there = '127.0.0.1:%d' % server.getsockname()[1]\n"
        "internal_kv._internal_kv_put(b'dashboard', there.encode(), overwrite=True, namespace=b'dashboard')\n"
        "print(ray_dashboard() == 'http://' + there)\n"
        "server.close()\n"
        "print(ray_dashboard())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.stdout.split()[-2:] == ["True", "None"], done.stderr


def test_no_cluster_at_ray_address_is_no_dashboard(port, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    assert dashboard.ray_dashboard() is None
