"""A sweep handed in, followed and stopped, on a head that only seems to be one."""

import io
import runpy
import shlex
import zipfile
from pathlib import Path

import pytest

from ganray.cluster.jobs import Submission, exit_code, follow, is_readable, last_words, shown, stop, submit
from ganray.cluster.jobs_client import Job, Jobs
from ganray.cluster.jobs_table import describe, newest_status, sweep_status, took
from ganray.errors import ClusterError, RecipeError
from ganray.recipe.experiment import load_experiment

FakeHead = runpy.run_path(str(Path(__file__).with_name("jobs_server.py")))["FakeHead"]
FILE = """
name: cats
data: {source: /shared/cats, resolution: 32}
generator: {name: dcgan, width: 4}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan}]}}
evaluation: {protocols: [fd_lite0_200_train]}
runs: s3://b/runs
"""
SECRETS = {"AWS_SECRET_ACCESS_KEY": "planted-aws", "WANDB_API_KEY": "planted-wandb", "RAY_AUTH_TOKEN": "planted-token"}


@pytest.fixture
def head(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.delenv("GANRAY_STORE", raising=False)
    with FakeHead(token=SECRETS["RAY_AUTH_TOKEN"]) as head:
        yield head


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "cats.yaml").write_text(FILE)
    return lambda *overrides: load_experiment(tmp_path / "cats.yaml", overrides)


def job(status="FAILED", exit_code=1, message=""):
    return Job("ganray-cats-1", status, {"experiment": "cats"}, 10.0, 75.0, exit_code, message)


