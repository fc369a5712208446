"""Notices of a spot interruption: read from a server that answers as EC2's metadata do, and handed on to Ray."""

import json
import subprocess
import sys
import threading
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ray.exceptions import RpcError

from ganray.cluster import spot
from ganray.cluster.spot import Notice, drain_this_node, read_notice, watch

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


def test_a_proxy_is_not_asked_for_the_machines_own_metadata(metadata, monkeypatch):
    monkeypatch.setattr(Metadata, "notice", NOTICE)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # urlopen's, which remembers the proxies of its first call
    assert read_notice(metadata) == Notice("terminate", AT_S)


def test_a_server_that_is_down_for_a_while_is_complained_of_once(metadata, monkeypatch, caplog):
    monkeypatch.setattr(Metadata, "notice", NOTICE)
    addresses = iter(["http://127.0.0.1:9", "http://127.0.0.1:9", metadata])
    assert watch(lambda: read_notice(next(addresses)), lambda notice: True, lambda seconds: None).at_s == AT_S
    assert caplog.text.count("no spot notices for now") == 1


@pytest.mark.parametrize("text", ["[]", '{"action": "terminate"}', "not json", '{"action": "stop", "time": "soon"}'])
def test_an_answer_that_makes_no_sense_is_complained_of(text, caplog):
    answers = iter([text])

    def read():
        answer = next(answers, None)
        return Notice("terminate", AT_S) if answer is None else spot.parse(answer)

    assert watch(read, lambda notice: True, lambda seconds: None).at_s == AT_S
    assert "no spot notices for now" in caplog.text


def test_a_ray_that_does_not_answer_is_asked_again(monkeypatch, caplog):
    answers = iter([RpcError("Timed out while waiting for GCS to become available."), True])

    def drain(notice, address):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(spot, "_drain", drain)
    notice = Notice("terminate", AT_S)
    assert watch(lambda: notice, drain_this_node, lambda seconds: None) == notice
    assert "Ray does not take the notice: Timed out while waiting for GCS" in caplog.text


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


TWO = """
import os, secrets, subprocess, sys
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
import ray
from ray.cluster_utils import Cluster

head = {"num_cpus": 0, "node_ip_address": "127.0.0.2", "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
here = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")


@ray.remote(num_cpus=1)
class Busy:
    def ready(self):
        return True


busy = Busy.remote()  # a node without work would leave at once
ray.get(busy.ready.remote())
draining = ray._private.state.state.get_draining_nodes
command = [sys.executable, "-m", "ganray.cluster.spot", "--address", cluster.address, "--metadata", sys.argv[1]]
stranger = subprocess.Popen(
    command, env={**os.environ, "RAY_AUTH_TOKEN": secrets.token_hex(32)}, stderr=subprocess.PIPE, text=True
)
complaint = next((line for line in stranger.stderr if "no spot notices" in line), "")
print("STRANGER", "token is missing or incorrect" in complaint, draining() == {}, stranger.poll() is None, flush=True)
stranger.kill()
stranger.wait()
subprocess.run(command, check=True, timeout=60)
print("DRAINED", list(draining()) == [here.node_id], flush=True)
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_of_two_nodes_the_one_with_the_notice_is_drained_by_who_has_the_token(metadata, monkeypatch):
    at = datetime.now(UTC) + timedelta(seconds=100)
    monkeypatch.setattr(Metadata, "notice", {"action": "terminate", "time": f"{at:%Y-%m-%dT%H:%M:%SZ}"})
    done = subprocess.run([sys.executable, "-c", TWO, metadata], capture_output=True, text=True, timeout=240)
    assert "STRANGER True True True\nDRAINED True" in done.stdout, done.stdout + done.stderr
