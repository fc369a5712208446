"""A real sweep on a real Ray: Tune, Optuna, ASHA, two slots; the driver is killed in the middle and resumed."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from ganray.cluster.claim import claim_folder, refuse_other_definition
from ganray.cluster.study import study_storage
from ganray.errors import RecipeError
from ganray.recipe.experiment import load_experiment
from ganray.report.leaderboard import leaderboard
from ganray.store.store import Store
from ganray.trial.folder import Runs

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1700)]

DRIVER = Path(__file__).with_name("driver.py")
TRIALS = 5
FILE = """
name: sweep
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {choice: [{name: dcgan, width: 4}, {name: dcgan, width: 4, spectral_norm: true}]}
objective: {loss: {choice: [{name: hinge}, {name: ragan}, {name: lsgan}]}}
tricks: [{name: ema, decay: 0.9}, {choice: [null, {name: flips}]}]
optimizers: {discriminator: {lr: {log_uniform: [1e-4, 1e+30]}}}
budget: {kimg: 0.192, batch_size: 8}
evaluation: {protocols: [tiny], every_kimg: 0.064}
search:
  trials: 5
  seed: 1
  sampler: random
  scheduler: {name: asha, grace_kimg: 0.064, reduction_factor: 2}
  start_from:
    - {discriminator: {name: dcgan, spectral_norm: false}, objective: {loss: {name: hinge}},
       tricks: [{name: ema}], optimizers: {discriminator: {lr: 2e-4}}}
    - {discriminator: {name: dcgan, spectral_norm: false}, objective: {loss: {name: lsgan}},
       tricks: [{name: ema}], optimizers: {discriminator: {lr: 1e+30}}}
    - {discriminator: {name: dcgan, spectral_norm: true}, objective: {loss: {name: ragan}},
       tricks: [{name: ema}, {name: flips}], optimizers: {discriminator: {lr: 2e-4}}}
    - {discriminator: {name: dcgan, spectral_norm: true}, objective: {loss: {name: hinge}},
       tricks: [{name: ema}, {name: flips}], optimizers: {discriminator: {lr: 4e-4}}}
