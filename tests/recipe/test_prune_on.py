"""`search.prune_on`: names of diagnoses, and nothing else."""

import pytest

from ganray.errors import RecipeError
from ganray.recipe.experiment import load_experiment

FILE = """
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: {int: [4, 8]}}
discriminator: {name: dcgan, width: 4}
"""


@pytest.fixture
def load(tmp_path):
    def read(search):
        path = tmp_path / "file.yaml"
        path.write_text(f"{FILE}search: {search}\n")
        return load_experiment(path).settings.search

    return read


def test_no_diagnosis_ends_a_trial_unless_the_file_says_so(load):
    assert load("{trials: 3}").prune_on == ()
    assert load("{prune_on: [mode-collapse, gradient-explosion]}").prune_on == ("mode-collapse", "gradient-explosion")


def test_an_unknown_name_is_answered_with_the_nearest(load):
    with pytest.raises(RecipeError, match="'mode-colapse' is not allowed; did you mean 'mode-collapse'"):
        load("{prune_on: [mode-colapse]}")
    with pytest.raises(RecipeError, match=r"search\.prune_on\[0\]"):
        load("{prune_on: [non-finite]}")
