"""PBT on a real Ray: four members on two slots; the driver is killed after a take-over and the sweep goes on."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from ganray.recipe.experiment import load_experiment
from ganray.report.leaderboard import leaderboard
from ganray.store.store import Store
from ganray.training.checkpoint import read_checkpoint
from ganray.training.distributed import World
from ganray.trial.job import TAKEN, TrialJob
from ganray.trial.member import Exploit, Member
from ganray.trial.run import run_trial
from tests.cluster.test_sweep import start

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1700)]

ROUND = 0.064
FILE = """
name: sweep
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {choice: [{name: dcgan, width: 4}, {name: dcgan, width: 4, spectral_norm: true}]}
objective: {loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}}
tricks: [{name: ema, decay: {uniform: [0.5, 0.9]}}]
optimizers:
  generator: {lr: {log_uniform: [1e-9, 1e-2]}, beta1: {uniform: [0.0, 0.9]}}
budget: {kimg: 0.192, batch_size: 8}
evaluation: {protocols: [tiny], every_kimg: 0.064}
seed: {int: [0, 1000]}
search:
  trials: 4
  sampler: random
  scheduler: {name: pbt, every_kimg: 0.064, resample_probability: 0.0}
  start_from:
    - {discriminator: {name: dcgan, spectral_norm: true}, objective: {loss: {name: hinge}}, seed: 1,
       tricks: [{name: ema, decay: 0.6}], optimizers: {generator: {lr: 1e-9, beta1: 0.5}}}
    - {discriminator: {name: dcgan, spectral_norm: false}, objective: {loss: {name: lsgan, c: 0.9}}, seed: 2,
       tricks: [{name: ema, decay: 0.7}], optimizers: {generator: {lr: 2e-3, beta1: 0.4}}}
