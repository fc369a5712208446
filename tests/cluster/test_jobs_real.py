"""A job on a real Ray with a token: handed in, looked at, stopped, gone on with; no secret gets into Ray."""

import io
import os
import runpy
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from ganray.cli import main as cli
from ganray.cluster.jobs_client import Jobs
from ganray.store.store import Store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

running_head = runpy.run_path(str(Path(__file__).with_name("jobs_head.py")))["running_head"]
FILE = """
name: tiny
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan}]}}
tricks: [{name: ema, decay: 0.9}]
budget: {kimg: 0.032, batch_size: 8}
evaluation: {protocols: [fd_lite0_200_train], every_kimg: 0.032}
search: {trials: 1, seed: 1, sampler: random}
resources: {workers_per_trial: 1, gpus_per_worker: 0}
runtime: {device: cpu}
"""
OF_THE_USER = {"AWS_SECRET_ACCESS_KEY": "planted-aws-of-the-user", "WANDB_API_KEY": "planted-wandb-of-the-user"}
OF_THE_HEAD = {"AWS_SECRET_ACCESS_KEY": "planted-aws-of-the-head"}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """What a user did on one cluster, command by command: exit code and output of each."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "tiny.yaml").write_text(FILE)
    cache = str(tmp_path_factory.getbasetemp() / "cache")
    with running_head(GANRAY_CACHE_DIR=cache, **OF_THE_HEAD) as head:
        environment = {"RAY_API_SERVER_ADDRESS": head.address, "GANRAY_CACHE_DIR": cache, **OF_THE_USER}
        environment["RAY_AUTH_TOKEN_PATH"] = str(head.token_file)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("RAY_")]:
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.chdir(folder)
            said = {"submit": as_a_process("submit", "tiny.yaml", "--detach", "--python", sys.executable)}
            with pytest.MonkeyPatch.context() as other:
                other.setenv("RAY_AUTH_TOKEN", "not-the-token")
                said["wrong token"] = ganray("status")
            jobs = Jobs(head.address)
            wait_for_log(jobs, "1 trials of")
            said["second"] = ganray("resume", "tiny.yaml", "--python", sys.executable)
            said["stop"] = ganray("stop", "tiny")
            said["resume"] = as_a_process("resume", "tiny.yaml", "--python", sys.executable)
            said["status"] = ganray("status")
            said["logs"] = ganray("logs", "tiny")
            said["jobs"] = [details.model_dump_json() for details in jobs.client.list_jobs()]
        said["ray"] = {path: path.read_bytes() for path in head.logs}
        said["head"], said["folder"] = head, folder
    return said


def as_a_process(*arguments):
    """A command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "ganray.cli.main", *arguments], timeout=600, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def ganray(*arguments):
    """A command line in this process, which has imported everything already."""
    text = io.StringIO()
    with redirect_stdout(text), redirect_stderr(text), pytest.raises(SystemExit) as end:
        cli.main(arguments)
    return end.value.code, text.getvalue()


def wait_for_log(jobs, text, timeout_s=300):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        job = jobs.find("tiny")
        log = jobs.logs(job.id)
        if text in log:
            return
        assert not job.has_ended, log
        time.sleep(0.5)
    raise AssertionError(f"no {text!r} in {log}")


def test_a_token_is_enough_to_hand_a_sweep_in(story):
    code, said = story["submit"]
    assert code == 0, said
    assert said.startswith("ganray-tiny-20")
    assert f"results go to {story['folder']}/runs/store" in said


def test_another_token_is_refused_in_one_paragraph(story):
    code, said = story["wrong token"]
    assert code == 2
    assert "does not know this token" in said
    assert len(said.splitlines()) == 1


def test_a_sweep_that_runs_is_not_gone_on_with(story):
    code, said = story["second"]
    assert code == 2
    assert "tiny runs already on this cluster" in said


def test_it_ends_when_it_is_asked_to(story):
    code, said = story["stop"]
    assert code == 0, said
    assert "ganray resume" in said


def test_it_is_gone_on_with_to_the_end(story):
    code, said = story["resume"]
    assert code == 0, said
    assert "1 of 1 trials ended" in said
    assert "GANRAY_STATUS" not in said
    assert said.splitlines()[1:] == story["logs"][1].splitlines()
    (trial,) = Store(story["folder"] / "runs" / "store").trials("tiny").to_pylist()
    assert trial["status"] == "completed"
    assert trial["versions"]


def test_both_jobs_are_listed(story):
    code, said = story["status"]
    first, second = said.splitlines()[1:]
    assert code == 0
    assert (first.split()[1], second.split()[1]) == ("succeeded", "stopped")


def test_no_secret_is_in_a_job_or_in_rays_logs(story):
    secrets = [*OF_THE_USER.values(), *OF_THE_HEAD.values(), story["head"].token]
    assert len(story["jobs"]) >= 2
    assert any(b"tiny" in content for content in story["ray"].values())
    for secret in secrets:
        assert not any(secret in job for job in story["jobs"])
        assert [path for path, content in story["ray"].items() if secret.encode() in content] == []


def test_nothing_of_the_cluster_is_left(story):
    import psutil

    folder = str(story["head"].folder)
    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if folder in " ".join(p.info["cmdline"] or [])]
    assert left == []
    assert not Path(folder).exists()