def test_a_job_has_code_experiment_overrides_and_options_and_no_secret(head, experiment):
    told = []
    asked = Submission(("--trials", "7"), None, ("budget.kimg=2", "name=cats-2"), None, "/opt/my venv/python")
    handed = submit(experiment(*asked.overrides), asked, Jobs(head.address), told.append)
    (kept,) = head.jobs.values()
    assert handed.id.startswith("ganray-cats-2-20")
    assert told == [f"{handed.id}: cats-2 is handed in at {head.address}; results go to s3://b/runs/store"]
    words = shlex.split(kept["entrypoint"])
    assert words[:6] == ["/opt/my venv/python", "-m", "ganray.cluster.jobs_driver", "sweep", "cats.yaml", "--address"]
    assert words[6:9] == ["auto", "--trials", "7"]
    assert words[9:13] == ["--set", "budget.kimg=2", "--set", "name=cats-2"]
    assert "--resume" not in words
    assert set(kept["metadata"]) == {"experiment", "runs", "store", "ganray"}
    assert kept["runtime_env"]["env_vars"]["GANRAY_STATUS_LINES"] == "1"
    assert int(kept["runtime_env"]["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) > 60
    (package,) = head.packages.values()
    names = zipfile.ZipFile(io.BytesIO(package)).namelist()
    assert {"cats.yaml", "ganray-job.json", "ganray/cli/main.py", "ganray/recipe/presets/fastgan.yaml"} <= set(names)
    content = b"".join(zipfile.ZipFile(io.BytesIO(package)).read(name) for name in names)
    for secret in SECRETS.values():
        assert secret not in str(kept)
        assert secret.encode() not in content


def test_two_jobs_of_one_second_have_different_ids(head, experiment):
    jobs = Jobs(head.address)
    ids = []
    for _ in range(2):
        ids.append(submit(experiment(), Submission(), jobs, str).id)
        head.jobs[ids[-1]]["status"] = "SUCCEEDED"
    assert len(set(ids)) == 2


def test_resume_is_passed_on(head, experiment):
    submit(experiment(), Submission(resume=True), Jobs(head.address), str)
    (kept,) = head.jobs.values()
    assert "--resume" in shlex.split(kept["entrypoint"])


def test_a_second_job_of_a_sweep_that_runs_is_refused_and_one_elsewhere_is_not(head, experiment):
    running = head.put("ganray-cats-1", status="RUNNING")
    with pytest.raises(
        ClusterError, match=r"cats runs already on this cluster, as ganray-cats-1 .running.*ganray stop"
    ):
        submit(experiment(), Submission(resume=True), Jobs(head.address), str)
    submit(experiment("runs=s3://b/other"), Submission(), Jobs(head.address), str)
    running["status"] = "STOPPED"
    submit(experiment(), Submission(resume=True), Jobs(head.address), str)


def test_another_ray_on_the_cluster_is_refused_naming_both(head, experiment):
    import ray

    head.ray_version = "2.41.0"
    says = rf"runs Ray 2\.41\.0, and this machine has Ray {ray.__version__}.*pip install 'ray\[.*==2\.41\.0'"
    with pytest.raises(ClusterError, match=says):
        submit(experiment(), Submission(), Jobs(head.address), str)
    assert not head.packages


@pytest.mark.parametrize("until", ["fd_lite0_200_train", "fid_5k_train<30"])
def test_a_goal_that_the_sweep_would_refuse_is_refused_here(head, experiment, until):
    with pytest.raises(RecipeError, match=f"--until {until}"):
        submit(experiment(), Submission(until=until), Jobs(head.address), str)
    assert not head.packages
    submit(experiment(), Submission(until="fd_lite0_200_train<30"), Jobs(head.address), str)
    (kept,) = head.jobs.values()
    assert shlex.split(kept["entrypoint"])[7:9] == ["--until", "fd_lite0_200_train<30"]


def test_a_path_of_this_machine_is_refused_before_anything_is_sent(head, experiment):
    with pytest.raises(RecipeError, match="is a path of this machine"):
        submit(experiment("data.source=cats"), Submission(), Jobs(head.address), str)
    assert not head.packages


def test_the_head_is_this_machine_where_a_process_of_its_session_runs_here(head, tmp_path):
    import subprocess
    import sys

    head.session = "session_2026-11-22_of_this_test"
    assert not Jobs(head.address).head().is_here()
    process = subprocess.Popen([sys.executable, "-c", "input()", f"/tmp/{head.session}/x"], stdin=subprocess.PIPE)
    try:
        assert Jobs(head.address).head().is_here()
    finally:
        process.communicate(b"\n")


def test_what_is_no_news_is_left_out_of_a_log():
    boilerplate = "Running entrypoint for job x: python\n2026-11-28 04:49:25,996\tINFO job_manager.py:581 -- x\n"
    log = f"{boilerplate}a\nGANRAY_STATUS {{}}\n(raylet) WARNING: 8 PYTHON worker processes have been started on\nb"
    assert shown(log) == ["a", "b"]


def test_following_ends_with_the_sweeps_own_code(head):
    head.put("ganray-cats-1", status="FAILED", driver_exit_code=2, log="GANRAY_STATUS {}\nganray: no images\n")
    told = []
    jobs = Jobs(head.address)
    assert follow(jobs.find("cats"), jobs, told.append) == 2
    assert told == ["ganray: no images"]


@pytest.mark.parametrize(
    ("ended", "code", "says"),
    [
        (job("SUCCEEDED", 0), 0, None),
        (job("STOPPED", None), 130, "was stopped; `again` goes on with it"),
        (job(exit_code=2), 2, None),
        (job(exit_code=127), 2, "--python /path/to/venv/bin/python"),
        (job(exit_code=130), 130, "exit code 130; `again` goes on"),
        (
            job(exit_code=None, message="Ray could not set up the runtime environment"),
            1,
            "could not set up the runtime",
        ),
        (job(exit_code=None), 1, "Ray gives no reason"),
    ],
)
def test_last_words(ended, code, says):
    assert exit_code(ended) == code
    words = "\n".join(last_words(ended, "again"))
    assert says in words if says else not words


def test_ctrl_c_detaches_and_leaves_the_job_alone(head, monkeypatch):
    head.put("ganray-cats-1")
    jobs, told = Jobs(head.address), []

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "follow", interrupted)
    assert follow(jobs.find("cats"), jobs, told.append) == 0
    assert f"`ganray logs ganray-cats-1 --follow --address {head.address}` looks again" in told[0]
    assert head.stopped == []


def test_stopping_waits_until_the_job_has_ended_and_refuses_one_that_has(head):
    head.put("ganray-cats-1")
    head.on_stop = lambda job: job.update(status="STOPPED")
    jobs = Jobs(head.address)
    assert stop(jobs.find("cats"), jobs, str).status == "STOPPED"
    assert head.stopped == ["ganray-cats-1"]
    with pytest.raises(ClusterError, match=r"has ended already \(stopped\)"):
        stop(jobs.find("cats"), jobs, str)
    assert head.stopped == ["ganray-cats-1"]


@pytest.mark.parametrize(
    ("address", "readable"),
    [("http://localhost:8265", False), ("http://127.0.0.1:1", False), ("https://h:1", False), ("http://h:1", True)],
)
def test_an_address_that_others_can_read_along_is_known(address, readable):
    assert is_readable(address) is readable


def test_how_long_a_job_took():
    assert [took(Job("x", "RUNNING", {}, 0.5, None, None, ""), 0.5 + s) for s in (9, 70, 7500)] == [
        "9 s", "1 min 10 s", "2 h 05 min",
    ]  # fmt: skip
    assert took(Job("x", "PENDING", {}, None, None, None, "")) == "-"


def test_the_last_whole_status_line_counts():
    from datetime import UTC, datetime

    from ganray.cluster.status import SweepStatus

    at = datetime(2026, 11, 22, tzinfo=UTC)
    lines = [SweepStatus("cats", "running", "fid", at, at, ended=n).to_json() for n in (1, 2)]
    log = f"a\nGANRAY_STATUS {lines[0]}\nGANRAY_STATUS {lines[1]}\nb\nGANRAY_STATUS {lines[0][:40]}"
    assert newest_status(log).ended == 2
    assert newest_status("a\nb") is None


def test_a_job_without_a_status_is_described_by_the_end_of_its_log():
    lines = describe(job(exit_code=None, message="no node"), "a\n\nb\n")
    assert lines[0].startswith("ganray-cats-1: failed, began 1970-01-01")
    assert lines[-3:] == ["no node", "  a", "  b"]


def test_a_sweep_without_a_status_is_answered_with_those_that_have_one(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "status.json").write_text("{}")
    with pytest.raises(ClusterError, match=r"there is no .*catz/status.json.*cats"):
        sweep_status("catz", str(tmp_path))
    with pytest.raises(ClusterError, match="no sweep has left one there"):
        sweep_status("cats", str(tmp_path / "elsewhere"))
