"""A member of a population takes over another's checkpoint: what is the other's, what stays its own, what is redone."""

import json
import random
import shutil
from dataclasses import replace

import pytest
import torch

from ganray.recipe.experiment import load_experiment
from ganray.recipe.population import explore
from ganray.recipe.recipe import Recipe
from ganray.recipe.schedulers import Pbt
from ganray.store.store import Store
from ganray.training.checkpoint import previous_of, read_checkpoint
from ganray.training.distributed import World
from ganray.training.state import build_state
from ganray.trial.job import TAKEN, TrialJob
from ganray.trial.member import Exploit, Member
from ganray.trial.run import run_trial

ALONE = World(0, 1, torch.device("cpu"))
ROUND = 0.032


def recipe_of(photos, seed, lr=2e-3, beta1=0.5, width=4):
    return Recipe.model_validate(
        {
            "data": {"source": str(photos), "resolution": 32},
            "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
            "discriminator": {"name": "dcgan", "width": width},
            "objective": {"loss": {"name": "hinge"}},
            "tricks": [{"name": "ema", "decay": 0.9}],
            "optimizers": {"generator": {"lr": lr, "beta1": beta1}},
            "budget": {"kimg": 3 * ROUND, "batch_size": 8},
            "evaluation": {"protocols": ["fd_tiny"], "every_kimg": ROUND},
            "seed": seed,
            "runtime": {"device": "cpu"},
        }
    )


@pytest.fixture
def population(tmp_path, tiny, photos):
    """A donor of another structure, and a member, both one round far; the take-over lies ready."""
    first, theirs = recipe_of(photos, 1), recipe_of(photos, 2, width=8)
    now = recipe_of(photos, 1, lr=1e-3, beta1=0.3, width=8)
    donor = TrialJob(theirs, "pbt", tmp_path / "runs", str(tmp_path / "store"), member=Member(theirs, ROUND))
    run_trial(donor, ALONE, lambda report: False)
    begun = TrialJob(first, "pbt", tmp_path / "runs", str(tmp_path / "store"), member=Member(first, ROUND))
    run_trial(begun, ALONE, lambda report: False)
    shutil.copy(donor.files.checkpoint, begun.folder / TAKEN)
    exploit = Exploit(ROUND, donor.trial_id, {"lr": (2e-3, 1e-3)}, {"lr": 1e-3})
    member = Member(now, ROUND, 1, exploit)
    return donor, begun, TrialJob(first, "pbt", begun.runs, begun.store, member=member)


@pytest.fixture
def stopped(population):
    """The checkpoint just after the take-over, before a step is made."""
    donor, begun, job = population
    own = read_checkpoint(begun.files.checkpoint)
    run_trial(job, ALONE, lambda report: False, pause=lambda: True)
    return donor, own, job, read_checkpoint(previous_of(job.files.checkpoint))


def test_weights_and_moments_are_the_others_bit_for_bit(stopped):
    donor, _, _, saved = stopped
    theirs = read_checkpoint(donor.files.checkpoint)
    for part in ("generator", "discriminator", "ema"):
        assert saved[part].keys() == theirs[part].keys()
        assert all(torch.equal(saved[part][name], value) for name, value in theirs[part].items())
    for part in ("optimizer_g", "optimizer_d"):
        for index, state in theirs[part]["state"].items():
            assert all(torch.equal(saved[part]["state"][index][name], value) for name, value in state.items())
    assert (saved["step"], saved["images_shown"]) == (theirs["step"], theirs["images_shown"]) == (4, 32)


def test_the_recipe_and_the_rates_are_the_new_ones(stopped):
    _, _, job, saved = stopped
    assert Recipe.model_validate(saved["recipe"]) == job.member.recipe
    (group,) = saved["optimizer_g"]["param_groups"]
    assert (group["lr"], group["betas"]) == (1e-3, (0.3, 0.999))
    after = read_checkpoint(job.files.checkpoint)  # what torch has made of it one step later
    assert after["optimizer_g"]["param_groups"][0]["betas"] == (0.3, 0.999)
    assert after["step"] == 5


