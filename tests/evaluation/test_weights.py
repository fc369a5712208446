"""Finding, verifying and downloading the Inception's weights; the download is served by a local server."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from pytorch_fid import inception

from ganray.errors import WeightsError
from ganray.evaluation import weights
from ganray.evaluation.weights import find_inception_weights, identify

CONTENT = b"the weights" * 1000
NAME = "pt_inception-2015-12-05-6726825d.pth"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch hub folder, no variable set, and `CONTENT` standing in for the genuine file."""
    monkeypatch.delenv(weights.WEIGHTS_ENV, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)  # set by torch.hub.set_dir, would win over TORCH_HOME
    monkeypatch.setattr(weights, "COMPLETE", replace(weights.COMPLETE, sha256=hashlib.sha256(CONTENT).hexdigest()))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def serve(monkeypatch):
    """serve(body, announced, status) starts a server and makes it pytorch-fid's address; gives the requests seen."""
    servers = []

    def start(body, announced=None, status=200):
        requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if announced is None else announced))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(inception, "FID_WEIGHTS_URL", f"http://127.0.0.1:{server.server_port}/x/{NAME}")
        return requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def leftovers(hub):
    return sorted(path.name for path in hub.iterdir()) if hub.is_dir() else []


def test_the_pinned_checksum_is_the_one_in_pytorch_fids_file_name():
    assert inception.FID_WEIGHTS_URL.endswith(f"-{weights.COMPLETE.sha256[:8]}.pth")


def test_download_is_kept_where_pytorch_fid_looks_and_not_repeated(hub, serve):
    requests = serve(CONTENT)
    assert find_inception_weights() == hub / NAME
    assert (hub / NAME).read_bytes() == CONTENT
    assert find_inception_weights() == hub / NAME
    assert requests == [f"/x/{NAME}"]
    assert leftovers(hub) == [NAME]


def test_download_with_another_checksum_is_refused_and_removed(hub, serve):
    serve(b"<html>log in first</html>")
    with pytest.raises(WeightsError, match=r"not the FID Inception.*Nothing was kept"):
        find_inception_weights()
    assert leftovers(hub) == []


def test_cut_off_download_is_refused_and_removed(hub, serve):
    serve(CONTENT[:5000], announced=len(CONTENT))
    with pytest.raises(WeightsError, match=f"cut off after 5000 of {len(CONTENT)} bytes"):
        find_inception_weights()
    assert leftovers(hub) == []


def test_silent_server_times_out(hub, monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts and never answers
        monkeypatch.setattr(weights, "TIMEOUT_S", 0.2)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/{NAME}"
        monkeypatch.setattr(inception, "FID_WEIGHTS_URL", address)
        with pytest.raises(WeightsError, match="timed out"):
            find_inception_weights()


def test_without_weights_one_paragraph_says_what_to_do(hub, serve):
    serve(b"", status=404)
    with pytest.raises(WeightsError) as caught:
        find_inception_weights()
    text = str(caught.value)
    assert "\n" not in text
    for part in ("404", NAME, str(hub / NAME), "--fid-weights", "GANRAY_FID_WEIGHTS", "fd_lite0_1k_train"):
        assert part in text


def test_order_explicit_then_variable_then_cache(hub, tmp_path, monkeypatch):
    explicit, variable = tmp_path / "explicit.pth", tmp_path / "variable.pth"
    hub.mkdir(parents=True)
    for path in (explicit, variable, hub / NAME):
        path.write_bytes(CONTENT)
    assert find_inception_weights() == hub / NAME
    monkeypatch.setenv(weights.WEIGHTS_ENV, str(variable))
    assert find_inception_weights() == variable
    assert find_inception_weights(explicit) == explicit


def test_damaged_file_is_named_wherever_it_lies(hub, tmp_path, monkeypatch):
    hub.mkdir(parents=True)
    (hub / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"hub/checkpoints/.*damaged.*Delete the file"):
        find_inception_weights()
    (tmp_path / "mine.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"mine\.pth: not the FID Inception, or damaged"):
        find_inception_weights(tmp_path / "mine.pth")


@pytest.mark.parametrize("by", ["--fid-weights", "GANRAY_FID_WEIGHTS"])
def test_a_named_file_that_is_absent_is_an_error_and_no_reason_to_download(hub, serve, tmp_path, monkeypatch, by):
    requests, absent = serve(CONTENT), tmp_path / "absent.pth"
    if by == "GANRAY_FID_WEIGHTS":
        monkeypatch.setenv(by, str(absent))
    with pytest.raises(WeightsError, match=f"^{by}: there is no file .*absent.pth"):
        find_inception_weights(absent if by == "--fid-weights" else None)
    assert requests == []


def test_a_changed_file_is_verified_again(hub, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(CONTENT)
    assert 2048 in identify(path).dims
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError, match="damaged"):
        identify(path)
