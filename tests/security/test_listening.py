"""Nobody else gets in: a Ray that GANRay starts listens on the loopback address alone and asks for a token."""

import ipaddress
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

DRIVER = Path(__file__).with_name("listening.py")


def start(folder, *flags, **variables):
    """What the driver tells after a Ray of its own has come and gone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"HOME": str(folder), "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(folder), *flags],
        env=environment,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def strangers(told):
    """The sockets that another machine can reach."""
    found = [line.rsplit(" ", 1) for line in told["listening"]]
    addresses = [(name, ipaddress.ip_address(ip)) for name, ip in found]
    return [f"{name} {ip}" for name, ip in addresses if not (getattr(ip, "ipv4_mapped", None) or ip).is_loopback]


def names(told):
    return {line.split()[0] for line in told["listening"]}


def test_a_ray_of_this_machine_listens_on_the_loopback_and_has_a_token(tmp_path):
    told = start(tmp_path, "--strangers")
    assert {"gcs_server", "raylet", "ray::Anything"} <= names(told)  # the check sees Ray's sockets at all
    assert strangers(told) == []
    assert told["mode"] == "token"
    assert re.fullmatch("[0-9a-f]{64}", told["token"])
    assert told["visitors"] == {"own": "1", "other": "InvalidAuthToken", "none": "InvalidAuthToken"}
    # The token lives in the environment of these processes and nowhere else.
    assert told["token_file"] is False
    held = [path for path in Path(told["session"]).rglob("*") if path.is_file() and not path.is_symlink()]
    assert held
    assert [path for path in held if told["token"].encode() in path.read_bytes()] == []
    assert told["environment"] == {}  # what only Ray's processes need is not left behind for others


def test_workers_of_a_slot_meet_on_the_loopback(tmp_path):
    told = start(tmp_path, "--group", GANRAY_CACHE_DIR=str(tmp_path / "cache"))
    assert "ray::RayTrainWorker" in names(told)
    assert strangers(told) == []


def test_the_users_own_word_on_tokens_holds(tmp_path):
    token = "chosen-by-the-user-" + "0" * 32
    told = start(tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
    assert told["token"] == token
    told = start(tmp_path, RAY_AUTH_MODE="disabled")
    assert (told["mode"], told["token"]) == ("disabled", None)
