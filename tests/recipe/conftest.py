"""Experiment files written and read in one line."""

from pathlib import Path
from textwrap import dedent

import pytest

from ganray.errors import RecipeError
from ganray.recipe.experiment import Experiment, load_experiment

MINIMAL = """\
# The least that is a recipe.
data: {source: sample:hubble, resolution: 64}
generator: {name: dcgan}
discriminator: {name: dcgan}
"""


@pytest.fixture
def write(tmp_path):
    """Write text to `exp.yaml`; `...` on a line of its own stands for a minimal recipe of four lines."""

    def write(text: str) -> Path:
        path = tmp_path / "exp.yaml"
        path.write_text(dedent(text).replace("...\n", MINIMAL), encoding="utf-8")
        return path

    return write


@pytest.fixture
def load(write):
    """Load an experiment file of this text, with these `--set`."""

    def load(text: str, *overrides: str) -> Experiment:
        return load_experiment(write(text), overrides)

    return load


@pytest.fixture
def refusal(load):
    """The message that refuses such a file, with the folder taken out of its places."""

    def refusal(text: str, *overrides: str) -> str:
        with pytest.raises(RecipeError) as caught:
            load(text, *overrides)
        return "\n".join(line[line.find("exp.yaml") :] if "exp.yaml" in line else line
                         for line in str(caught.value).splitlines())  # fmt: skip

    return refusal
