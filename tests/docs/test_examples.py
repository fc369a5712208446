"""The YAML in the documentation is valid: each block, completed with data and two small networks."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from ganray.recipe.experiment import load_experiment
from ganray.recipe.settings import Prunable

ROOT = Path(__file__).parents[2]
PLAIN = {"data": {"source": "x", "resolution": 64}, "generator": {"name": "dcgan"}, "discriminator": {"name": "dcgan"}}
BLOCKS = [
    (page, number, block)
    for page in ("README.md", "docs/experiments.md")
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL))
]


@pytest.mark.parametrize(("page", "number", "block"), BLOCKS, ids=lambda value: str(value)[:20].split("\n")[0])
def test_an_example_is_valid(page, number, block, tmp_path):
    given = yaml.safe_load(block)
    missing = {key: value for key, value in PLAIN.items() if key not in given and "preset" not in given}
    file = tmp_path / "example.yaml"
    file.write_text(f"{yaml.safe_dump(missing) if missing else ''}{block}")
    load_experiment(file)


def test_the_page_names_every_finding_that_can_end_a_trial():
    page = (ROOT / "docs" / "experiments.md").read_text()
    assert {name for name in get_args(Prunable) if f"`{name}`" not in page} == set()


def test_the_numbers_of_trials_on_the_page(tmp_path):
    (block,) = (
        block for _, _, block in BLOCKS if "5 recipes, 15 trials; a grid would have 12 recipes, 36 trials" in block
    )
    file = tmp_path / "example.yaml"
    file.write_text(f"{yaml.safe_dump(PLAIN)}{block}")
    assert load_experiment(file).trials == 15
    assert load_experiment(file, ["search.sampler=grid"]).trials == 36
