"""docs/recipes.md is what its generator makes, and the generator knows what every measured switch is about."""

import importlib.util
import json
from pathlib import Path

import pytest

from ganray.recipe.book import components
from ganray.report.effects import BASELINE, change_of
from ganray.report.recipes import flatten, not_default

ROOT = Path(__file__).parents[2]
KNOWN = {(component.place, component.name) for component in components()}


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_recipes", ROOT / "docs" / "build_recipes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def effect(change, difference, low, high, failed=0, p_holm=None):
    seeds = [] if difference is None else [0, 1, 2]
    return {
        "change": change, "seeds": seeds, "value": 100.0, "difference": difference, "low": low, "high": high,
        "p": None, "p_holm": p_holm, "speed": 0.5, "failed": failed, "diagnoses": [],
    }  # fmt: skip


@pytest.fixture
def measured(tmp_path):
    hacks = [
        effect("+ replay (capacity 256, share 0.5)", -12.0, -20.0, -4.0, p_holm=0.02),
        effect("D.norm batch", 8.0, -3.0, 19.0, failed=1),
        effect("+ top_k (share 0.5, until 0.5)", None, None, None, failed=3),
        effect("- diffaugment, + ada (kimg 12)", None, None, None),
    ]
    path = tmp_path / "switches.json"
    whole = {"experiment": "hacks", "protocol": "fd_lite0_200_train", "show": "final", "notes": ["two cores"]}
    path.write_text(json.dumps({"hacks": {**whole, "baseline": effect(BASELINE, 0.0, 90, 110), "effects": hacks}}))
    return path


def test_the_page_has_not_drifted(build):
    assert build.PAGE.read_text() == build.page(), "docs/recipes.md is out of date: run `make docs`"


def test_without_results_it_says_so(build, tmp_path):
    page = build.page(tmp_path / "none.json")
    assert "## Measured effects\n\nNot measured yet. To measure:\n" in page
    assert "measured effect |" not in page
    assert "they have not been run" in page


def test_results_come_as_tables_and_beside_their_components(build, measured):
    lines = build.page(measured).splitlines()
    replay, dcgan, top_k = (
        next(line for line in lines if line.startswith(f"| [{link})"))
        for link in ("replay](#replay", "dcgan](#dcgan-discriminator", "top_k](#top_k")
    )
    assert replay.endswith("| `+ replay (capacity 256, share 0.5)` -12.0 [-20.0, -4.0] ** (hacks) |")
    assert dcgan.endswith("| `D.norm batch` +8 [-3, +19], 1 failed (hacks) |")
    assert top_k.endswith("| `+ top_k (share 0.5, until 0.5)` no seed completed, 3 failed (hacks) |")
    assert next(line for line in lines if line.startswith("| [ada]")).endswith("not finished (hacks) |")
    section = lines[lines.index("### dcgan discriminator") :]
    assert section[section.index("Measured:") + 2] == "- `D.norm batch` +8 [-3, +19], 1 failed (hacks)"
    assert "- [hacks](../experiments/hacks.yaml): 2 of 57 switches measured, under `fd_lite0_200_train`" in lines
    assert next(line for line in lines if line.startswith("| [lecam]")).endswith("| – |")
    assert "Not measured yet: `losses`, `discriminators`." in lines
    assert "### hacks: each switch against the baseline, the last checkpoint under fd_lite0_200_train" in lines
    assert "- two cores" in lines


def test_many_effects_of_one_component_stand_in_its_section_alone(build, measured, tmp_path):
    found = json.loads(measured.read_text())
    found["hacks"]["effects"] = [effect(f"G.latent {name}", 1.0, -3.0, 5.0) for name in ("a", "b", "c", "d")]
    path = tmp_path / "many.json"
    path.write_text(json.dumps(found))
    lines = build.page(path).splitlines()
    assert next(line for line in lines if line.startswith("| [dcgan](#dcgan-generator)")).endswith(
        "| 4 switches, see below |"
    )
    assert lines.count("- `G.latent d` +1.0 [-3.0, +5.0] (hacks)") == 1


@pytest.mark.parametrize("name", ["hacks", "losses", "discriminators"])
def test_every_switch_of_the_experiments_is_about_some_component(build, name):
    experiment = build.load(name)
    baseline = build.baseline(experiment)
    origin = flatten(baseline.model_dump_json(), "baseline")
    for params in experiment.design[1:]:
        if params["seed"] == 0:
            other = experiment.fixed(params).model_dump_json()
            change = change_of(origin, flatten(other, "other"), not_default(other))
            found = build.switched(change, baseline)
            assert found, change
            assert found <= KNOWN, change


def test_the_components_of_a_change(build):
    baseline = build.baseline(build.load("hacks"))
    adam = ("optimizers.generator and optimizers.discriminator", "adam")
    for change, keys in {
        "- diffaugment, + ada (target 0.6, pipeline blit,geometry)": {("tricks", "diffaugment"), ("tricks", "ada")},
        "diffaugment.policy translation,cutout": {("tricks", "diffaugment")},
        "loss wasserstein, + wgan_gp (weight 10, every 1)": {
            ("objective.loss", "wasserstein"), ("objective.penalties", "wgan_gp")},
        "D patch": {("discriminator", "patch")},
        "D patch (layers 2)": {("discriminator", "patch")},
        "G.norm pixel": {("generator", "dcgan")},
        "optimizers.D.lr 0.004": {adam},
        "optimizers.D sgd": {(adam[0], "sgd")},
        "optimizers.schedule cosine": {("optimizers.schedule", "cosine")},
        "budget.kimg 4": set(),
    }.items():  # fmt: skip
        assert build.switched(change, baseline) == keys