resources: {workers_per_trial: 1, gpus_per_worker: 0}
runtime: {device: cpu}
"""


def wait_for_lineage(store, process, timeout_s=500):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        rows = store.trials("sweep").to_pylist()
        if any(row["lineage"] for row in rows):
            return {row["trial_id"]: row["lineage"] for row in rows}
        time.sleep(0.3)
    raise AssertionError(f"nobody took over within {timeout_s} s")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pbt")
    os.environ.setdefault("GANRAY_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
    (folder / "sweep.yaml").write_text(FILE)
    store = Store(folder / "runs" / "store")
    process = start(folder)
    before = wait_for_lineage(store, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(3)  # Ray's processes notice that their driver has gone
    second = start(folder, "--resume")
    output, _ = second.communicate(timeout=500)
    return {"folder": folder, "store": store, "before": before, "output": output, "code": second.returncode}


@pytest.fixture
def experiment(outcome):
    return load_experiment(outcome["folder"] / "sweep.yaml")


@pytest.fixture
def trials(outcome):
    return {row["trial_id"]: row for row in outcome["store"].trials("sweep").to_pylist()}


@pytest.fixture
def checkpoints(outcome, trials):
    """Tune's own checkpoints: (trial, images shown) to the file's path. A trial keeps its seed, and is known by it."""
    found, of_seed = {}, {row["seed"]: trial_id for trial_id, row in trials.items()}
    assert len(of_seed) == 4
    for path in (outcome["folder"] / "runs" / "sweep").glob("tune-*/Slot_*/checkpoint_*/checkpoint.pt"):
        saved = read_checkpoint(path)
        found[of_seed[saved["recipe"]["seed"]], saved["images_shown"]] = path
    return found


def records(row):
    return [json.loads(text) for text in row["lineage"] or ()]


def test_all_members_train_to_the_end(outcome, trials):
    assert outcome["code"] == 0, outcome["output"]
    assert "ENDED 4 FAILED 0" in outcome["output"], outcome["output"]
    assert {row["status"] for row in trials.values()} == {"completed"}
    assert len(trials) == 4


def test_one_member_takes_over_in_each_round_and_the_restart_forgets_none(outcome, trials):
    taken = sorted(record["kimg"] for row in trials.values() for record in records(row))
    assert taken == pytest.approx([ROUND, 2 * ROUND])
    for trial_id, lineage in outcome["before"].items():
        assert (trials[trial_id]["lineage"] or [])[: len(lineage or [])] == (lineage or [])


def test_a_member_keeps_its_id_and_its_seed_and_takes_the_structure(experiment, trials):
    for trial_id, row in trials.items():
        first = json.loads(row["recipe_json"])
        assert experiment.fixed(experiment.params_of(first)).trial_id("sweep") == trial_id
        for record in records(row):
            now = experiment.fixed(record["params"])
            assert now.seed == row["seed"]
            assert record["from"] in trials
            assert record["from"] != trial_id
            assert record["changed"]
            for name, (old, new) in record["changed"].items():
                assert new == record["params"][name]
                assert old != new


def test_curves_and_evaluations_have_neither_gap_nor_repetition(outcome, trials):
    for trial_id in trials:
        scored = [row["kimg"] for row in outcome["store"].evaluations("sweep", trial_id=trial_id).to_pylist()]
        assert scored == pytest.approx([ROUND * i for i in (1, 2, 3)])
        points = [row["kimg"] for row in outcome["store"].curves("sweep", trial_id=trial_id).to_pylist()]
        assert points == pytest.approx([0.008 * i for i in range(1, 25)])


def test_a_checkpoint_holds_the_newest_recipe_and_the_whole_lineage(outcome, experiment, trials):
    for trial_id, row in trials.items():
        saved = read_checkpoint(outcome["folder"] / "runs/sweep/trials" / trial_id / "checkpoint.pt")
        assert tuple(saved["lineage"]) == tuple(row["lineage"] or ())
        params = records(row)[-1]["params"] if row["lineage"] else experiment.params_of(json.loads(row["recipe_json"]))
        assert saved["recipe"] == experiment.fixed(params).model_dump(mode="json")
        assert not (outcome["folder"] / "runs/sweep/trials" / trial_id / TAKEN).exists()


def test_what_tune_keeps_and_the_lineage_say_bit_for_bit_what_was_trained(
    outcome, experiment, trials, checkpoints, tmp_path
):
    """From the donor's Tune checkpoint and the row's lineage alone, the member's next checkpoint follows."""
    from tests.cluster.driver import add_tiny_protocol

    add_tiny_protocol()
    torch.set_num_threads(1)
    proven = 0
    for trial_id, row in trials.items():
        for record in records(row):
            here, after = round(record["kimg"] * 1000), round((record["kimg"] + ROUND) * 1000)
            donor, expected = checkpoints.get((record["from"], here)), checkpoints.get((trial_id, after))
            if donor and expected:
                assert_same_state(train_on(experiment, row, record, donor, tmp_path / str(proven)), expected)
                proven += 1
    assert proven >= 1, sorted(checkpoints)


def train_on(experiment, row, record, donor, folder):
    """The member's checkpoint one round after it took over."""
    exploit = Exploit(
        record["kimg"], record["from"], {k: tuple(v) for k, v in record["changed"].items()}, record["params"]
    )
    member = Member(experiment.fixed(record["params"]), ROUND, round(record["kimg"] / ROUND), exploit)
    first = experiment.fixed(experiment.params_of(json.loads(row["recipe_json"])))
    job = TrialJob(first, "sweep", folder / "runs", str(folder / "store"), member=member)
    job.folder.mkdir(parents=True)
    shutil.copy(donor, job.folder / TAKEN)
    run_trial(job, World(0, 1, torch.device("cpu")), lambda report: False)
    return job.folder / "checkpoint.pt"


def assert_same_state(path: Path, expected: Path):
    ours, theirs = read_checkpoint(path), read_checkpoint(expected)
    assert ours["images_shown"] == theirs["images_shown"]
    for part in ("generator", "discriminator", "ema"):
        for name, value in theirs[part].items():
            assert torch.equal(ours[part][name], value), (part, name)
    for part in ("optimizer_g", "optimizer_d"):
        assert ours[part]["param_groups"] == theirs[part]["param_groups"]
        for index, state in theirs[part]["state"].items():
            assert all(torch.equal(ours[part]["state"][index][name], value) for name, value in state.items())


def test_the_table_marks_members_that_took_over(outcome, trials):
    board = leaderboard(outcome["store"], "sweep", "tiny")
    assert {e.trial_id: e.takeovers for e in board.entries} == {i: len(records(row)) for i, row in trials.items()}