def test_seconds_seed_and_lineage_are_its_own(stopped):
    donor, own, job, saved = stopped
    theirs = read_checkpoint(donor.files.checkpoint)
    assert saved["wall_s"] == own["wall_s"] != theirs["wall_s"]
    assert saved["started_at_s"] == own["started_at_s"]
    assert saved["lineage"] == [job.member.exploit.to_json()]
    assert Recipe.model_validate(saved["recipe"]).seed == 1
    assert not (job.folder / TAKEN).exists()


def test_the_row_says_so_and_keeps_what_the_trial_began_with(stopped):
    donor, _, job, _ = stopped
    rows = {row["trial_id"]: row for row in Store(job.store).trials("pbt").to_pylist()}
    assert rows[donor.trial_id]["lineage"] is None
    (record,) = [json.loads(text) for text in rows[job.trial_id]["lineage"]]
    assert record == {"kimg": ROUND, "from": donor.trial_id, "changed": {"lr": [2e-3, 1e-3]}, "params": {"lr": 1e-3}}
    assert Recipe.model_validate_json(rows[job.trial_id]["recipe_json"]) == job.recipe
    assert job.trial_id == job.recipe.trial_id("pbt")


def test_random_numbers_are_neither_the_others_nor_repeated(stopped):
    donor, _, job, saved = stopped
    assert 0 <= saved["reseed"] < 2**31
    after, theirs = read_checkpoint(job.files.checkpoint), read_checkpoint(donor.files.checkpoint)
    assert "reseed" not in after
    assert not torch.equal(after["rngs"][0]["torch"], theirs["rngs"][0]["torch"])


def test_the_same_job_again_takes_over_once(stopped):
    donor, _, job, _ = stopped
    shutil.copy(donor.files.checkpoint, job.folder / TAKEN)
    kimgs = []
    run_trial(job, ALONE, lambda report: bool(kimgs.append(report.kimg)))
    saved = read_checkpoint(job.files.checkpoint)
    assert kimgs == [2 * ROUND]
    assert saved["lineage"] == [job.member.exploit.to_json()]
    assert not (job.folder / TAKEN).exists()


def test_a_job_of_after_a_restart_follows_the_checkpoint_not_the_first_recipe(stopped):
    _, _, job, _ = stopped
    stale = TrialJob(job.recipe, "pbt", job.runs, job.store, member=Member(job.recipe, ROUND, 1))
    outcome = run_trial(stale, ALONE, lambda report: False)
    assert (outcome.status, outcome.kimg) == ("running", 2 * ROUND)
    assert Recipe.model_validate(read_checkpoint(job.files.checkpoint)["recipe"]) == job.member.recipe


def test_another_kimg_than_was_meant_is_not_taken_over(population):
    donor, begun, job = population
    run_trial(donor, ALONE, lambda report: report.kimg < 2 * ROUND)
    shutil.copy(donor.files.checkpoint, job.folder / TAKEN)
    run_trial(job, ALONE, lambda report: False)
    saved = read_checkpoint(begun.files.checkpoint)
    assert saved["lineage"] == []
    assert Recipe.model_validate(saved["recipe"]) == begun.recipe


def test_a_round_that_was_not_judged_is_reported_again_without_training(population):
    _, begun, _ = population
    told = []
    outcome = run_trial(begun, ALONE, lambda report: bool(told.append(report)))
    assert [report.kimg for report in told] == [ROUND]
    assert told[0].metrics
    assert outcome.kimg == ROUND
    judged = TrialJob(begun.recipe, "pbt", begun.runs, begun.store, member=Member(begun.recipe, ROUND, 1))
    told.clear()
    run_trial(judged, ALONE, lambda report: bool(told.append(report)))
    assert [report.kimg for report in told] == [2 * ROUND]


