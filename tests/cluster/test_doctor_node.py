"""What the doctor sees on a node, where what it asks is faked or made."""

import json
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ganray.cluster import doctor_node
from ganray.cluster.doctor_node import Wanted, look


@pytest.fixture
def bin_folder(tmp_path, monkeypatch):
    """A folder at the head of the PATH; call it to put a script there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return put


def test_a_driver_as_nvidia_smi_tells_it(bin_folder):
    bin_folder(
        "nvidia-smi",
        'if [ $# -gt 0 ]; then printf "NVIDIA H200, 590.48.01\\nNVIDIA H200, 590.48.01\\n"\n'
        'else echo "| NVIDIA-SMI 590.48.01    Driver Version: 590.48.01    CUDA Version: 13.1     |"; fi',
    )
    assert doctor_node.driver(Wanted()) == {"gpus": ["NVIDIA H200"] * 2, "version": "590.48.01", "cuda": "13.1"}


def test_a_driver_that_fails(bin_folder):
    bin_folder("nvidia-smi", 'echo "NVIDIA-SMI has failed: no driver" >&2; exit 9')
    assert doctor_node.driver(Wanted()) == {"error": "NVIDIA-SMI has failed: no driver"}


def test_torch_in_a_process_of_its_own_sees_what_ray_hides(monkeypatch):
    asked = {}

    def run(command, env, **_):
        asked.update(env)
        answer = {"version": "2.15.0", "cuda": "13.2", "gpus": ["H200"]}
        return SimpleNamespace(returncode=0, stdout="a warning\n" + json.dumps(answer), stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert doctor_node.torch_view(Wanted())["gpus"] == ["H200"]
    assert "CUDA_VISIBLE_DEVICES" not in asked
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    doctor_node.torch_view(Wanted())
    assert asked["CUDA_VISIBLE_DEVICES"] == "1"


def test_torch_that_does_not_import(monkeypatch):
    monkeypatch.setattr(doctor_node, "_ASK_TORCH", "raise ImportError('libcudart.so.13: no such file')")
    assert doctor_node.torch_view(Wanted()) == {"error": "ImportError: libcudart.so.13: no such file"}


def test_a_torch_that_hangs_is_an_error_and_the_rest_is_told(monkeypatch):
    monkeypatch.setattr(doctor_node, "_ASK_TORCH", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor_node, "TORCH_S", 0.2)
    seen = look(Wanted())
    assert "timed out after 0.2 seconds" in seen["torch"]["error"]
    assert seen["versions"]["executable"] == sys.executable
    assert json.loads(json.dumps(seen)) == seen  # plain data, which any process can read


def test_stores_written_read_and_deleted(tmp_path):
    (tmp_path / "store").mkdir()
    found = doctor_node.stores(Wanted(stores=(str(tmp_path / "store"), f"file://{tmp_path}/store", "memory://doctor")))
    assert set(found.values()) == {None}
    assert [*(tmp_path / "store").iterdir()] == []
    # A store that is to come: the folder above it is tried, and nothing is made.
    assert doctor_node.stores(Wanted(stores=(str(tmp_path / "a" / "b"),))) == {str(tmp_path / "a" / "b"): None}
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    (tmp_path / "store").mkdir(mode=0o555)
    found = doctor_node.stores(Wanted(stores=(str(tmp_path / "store"),)))
    assert "cannot write to" in found[str(tmp_path / "store")]


def test_a_store_that_fails_or_holds_credentials(monkeypatch):
    class Refusing:
        root = "s3://bucket/x"

        def __init__(self, uri):
            pass

        def write(self, path, data):
            raise PermissionError("AccessDenied")

    monkeypatch.setattr("ganray.store.remote.RemoteFiles", Refusing)
    assert doctor_node.stores(Wanted(stores=("s3://bucket/x",))) == {"s3://bucket/x": "AccessDenied"}
    (said,) = doctor_node.stores(Wanted(stores=("s3://K:planted@bucket/x",))).values()
    assert "holds credentials" in said
    assert "planted" not in said


@pytest.mark.parametrize("back", ["other", "nothing"])
def test_a_probe_that_does_not_come_back_is_removed_all_the_same(monkeypatch, back):
    left = {}

    class Odd:
        root = "s3://bucket/x"

        def __init__(self, uri):
            pass

        def write(self, path, data):
            left[path] = data

        def read(self, path):
            assert path.removeprefix("s3://bucket/x/") in left
            if back == "nothing":
                raise FileNotFoundError("it is gone")
            return b"other"

        def remove(self, path):
            del left[path]

    monkeypatch.setattr("ganray.store.remote.RemoteFiles", Odd)
    (said,) = doctor_node.stores(Wanted(stores=("s3://bucket/x",))).values()
    assert said == ("a probe came back with another content" if back == "other" else "it is gone")
    assert left == {}


def test_data_sets(tmp_path):
    from PIL import Image

    (tmp_path / "set").mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "set" / f"{i}.png")
    source, missing = str(tmp_path / "set"), str(tmp_path / "none")
    wanted = Wanted(sources=(source, missing), resolution=32)
    first = doctor_node.data(wanted)
    assert first[source]["images"] == 3
    assert "does not exist" in first[missing]["error"]
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "set" / "0.png")
    assert doctor_node.data(wanted)[source]["fingerprint"] != first[source]["fingerprint"]


def test_weights_are_looked_for_and_never_downloaded(tmp_path, monkeypatch):
    from ganray.evaluation import weights

    def refuse(*_):
        raise AssertionError("a download")

    monkeypatch.setattr(weights, "_download", refuse)
    monkeypatch.setattr(weights, "pytorch_fid_cache", lambda: (tmp_path / "none.pth", "https://example.invalid"))
    monkeypatch.delenv("GANRAY_FID_WEIGHTS", raising=False)
    assert doctor_node.weights(Wanted(extractors=("inception",))) == {"inception": "missing"}
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    said = doctor_node.weights(Wanted(extractors=("inception",), fid_weights=str(tmp_path / "bad.pth")))["inception"]
    assert "not the FID Inception, or damaged" in said
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert doctor_node.weights(Wanted(extractors=("lite0",))) == {"lite0": "the package timm is not installed"}


def test_the_tokens_file(tmp_path, monkeypatch):
    file = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    assert doctor_node.token(Wanted())["has_token"] is False
    file.write_text("planted")
    file.chmod(0o644)
    assert doctor_node.token(Wanted())["readable_by_others"] is True
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    found = doctor_node.token(Wanted())
    assert (found["has_token"], found["readable_by_others"]) == (True, False)
    assert "planted" not in json.dumps(found)


@pytest.mark.parametrize(
    ("address", "mode", "found"),
    [("127.0.0.1", "", None), ("0.0.0.0", "", False), ("0.0.0.0", "token", True)],
)
def test_sockets_of_rays_processes(address, mode, found):
    """A process that calls itself ray::Doctored waits at that address."""
    script = (
        "import socket, sys\n"
        f"s = socket.socket(); s.bind(({address!r}, 0)); s.listen()\n"
        "open('/proc/self/comm', 'w').write('ray::Doctored')\n"
        "print(s.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("a process is renamed through /proc")
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": mode},
    )
    try:
        port = process.stdout.readline().strip()
        view = doctor_node.listening(Wanted())
    finally:
        process.communicate("")
    entry = view.get("workers", {"addresses": []})
    assert (f"{address}:{port}" in entry["addresses"]) is (found is not None)
    if found is False:
        assert entry["token"] is False


def test_names_of_rays_processes():
    assert doctor_node._ray_kind("raylet", []) == "raylet"
    assert doctor_node._ray_kind("ray::RayTrainWorker", []) == "workers"
    assert doctor_node._ray_kind("ray::DashboardAgent", []) == "agents"
    assert doctor_node._ray_kind("python", ["python", "/x/ray/dashboard/dashboard.py"]) == "dashboard"
    assert doctor_node._ray_kind("python", ["python", "train.py"]) is None
