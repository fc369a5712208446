"""`ganray submit`, `status`, `logs`, `stop`, `resume` as a user types them."""

import os
import runpy
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ganray.cluster.status import SweepStatus

FakeHead = runpy.run_path(str(Path(__file__).parents[1] / "cluster" / "jobs_server.py"))["FakeHead"]
FILE = """
name: cats
data: {source: /shared/cats, resolution: 32}
generator: {name: dcgan, width: 4}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan}]}}
evaluation: {protocols: [fd_lite0_200_train]}
runs: s3://b/runs
"""


@pytest.fixture
def head(monkeypatch, tmp_path):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "GANRAY_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats.yaml").write_text(FILE)
    with FakeHead() as head:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", head.address)
        yield head


def status(**more):
    at = datetime.now(UTC)
    return SweepStatus(
        "cats",
        "running",
        "fid_5k_train",
        at - timedelta(hours=1),
        at,
        trials=8,
        ended=3,
        device_hours=2.0,
        slots=2,
        **more,
    )


def finish(head, code, log):
    """The next job that is handed in ends like this."""

    def end(job):
        head.logs[job["submission_id"]] = log
        job.update(status="FAILED" if code else "SUCCEEDED", driver_exit_code=code)

    head.on_submit = end


def test_a_sweep_is_handed_in_followed_and_ends_with_its_code(head, ganray):
    finish(head, 0, f"trial 1/2 ab  running\nGANRAY_STATUS {status().to_json()}\n2 of 2 trials ended in 9 s\n")
    code, out, err = ganray("submit", "cats.yaml", "--trials", 2, "--time", "1h30m", "--until", "fd_lite0_200_train<30",
                            "--device-hours", 1.5, "--slots", 2, "--fresh", "--set", "budget.kimg=1")  # fmt: skip
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith("ganray-cats-20")
    assert rest == ["trial 1/2 ab  running", "2 of 2 trials ended in 9 s"]
    (job,) = head.jobs.values()
    words = shlex.split(job["entrypoint"])
    assert words[4:19] == [
        "cats.yaml", "--address", "auto", "--trials", "2", "--time", "5400s", "--device-hours", "1.5", "--slots", "2",
        "--fresh", "--until", "fd_lite0_200_train<30", "--set",
    ]  # fmt: skip


def test_what_the_sweep_refuses_is_shown_and_ends_with_2(head, ganray):
    finish(head, 2, "ganray: the job cannot run on this cluster: node a: /shared/cats does not exist\n")
    code, out, _ = ganray("submit", "cats.yaml")
    assert code == 2
    assert "node a: /shared/cats does not exist" in out


def test_detached_it_says_the_id_and_leaves(head, ganray):
    code, out, _ = ganray("submit", "cats.yaml", "--detach")
    (job_id,) = head.jobs
    assert code == 0
    assert out.startswith(f"{job_id}: cats is handed in")


def test_a_wrong_file_and_a_contradiction_are_told_before_any_cluster_is_asked(head, ganray):
    code, _, err = ganray("submit", "cats.yaml", "--set", "budget.kmg=1")
    assert code == 2
    assert "kimg" in err
    assert ganray("submit", "cats.yaml", "--resume", "--fresh")[0] == 2
    assert head.authorizations == []


def test_resume_is_a_submission_with_resume(head, ganray):
    finish(head, 0, "")
    assert ganray("resume", "cats.yaml", "--trials", 3)[0] == 0
    (job,) = head.jobs.values()
    assert shlex.split(job["entrypoint"])[5:10] == ["--address", "auto", "--trials", "3", "--resume"]


def test_the_jobs_of_a_cluster_are_listed(head, ganray):
    assert "no sweep has been handed in there" in ganray("status")[1]
    name = "a-rather-long-name-that-nobody-would-type-twice-in-his-life"
    head.put(f"ganray-{name}-20261101-000000", status="STOPPED", start_time=1000, end_time=66_000)
    head.put("ganray-cats-20261102-000000", start_time=100_000)
    _, out, _ = ganray("status")
    header, first, second = (line.split() for line in out.splitlines())
    assert header == ["job", "status", "experiment", "started", "took", "store"]
    assert first[:2] == ["ganray-cats-20261102-000000", "running"]
    assert second[:2] == [f"ganray-{name}-20261101-000000", "stopped"]
    assert " ".join(second[5:8]) == "1 min 05"


def test_one_job_is_shown_with_its_sweep_and_the_cost(head, ganray):
    head.put("ganray-cats-1", log=f"a\nGANRAY_STATUS {status().to_json()}\nb\n")
    code, out, _ = ganray("status", "cats", "--price", "0.45")
    assert code == 0
    assert "ganray-cats-1: running" in out
    assert "3 of 8 trials ended" in out
    assert "0.90 so far" in out


def test_a_job_that_never_got_so_far_is_shown_with_what_it_said(head, ganray):
    head.put("ganray-cats-1", status="FAILED", driver_exit_code=2, log="ganray: no such images\n")
    _, out, _ = ganray("status", "cats")
    assert "failed (2)" in out
    assert "ganray: no such images" in out


def test_a_sweep_of_this_machine_is_shown_without_a_cluster(head, ganray, tmp_path, monkeypatch):
    (tmp_path / "runs" / "cats").mkdir(parents=True)
    (tmp_path / "runs" / "cats" / "status.json").write_text(status().to_json())
    assert "3 of 8 trials ended" in ganray("status", "cats", "--runs", tmp_path / "runs")[1]
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS")
    assert "3 of 8 trials ended" in ganray("status", "cats")[1]
    assert head.authorizations == []
    code, _, err = ganray("status", "catz", "--runs", "runs")
    assert (code, "cats" in err) == (2, True)
    assert ganray("status", "--runs", "runs")[0] == 2


def test_logs_are_printed_without_status_lines(head, ganray):
    head.put("ganray-cats-1", status="SUCCEEDED", log="one\nGANRAY_STATUS {}\ntwo\n")
    assert ganray("logs", "cats") == (0, "one\ntwo\n", "")
    assert ganray("logs", "cats", "--follow") == (0, "one\ntwo\n", "")
    code, _, err = ganray("logs", "dogs")
    assert code == 2
    assert "no job 'dogs'" in err


def test_ctrl_c_leaves_the_job_alone(head, tmp_path):
    head.put("ganray-cats-1", log="trial 1/2\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "ganray.cli.main", "logs", "cats", "--follow"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "trial 1/2\n"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "detached; the job goes on. `ganray logs ganray-cats-1 --follow" in said
    assert "Traceback" not in said
    assert head.stopped == []


def test_stop_says_how_to_go_on(head, ganray):
    head.put("ganray-cats-1")
    head.on_stop = lambda job: job.update(status="STOPPED")
    code, out, _ = ganray("stop", "cats")
    assert code == 0
    assert f"ganray-cats-1: stopped; go on with it by `ganray resume EXPERIMENT --address {head.address}`" in out
    assert ganray("stop", "cats")[0] == 2