def test_at_a_uri_the_slot_leaves_the_checkpoint_for_workers_on_another_machine(s3_bucket, tiny, photos, tmp_path):
    first, theirs = recipe_of(photos, 1), recipe_of(photos, 2)
    runs = f"s3://{s3_bucket}/runs"
    donor = TrialJob(theirs, "pbt", runs, str(tmp_path / "store"), member=Member(theirs, ROUND))
    begun = TrialJob(first, "pbt", runs, donor.store, member=Member(first, ROUND))
    for job in (donor, begun):
        run_trial(job, ALONE, lambda report: False)
    shutil.copy(donor.files.checkpoint, begun.folder / TAKEN)
    begun.files.runs.send(f"{begun.files.relative}/{TAKEN}")
    shutil.rmtree(begun.folder)  # as on another machine
    exploit = Exploit(ROUND, donor.trial_id, {}, {"lr": 1e-3})
    run_trial(replace(begun, member=Member(recipe_of(photos, 1, lr=1e-3), ROUND, 1, exploit)), ALONE, lambda r: False)
    shutil.rmtree(begun.folder)
    again = replace(begun, member=Member(first, ROUND, 2))
    outcome = run_trial(again, ALONE, lambda report: True)
    saved = read_checkpoint(begun.files.checkpoint)
    assert (outcome.status, saved["lineage"]) == ("completed", [exploit.to_json()])
    assert saved["recipe"]["optimizers"]["generator"]["lr"] == 1e-3
    assert not begun.files.runs.exists(f"{begun.files.relative}/{TAKEN}")


NUMBERS = """
name: numbers
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8, norm: pixel}
discriminator: {name: dcgan, width: 4}
objective:
  loss: {name: lsgan, c: {uniform: [0.8, 1.0]}}
  penalties: [{name: r1, gamma: {uniform: [1, 9]}, every: {int: [1, 9]}}, {name: lecam, weight: {uniform: [1, 9]}}]
  generator_losses: [{name: path_length, decay: {uniform: [0.01, 0.9]}}, {name: l1, weight: {uniform: [1, 9]}}]
  self_supervision: [{name: contrastive, temperature: {uniform: [0.1, 0.9]}}, {name: rotation, weight: 1.0}]
  weight_penalties: [{name: historical_averaging, weight: {uniform: [1, 9]}}]
tricks:
  - {name: ada, target: {uniform: [0.3, 0.9]}, kimg: {uniform: [1, 9]}, interval: {int: [1, 9]}}
  - {name: ema, decay: {uniform: [0.5, 0.9]}}
  - {name: replay, capacity: {int: [8, 64]}, share: {uniform: [0.1, 0.9]}}
  - {name: pretrain, kimg: {uniform: [0.1, 0.2]}, latent_lr: {uniform: [0.1, 0.9]}}
  - {name: skip_discriminator, accuracy: {uniform: [0.6, 0.9]}}
  - {name: clip_gradients, max_norm: {uniform: [1, 9]}}
  - {name: instance_noise, std: {uniform: [0.1, 0.9]}}
optimizers:
  generator: {name: sgd, lr: {log_uniform: [1.0e-4, 1.0e-2]}, momentum: {uniform: [0.1, 0.9]}}
  discriminator: {name: adamw, beta2: {uniform: [0.5, 0.9]}, weight_decay: {uniform: [0.1, 0.9]}}
evaluation: {protocols: [fd_lite0_200_train]}
"""


def test_what_may_change_changes_no_shape(tmp_path):
    """Every number that a member may change, in the components that have state of their own, at once."""
    (tmp_path / "numbers.yaml").write_text(NUMBERS)
    experiment = load_experiment(tmp_path / "numbers.yaml")
    theirs = experiment.params_of(experiment.sample(1))
    pbt = Pbt(name="pbt", every_kimg=1, resample_probability=1)
    changed = explore(experiment.space, theirs, pbt, random.Random(0))
    assert [name for name in theirs if changed[name] == theirs[name]] == ["tricks[2].capacity"]
    donor, member = (build_state(experiment.fixed(params), 12, ALONE) for params in (theirs, changed))
    for part in ("generator", "discriminator", "ema", "extras", "optimizer_g", "optimizer_d"):
        getattr(member, part).load_state_dict(getattr(donor, part).state_dict())
