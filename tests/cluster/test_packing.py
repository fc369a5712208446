"""How many workers share a GPU: by hand, and with a GPU that is made up (there is none on the test machines)."""

import pytest

from ganray.cluster import packing
from ganray.cluster.packing import Measured, auto_gpus, fraction, keep_to_share, measure_memory, measure_recipes
from ganray.recipe.experiment import load_experiment
from ganray.recipe.recipe import Recipe

GIB = 2**30
FILE = """
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: {choice: [8, 64, 16]}, latent_dim: 8}
discriminator: {choice: [{name: dcgan, width: 8}, {name: patch, layers: 2, width: {int: [4, 40]}}]}
objective: {penalties: [{choice: [null, {name: r1, gamma: 1.0}]}]}
optimizers: {generator: {lr: {log_uniform: [1.0e-4, 1.0e-3]}}}
evaluation: {protocols: [fd_lite0_1k_train]}
seed: {choice: [0, 1]}
"""


@pytest.fixture
def experiment(tmp_path):
    def make(text=FILE):
        path = tmp_path / "packed.yaml"
        path.write_text(text)
        return load_experiment(path)

    return make


@pytest.mark.parametrize(
    ("peak_gib", "total_gib", "share"),
    [
        (30.0, 80.0, 0.5),  # 36.6 GiB each: two
        (33.0, 80.0, 1.0),  # 40.2 GiB: one
        (20.0, 80.0, 0.3333),  # 24.6: three
        (1.0, 16.0, 0.125),  # 1.8: eight
        (0.1, 80.0, 0.125),  # 0.72: a hundred would fit; eight is the most
        (14.0, 16.0, 1.0),  # 17.4: more than there is
        (7.0, 16.0, 1.0),  # 9.0: one
    ],
)
def test_the_share_is_what_fits_with_a_margin(peak_gib, total_gib, share):
    assert fraction(int(peak_gib * GIB), int(total_gib * GIB)) == share


def test_the_hungriest_recipes_are_tried_out(experiment):
    recipes = measure_recipes(experiment())
    first = recipes[0]
    assert first.generator.width == 64
    assert first.discriminator.width >= 38, "of 4 to 40"
    assert [penalty.name for penalty in first.objective.penalties] == ["r1"]
    assert len(recipes) == 3
    kinds = [(r.generator, r.discriminator, r.objective) for r in recipes]
    assert len({str(kind) for kind in kinds}) == 3, "seeds and rates make no other kind"


def test_a_design_is_measured_by_its_own_recipes(experiment):
    text = FILE.replace("width: {int: [4, 40]}", "width: 16").replace("{log_uniform: [1.0e-4, 1.0e-3]}", "1.0e-4")
    recipes = measure_recipes(experiment(text + "search: {sampler: one_at_a_time}\n"))
    # The baseline has the first option of each choice; no recipe has both the widest G and the penalty.
    assert recipes[0].generator.width == 64
    assert recipes[0].objective.penalties == ()


def test_auto_takes_the_share_of_the_hungriest(experiment, monkeypatch):
    asked = []

    def measured(recipe, workers, weights):
        asked.append((recipe.generator.width, workers))
        return Measured((20 if recipe.generator.width == 64 else 1) * GIB, 80 * GIB)

    monkeypatch.setattr(packing, "_measure_on_gpu", measured)
    text = FILE + "resources: {workers_per_trial: 2}\n"
    assert auto_gpus(experiment(text), {"CPU": 8.0, "GPU": 2.0}) == 0.3333
    assert asked[0] == (64, 2)
    assert len(asked) == packing.PROBES


def test_no_gpu_no_share(experiment, monkeypatch):
    monkeypatch.setattr(packing, "_measure_on_gpu", lambda *_: pytest.fail("nothing is to be measured"))
    assert auto_gpus(experiment(), {"CPU": 8.0}) == 0.0
    assert auto_gpus(experiment(FILE + "runtime: {device: cpu}\n"), {"GPU": 4.0}) == 0.0


def test_a_recipe_that_does_not_fit_has_a_gpu_of_its_own(experiment, monkeypatch, caplog):
    def measured(*_):
        raise RuntimeError("CUDA out of memory. Tried to allocate 90 GiB")

    monkeypatch.setattr(packing, "_measure_on_gpu", measured)
    assert auto_gpus(experiment(), {"GPU": 1.0}) == 1.0
    assert "takes a whole GPU, as a trial run failed: CUDA out of memory" in caplog.text


def test_measuring_trains_and_samples(monkeypatch):
    """On the CPU, where the peak is the process's own: that it runs, as one of two workers, and past pre-training."""
    from ganray.training import step

    seen = []
    game_step = step.game_step
    monkeypatch.setattr(step, "game_step", lambda s, g, b: seen.append((len(b), s.step)) or game_step(s, g, b))
    recipe = Recipe.model_validate(
        {
            "data": {"source": "sample:hubble", "resolution": 32},
            "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
            "discriminator": {"name": "dcgan", "width": 4},
            "tricks": [{"name": "pretrain", "kimg": 1.0}, {"name": "discriminator_steps", "n": 4}],
            "budget": {"kimg": 10, "batch_size": 8},
            "evaluation": {"protocols": ["fd_lite0_200_train"]},
            "runtime": {"device": "cpu"},
        }
    )
    found = measure_memory(recipe, workers=2)
    assert 0 < found.peak_bytes < found.total_bytes
    assert seen == [(4, step) for step in range(4)]


def test_a_worker_keeps_to_its_share(monkeypatch):
    import torch

    limits = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("Card", (), {"total_memory": 60 * GIB}))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)
    for share in (1.0, 0.0, 2.0):
        keep_to_share(share)
    assert limits == []
    keep_to_share(0.5)
    assert limits == [pytest.approx(0.49)]
