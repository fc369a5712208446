"""`ganray train --local` as a user types it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ganray.cli.main import main
from ganray.store.store import Store
from ganray.training.checkpoint import read_checkpoint
from ganray.trial import local
from ganray.trial.local import pausable

TINY = Path(__file__).with_name("tiny.py")
EXPERIMENT = """\
name: demo
data: {{source: {photos}, resolution: 32}}
generator: {{name: dcgan, width: 4, latent_dim: 8}}
discriminator: {{name: dcgan, width: 4}}
tricks: [{{name: diffaugment}}, {{name: flips}}, {{name: ema, decay: 0.99}}]
budget: {{kimg: 3.2, batch_size: 8}}
evaluation: {{protocols: [fd_lite0_1k_train], every_kimg: 0.8}}
runs: {runs}
store: {runs}/store
"""


@pytest.fixture
def experiment(photos, tmp_path, private_cache, monkeypatch):
    """An experiment file of one recipe, 400 steps and four evaluations."""
    monkeypatch.delenv("GANRAY_STORE", raising=False)
    path = tmp_path / "demo.yaml"
    path.write_text(EXPERIMENT.format(photos=photos, runs=tmp_path / "runs"))
    return path


@pytest.fixture
def start():
    """Start Python with these arguments; whatever still runs at the end of the test is terminated."""
    processes = []

    def go(*arguments):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *map(str, arguments)]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield go
    for process in processes:
        process.terminate()  # torchrun hands it on to its workers
        process.communicate(timeout=200)


def ganray(*arguments):
    """Exit code of the command line in this process."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code


def the_checkpoint(runs):
    (path,) = runs.glob("demo/trials/*/checkpoint.pt")
    return path


def test_ctrl_c_pauses_and_resume_goes_on_exactly(start, experiment, tiny, tmp_path, capsys):
    runs = tmp_path / "runs"
    process = start(TINY, "train", experiment, "--local")
    line = process.stderr.readline()
    assert line.startswith("0.800 kimg  fd_lite0_1k_train "), line + process.stderr.read()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=200)[1]
    assert process.returncode == 130, said
    assert "go on with the same command and --resume" in said
    # At once is as good as later: the interrupt may arrive before the next step begins.
    assert 800 <= read_checkpoint(the_checkpoint(runs))["images_shown"] < 3200

    assert ganray("train", experiment, "--local") == 2  # nothing is lost by typing the command again
    said = capsys.readouterr().err
    assert str(the_checkpoint(runs)) in said
    assert "--resume" in said
    assert "--fresh" in said

    resumed = start(TINY, "train", experiment, "--local", "--resume")  # another process than the one that paused
    straight = tmp_path / "straight"
    assert ganray("train", experiment, "--local", "--set", f"runs={straight}", "--set", f"store={straight}/store") == 0
    said = resumed.communicate(timeout=300)[1]
    assert resumed.returncode == 0, said
    assert "ganray sample" in said
    a, b = (read_checkpoint(the_checkpoint(folder)) for folder in (runs, straight))
    for part in ("generator", "discriminator", "ema"):
        assert all(torch.equal(a[part][name], b[part][name]) for name in a[part])
    rows = [Store(folder / "store").evaluations().to_pylist() for folder in (runs, straight)]
    numbers = [[(row["kimg"], row["frechet"], row["kid"]) for row in each] for each in rows]
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) == 4


SHORT = ("--set", "budget.kimg=0.08", "--set", "evaluation.every_kimg=0.08")


def test_it_runs_under_torchrun(start, experiment, tmp_path):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    process = start(*torchrun, TINY, "train", experiment, *SHORT)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert said.count("0.080 kimg  fd_lite0_1k_train ") == 1  # the main worker alone speaks
    store = Store(tmp_path / "runs" / "store")
    (trial,) = store.trials().to_pylist()
    assert (trial["status"], trial["world_size"]) == ("completed", 2)
    assert [(row["kimg"], row["n_fake"]) for row in store.evaluations().to_pylist()] == [(0.08, 60)]


def test_resume_needs_a_checkpoint(experiment, tiny, tmp_path, capsys):
    assert ganray("train", experiment, "--local", "--resume") == 2
    said = capsys.readouterr().err
    assert "ganray: no checkpoint of this recipe at" in said
    assert "leave --resume out to begin" in said
    assert ganray("train", experiment, "--local", "--resume", "--fresh") == 2


def test_a_finished_training_is_repeated_only_where_one_says_fresh(experiment, tiny, tmp_path, capsys):
    command = ("train", experiment, "--local", *SHORT)
    assert ganray(*command) == 0
    first = read_checkpoint(the_checkpoint(tmp_path / "runs"))
    assert ganray(*command) == 2
    assert ganray(*command, "--resume") == 0  # finished: it says what it had
    said = capsys.readouterr().err
    assert f"{first['last_metrics']['fd_lite0_1k_train']:.2f} at 0.08 kimg" in said.splitlines()[-2]
    assert ganray(*command, "--fresh") == 0
    again = read_checkpoint(the_checkpoint(tmp_path / "runs"))
    assert again["started_at_s"] > first["started_at_s"]
    assert again["last_metrics"] == first["last_metrics"]


def test_a_failed_training_is_one_paragraph(experiment, tiny, capsys):
    rates = ("--set", "optimizers.generator.lr=1e12", "--set", "optimizers.discriminator.lr=1e12")
    assert ganray("train", experiment, "--local", *SHORT, *rates) == 2
    said = capsys.readouterr().err
    assert said.startswith("ganray: trial ")
    assert "non-finite: " in said
    assert "Traceback" not in said


def test_faults_before_training_are_one_paragraph(experiment, tiny, tmp_path, capsys):
    (tmp_path / "file").write_text("I am a file")
    assert ganray("train", experiment, "--local", "--set", f"store={tmp_path}/file/store") == 2
    assert "cannot write" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert ganray("train", experiment, "--local", "--set", "runtime.device=cuda") == 2
        assert "torch sees no GPU" in capsys.readouterr().err


def test_two_interrupts_at_once_are_one_ctrl_c(monkeypatch):
    monkeypatch.setattr(local, "ECHO_S", 0.2)
    before = signal.getsignal(signal.SIGINT)
    with pausable() as paused:
        assert not paused.is_set()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # torchrun repeats the terminal's
        assert paused.is_set()
        paused.wait()
        deadline = local.time.monotonic() + 0.3
        while local.time.monotonic() < deadline:
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
