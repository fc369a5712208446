"""Notices of a spot interruption: read from a server that answers as EC2's metadata do, and handed on to Ray."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ganray.cluster import spot
from ganray.cluster.spot import Notice, read_notice, watch

NOTICE = {"action": "terminate", "time": "2026-11-28T08:22:00Z"}
AT_S = 1795854120.0


class Metadata(BaseHTTPRequestHandler):
    """Version 2 of the instance metadata: nothing without a token."""

    notice: dict | None = None

    def do_PUT(self):
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self.answer(200 if self.path == "/latest/api/token" and ttl else 400, "token-1")

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "token-1":
            self.answer(401, "")
        elif self.path == "/latest/meta-data/spot/instance-action" and Metadata.notice:
            self.answer(200, json.dumps(Metadata.notice))
        else:
            self.answer(404, "")

    def answer(self, code, text):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def metadata(monkeypatch):
    monkeypatch.setattr(Metadata, "notice", None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_there_is_no_notice_until_there_is_one(metadata, monkeypatch):
    assert read_notice(metadata) is None
    monkeypatch.setattr(Metadata, "notice", NOTICE)
    assert read_notice(metadata) == Notice("terminate", AT_S)


def test_a_machine_that_is_no_instance_is_an_error_that_says_so():
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9/latest/api/token"):
        read_notice("http://127.0.0.1:9")


def test_it_looks_until_ray_has_taken_the_notice_and_complains_once(caplog):
    notice = Notice("terminate", AT_S)
    found = iter([OSError("no route"), OSError("no route"), None, notice, notice])
    accepted = iter([False, True])
    slept = []

    def read():
        one = next(found)
        if isinstance(one, OSError):
            raise one
        return one

    assert watch(read, lambda got: next(accepted), slept.append) == notice
    assert slept == [spot.EVERY_S] * 4
    assert caplog.text.count("no spot notices for now: no route") == 1


RAY = """
import sys, time
import ray
from ganray.cluster.settings import start_ray
from ganray.cluster.spot import Notice, drain_this_node
start_ray(None, num_cpus=1)

@ray.remote(num_cpus=1)
class Busy:
    def ready(self):
        return True

busy = Busy.remote()  # a node without work would leave at once
ray.get(busy.ready.remote())
context = ray.get_runtime_context()
answer = drain_this_node(Notice("terminate", time.time() + 60), context.gcs_address)
deadline = time.monotonic() + 30
while not ray._private.state.state.get_draining_nodes() and time.monotonic() < deadline:
    time.sleep(0.2)
print("DRAINED", answer, list(ray._private.state.state.get_draining_nodes()) == [context.get_node_id()], flush=True)
"""


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_ray_drains_the_node_of_this_machine():
    done = subprocess.run([sys.executable, "-c", RAY], capture_output=True, text=True, timeout=240)
    assert "DRAINED True True" in done.stdout, done.stdout + done.stderr
