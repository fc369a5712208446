"""One driver per sweep, on one machine and on several."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time

import pytest

from ganray.cluster import lease
from ganray.cluster.lease import EXPIRES_S, LEASE, only_driver
from ganray.errors import ClusterError, StoreError
from ganray.trial import folder
from ganray.trial.folder import Runs

HOLD = """
import sys, time
from ganray.cluster.lease import only_driver
from ganray.trial.folder import Runs
with only_driver("e", Runs.at(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def remote(monkeypatch):
    monkeypatch.setattr(lease, "SETTLE_S", 0.0)
    return Runs.at(f"memory://{secrets.token_hex(4)}/runs")


def nobody(reason):
    raise AssertionError(reason)


def put(runs, **changes):
    """Another driver's lease at the URI."""
    content = {"id": "other", "host": "elsewhere", "pid": 1, "at_s": time.time(), **changes}
    path = runs.folder / "e" / LEASE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    runs.send(f"e/{LEASE}")
    path.unlink()


def there(runs, tmp_path):
    target = tmp_path / "there.json"
    return json.loads(target.read_text()) if runs.fetch(f"e/{LEASE}", target) else None


def test_another_process_on_this_machine_is_refused_until_it_is_killed(tmp_path):
    runs = Runs.at(tmp_path)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    said = rf"e is being run already \(process {holder.pid} on .*ganray status e"
    with pytest.raises(ClusterError, match=said), only_driver("e", runs, nobody):
        pass
    with only_driver("other", runs, nobody):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with only_driver("e", runs, nobody):
        pass


def test_a_second_one_in_the_same_process_is_refused_too(tmp_path):
    runs, said = Runs.at(tmp_path), rf"e is being run already \(process {os.getpid()} on "
    with only_driver("e", runs, nobody):
        with pytest.raises(ClusterError, match=said), only_driver("e", runs, nobody):
            pass
        assert json.loads((tmp_path / "e" / LEASE).read_text())["pid"] == os.getpid(), "the first one's stays"


def test_it_is_let_go_at_the_end_and_after_an_error(tmp_path):
    runs = Runs.at(tmp_path)
    with pytest.raises(ValueError, match="inside"), only_driver("e", runs, nobody):
        raise ValueError("inside")
    assert not (tmp_path / "e" / LEASE).exists()
    with only_driver("e", runs, nobody):
        assert (tmp_path / "e" / LEASE).exists()


def test_a_driver_on_another_machine_is_waited_for_until_its_lease_expires(remote, tmp_path):
    put(remote, at_s=time.time() - 30)
    said = r"process 1 on elsewhere, heard of 30 s ago.*its lease ends in (59|60) s"
    with pytest.raises(ClusterError, match=said), only_driver("e", remote, nobody):
        pass
    assert there(remote, tmp_path)["id"] == "other"
    put(remote, at_s=time.time() - EXPIRES_S - 1)
    with only_driver("e", remote, nobody):
        assert there(remote, tmp_path)["pid"] == os.getpid()
    assert there(remote, tmp_path) is None


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(remote, monkeypatch):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    put(remote, host=lease.socket.gethostname(), pid=ended.pid)
    with only_driver("e", remote, nobody):
        pass


def test_a_container_that_starts_again_with_the_same_process_id_need_not_wait(remote):
    put(remote, host=lease.socket.gethostname(), pid=os.getpid())
    with only_driver("e", remote, nobody):
        pass


def test_a_renewal_under_way_does_not_bring_the_lease_back(remote, monkeypatch, tmp_path):
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    upload, under_way = folder.upload, threading.Event()

    def slow(*arguments):
        upload(*arguments)
        if threading.current_thread() is not threading.main_thread():
            under_way.set()
            time.sleep(0.5)  # the URI takes its time to let it appear

    monkeypatch.setattr(folder, "upload", slow)
    with only_driver("e", remote, nobody):
        assert under_way.wait(20)
    time.sleep(1.0)
    assert there(remote, tmp_path) is None


def test_of_two_at_the_same_moment_the_one_who_wrote_first_gives_way(remote, monkeypatch):
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: put(remote))
    with pytest.raises(ClusterError, match="process 1 on elsewhere"), only_driver("e", remote, nobody):
        pass


def test_who_was_taken_over_is_told_and_leaves_the_others_lease(remote, monkeypatch, tmp_path):
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    told = []
    with only_driver("e", remote, told.append):
        put(remote)
        deadline = time.monotonic() + 20
        while not told and time.monotonic() < deadline:
            time.sleep(0.05)
    assert told == ["elsewhere (process 1) has taken this sweep over"]
    assert there(remote, tmp_path)["id"] == "other"


def test_an_outage_while_the_sweep_runs_is_only_logged(remote, monkeypatch, caplog):
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    with only_driver("e", remote, nobody), monkeypatch.context() as patch:

        def refuse(*args, **kwargs):
            raise StoreError("the network is unreachable")

        patch.setattr(Runs, "fetch", refuse)
        deadline = time.monotonic() + 20
        while "not renewed for now" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.05)
    assert "the sweep's lease is not renewed for now: the network is unreachable" in caplog.text


def test_whoever_removes_everything_writes_it_anew(remote, tmp_path):
    with only_driver("e", remote, nobody) as renew:
        remote.remove("e")
        assert there(remote, tmp_path) is None
        renew()
        assert there(remote, tmp_path)["pid"] == os.getpid()