resources: {workers_per_trial: 1, gpus_per_worker: 0}
runtime: {device: cpu}
"""


def start(folder, *flags):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(folder / "sweep.yaml"), *flags],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until(process, pattern, seen, timeout_s=800):
    """Collect lines until one matches."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the sweep ended before {pattern!r}:\n" + "".join(seen))
        seen.append(line)
        if re.search(pattern, line):
            return
    raise AssertionError(f"no {pattern!r} within {timeout_s} s:\n" + "".join(seen))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Run until two trials have ended, SIGKILL the driver, run on with --resume."""
    folder = tmp_path_factory.mktemp("sweep")
    os.environ.setdefault("GANRAY_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
    (folder / "sweep.yaml").write_text(FILE)
    first = []
    process = start(folder)
    read_until(process, r"\b(completed|pruned)\b", first)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    ended_before = {
        row["trial_id"]: row["updated_at"]
        for row in Store(folder / "runs" / "store").trials("sweep").to_pylist()
        if row["status"] in ("completed", "failed")
    }
    time.sleep(5)  # Ray's processes notice that their driver has gone
    second = start(folder, "--resume")
    output, _ = second.communicate(timeout=800)
    return {"folder": folder, "first": first, "second": output, "code": second.returncode, "before": ended_before}


@pytest.fixture
def trials(outcome):
    return Store(outcome["folder"] / "runs" / "store").trials("sweep").to_pylist()


def test_the_resumed_sweep_ends_with_the_right_number_of_trials(outcome, trials):
    assert outcome["code"] == 0, outcome["second"]
    assert re.search(r"ENDED 4 FAILED 1|ENDED [34] FAILED [12]", outcome["second"]), outcome["second"]
    assert len(trials) == TRIALS
    assert {row["status"] for row in trials} <= {"completed", "pruned", "failed"}


def test_finished_trials_are_not_redone(outcome, trials):
    after = {row["trial_id"]: row["updated_at"] for row in trials}
    assert outcome["before"], outcome["first"]
    for trial_id, updated_at in outcome["before"].items():
        assert after[trial_id] == updated_at
        assert trial_id not in outcome["second"]


def test_each_evaluation_is_there_once_and_every_curve_has_no_gap(outcome, trials):
    store = Store(outcome["folder"] / "runs" / "store")
    evaluations = store.evaluations("sweep").to_pylist()
    keys = [(row["trial_id"], row["kimg"], row["protocol"]) for row in evaluations]
    assert len(keys) == len(set(keys))
    for row in trials:
        scored = sorted(e["kimg"] for e in evaluations if e["trial_id"] == row["trial_id"])
        expected = [0.064, 0.128, 0.192][: len(scored)]
        assert scored == pytest.approx(expected)
        if row["status"] == "completed":
            assert len(scored) == 3


def test_the_recipe_that_blows_up_is_failed_for_store_and_study(outcome, trials):
    (bad,) = [row for row in trials if '"lr":1e+30' in row["recipe_json"].replace(" ", "")]
    assert bad["status"] == "failed"
    assert "non-finite" in bad["diagnosis"]
    study = optuna.load_study(study_name="sweep", storage=study_storage(outcome["folder"] / "runs/sweep/study.log"))
    states = [t.state.name for t in study.get_trials() if t.params.get("optimizers.discriminator.lr") == 1e30]
    assert states
    assert set(states) == {"FAIL"}


def test_the_study_is_left_consistent(outcome):
    study = optuna.load_study(study_name="sweep", storage=study_storage(outcome["folder"] / "runs/sweep/study.log"))
    assert all(trial.state.is_finished() for trial in study.get_trials())
    assert study.best_value > 0


def test_the_winner_is_completed_and_has_a_picture_and_a_checkpoint(outcome):
    store = Store(outcome["folder"] / "runs" / "store")
    best = leaderboard(store, "sweep", "tiny").entries[0]
    assert best.rank == 1
    assert store.read_artifact(best.grid_uri).startswith(b"\x89PNG")
    assert (outcome["folder"] / "runs/sweep/trials" / best.trial_id / "checkpoint.pt").is_file()


def test_tune_has_checkpoints_of_its_own(outcome):
    found = list((outcome["folder"] / "runs" / "sweep").glob("tune-*/Slot_*/checkpoint_*/checkpoint.pt"))
    assert found


def test_a_changed_file_and_a_forgotten_flag_are_refused(outcome):
    file, runs = outcome["folder"] / "sweep.yaml", Runs.at(outcome["folder"] / "runs")
    store = Store(outcome["folder"] / "runs" / "store")
    same, changed = load_experiment(file), load_experiment(file, ["generator.width=8"])
    with pytest.raises(RecipeError, match="--resume continues it, --fresh forgets"):
        claim_folder(same, runs, store, resume=False, fresh=False)
    with pytest.raises(RecipeError, match="has changed since"):
        claim_folder(changed, runs, store, resume=True, fresh=False)
    with pytest.raises(RecipeError, match="no sweep to resume"):
        claim_folder(load_experiment(file, ["name=other"]), runs, store, resume=True, fresh=False)


def test_every_row_says_which_definition_it_is_of(outcome, trials):
    file, store = outcome["folder"] / "sweep.yaml", Store(outcome["folder"] / "runs" / "store")
    assert {row["definition_hash"] for row in trials} == {load_experiment(file).definition_hash}
    refuse_other_definition(load_experiment(file), store)
    with pytest.raises(RecipeError, match=rf"holds {TRIALS} trial\(s\) of an experiment named sweep with another"):
        refuse_other_definition(load_experiment(file, ["generator.width=8"]), store)
