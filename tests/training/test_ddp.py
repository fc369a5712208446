"""Two workers with half a batch each do what one worker does with the whole batch, and stay alike."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ganray.training.checkpoint import read_checkpoint, restore_checkpoint
from ganray.training.distributed import World
from ganray.training.state import build_state

SCRIPT = Path(__file__).with_name("ddp_worker.py")
OBJECTIVES = (
    "minimax", "non_saturating", "hinge", "lsgan", "wasserstein", "rpgan", "ragan", "ralsgan", "rahinge",
    "dual_contrastive", "ebgan", "ragan-r1", "hinge-r1-gp", "lecam-orthogonal", "feature-matching",
)  # fmt: skip
GAMES = ("fastgan", "batch-norm", "stateful", "several-steps", "pretrained")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where one pair of processes wrote all that they found."""
    folder = tmp_path_factory.mktemp("ddp")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(rank), folder], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        errors = [worker.communicate(timeout=450)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_equal_those_of_one_worker(found, objective):
    differences = found["gradients"][objective]
    assert {name[0] for name in differences if "." in name} == {"d", "g"}
    assert {name: value for name, value in differences.items() if not value <= 1e-5} == {}


def test_every_adversarial_loss_is_compared(found):
    from ganray.objectives.adversarial import ADVERSARIAL

    assert ADVERSARIAL.keys() <= found["gradients"].keys() == set(OBJECTIVES)


@pytest.mark.parametrize("name", GAMES)
def test_networks_buffers_ema_and_optimizers_stay_the_same(found, name):
    state = found["consistency"][name]
    assert state["tensors"] > 60
    assert state["unequal"] == []
    assert state["rngs_differ"]  # the workers augment different images


@pytest.mark.parametrize("name", GAMES)
def test_two_workers_resume_exactly(found, name):
    assert found["consistency"][name]["exact"] == [True, True]


@pytest.mark.parametrize("name", ["fastgan", "batch-norm"])
def test_one_worker_goes_on_from_twos_checkpoint(found, folder, name):
    path = folder / f"{name}.pt"
    saved = read_checkpoint(path)
    from ganray.recipe.recipe import Recipe

    state = build_state(Recipe.model_validate(saved["recipe"]), 12, World())
    restore_checkpoint(state, path)
    assert (state.step, state.images_shown, len(saved["rngs"])) == (2, 8, 2)
    assert all(torch.equal(v, saved["generator"][n]) for n, v in state.generator.state_dict().items())
    # The unused small output of FastGAN has moments in one world as in two.
    assert found["consistency"][name]["adam_g"] == len(list(state.generator.parameters()))


def test_what_fails_on_one_worker_ends_all_of_them(found):
    failures = found["failures"]
    assert failures["on_main"] == ["StoreError: disk full"] * 2
    assert failures["in_turn"] == ["RuntimeError: KeyError: 'only the second'", "KeyError: 'only the second'"]
    assert failures["value"] == [40, 40]


def test_a_loss_that_is_not_finite_on_one_worker_ends_both_with_one_diagnosis(found):
    first, second = found["failures"]["poisoned"]
    assert first == second
    assert first.startswith("Unhealthy: non-finite: ")
    assert "at 0.008 kimg" in first


def test_a_pause_asked_for_on_one_worker_pauses_both(found):
    assert found["failures"]["pause_of_one"] == ["Ending.PAUSED"] * 2
