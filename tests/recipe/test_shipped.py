"""What we ship is valid: every preset once it has data, and every file under `experiments/`."""

from pathlib import Path

import pytest

from ganray.evaluation.protocols import get_protocol
from ganray.recipe.experiment import load_experiment
from ganray.recipe.presets import PRESETS, load_preset
from ganray.recipe.recipe import Recipe

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.y*ml"))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("resolution", [64, 256])
def test_a_preset_needs_nothing_but_data(load, preset, resolution):
    experiment = load(f"preset: {preset}\ndata: {{source: my_images/, resolution: {resolution}}}\n")
    assert not experiment.is_search
    assert experiment.the_recipe().data.source == "my_images/"


def test_the_list_of_presets_is_the_folder():
    assert sorted(PRESETS) == sorted(p.stem for p in (ROOT / "ganray" / "recipe" / "presets").glob("*.yaml"))


def test_the_fastgan_presets_are_the_rows_of_the_ablation_and_differ_in_nothing_else():
    rows, rests = {}, []
    for name in ("fastgan", "fastgan-skip", "fastgan-decode", "fastgan-baseline"):
        recipe = Recipe.model_validate({**load_preset(name), "data": {"source": "x"}})
        rows[name] = (recipe.generator.skip, recipe.discriminator.decode is not None)
        rests.append(recipe.model_dump(exclude={"generator": {"skip"}, "discriminator": {"decode"}}))
    assert list(rows.values()) == [(True, True), (True, False), (False, True), (False, False)]
    assert all(rest == rests[0] for rest in rests)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_an_experiment_file_is_valid(path):
    experiment = load_experiment(path)
    assert experiment.metric in experiment.protocols
    for protocol in experiment.protocols:
        get_protocol(protocol)
