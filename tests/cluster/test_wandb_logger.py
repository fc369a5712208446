"""Weights & Biases, the real package, offline on a real Ray: one run, and the key nowhere in what Ray leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = "planted" + "0123456789abcdef" * 2 + "x"
DRIVER = """
import sys
from pathlib import Path
from types import SimpleNamespace
from ganray.cluster.settings import start_ray
start_ray(None, num_cpus=1)
import ray
from ganray.cluster.loggers import build_loggers, check_loggers
from ganray.recipe.experiment import load_experiment
from ganray.trial.folder import Runs

folder = Path(sys.argv[1])
experiment = load_experiment(folder / "demo.yaml", check=False)
specs = experiment.settings.loggers
check_loggers(specs)
(callback,) = build_loggers(specs, Runs.at(folder / "runs"), experiment)
config = {"slot": object(), "objective.loss": "hinge"}
trial = SimpleNamespace(trial_id="t", config=config, get_ray_actor_ip=lambda: None)
callback.setup()
callback.on_trial_start(0, [], trial)
for kimg, value in ((0.5, 31.25), (1.0, float("inf"))):
    result = {"trial": "x", "kimg": kimg, "fd": value, "status": "running", "done": False}
    callback.on_trial_result(0, [], trial, result)
callback.on_trial_complete(0, [], trial)
callback.on_experiment_end([])
print("LOST", callback.lost)
print("ID", experiment.fixed({"objective.loss": "hinge"}).trial_id("demo"))
print("SESSION", ray._private.worker._global_node.get_session_dir_path())
ray.shutdown()
"""
FILE = """
name: demo
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan}]}}
budget: {kimg: 1, batch_size: 8}
evaluation: {protocols: [fd_lite0_200_train], every_kimg: 1}
search: {sampler: random}
loggers: [{name: wandb, project: tests, mode: offline}]
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("wandb")
    (folder / "demo.yaml").write_text(FILE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_API_KEY": SECRET}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder)], capture_output=True, text=True, timeout=400, env=environment
    )
    assert done.returncode == 0, done.stderr
    said = dict(
        line.split(" ", 1) for line in done.stdout.splitlines() if line.split(" ")[0] in ("LOST", "ID", "SESSION")
    )
    return {"folder": folder, "said": said, "output": done.stdout + done.stderr}


@pytest.mark.cluster
def test_a_run_with_our_id_is_written_into_the_runs(outcome):
    assert outcome["said"]["LOST"] == "0"
    (run,) = (outcome["folder"] / "runs" / "demo" / "wandb").glob("offline-run-*")
    assert run.name.endswith(outcome["said"]["ID"])
    (file,) = run.glob("*.wandb")
    content = file.read_bytes()
    for words in (b"objective.loss", b"hinge", b"tests", b"31.25", b"training_iteration"):
        assert words in content
    assert b"slot" not in content
    assert b"Infinity" not in content


@pytest.mark.cluster
def test_the_key_is_in_no_log_of_ray_and_in_no_file_of_the_run(outcome):
    places = [Path(outcome["said"]["SESSION"]), outcome["folder"]]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    assert any("raylet" in file.name for file in files)
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []
    assert SECRET not in outcome["output"]
