"""What an experiment file may say under `loggers`."""

import pytest

from ganray.errors import RecipeError
from ganray.recipe.experiment import load_experiment
from ganray.recipe.loggers import MLflow, TensorBoard

FILE = """
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {name: dcgan, width: 4}
budget: {kimg: 1, batch_size: 8}
evaluation: {protocols: [fd_lite0_200_train], every_kimg: 1}
"""


@pytest.fixture
def loggers(tmp_path):
    file = tmp_path / "e.yaml"
    file.write_text(FILE)

    def load(text):
        return load_experiment(file, [f"loggers={text}"] if text else []).settings.loggers

    return load


def test_there_are_none_unless_the_file_asks_for_them(loggers):
    assert loggers("") == ()


def test_each_is_known_by_its_name(loggers):
    found = loggers("[{name: tensorboard}, {name: mlflow, tracking_uri: 'http://host:5000'}]")
    assert found == (TensorBoard(name="tensorboard"), MLflow(name="mlflow", tracking_uri="http://host:5000"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{name: wandbb}]", "did you mean 'wandb'"),
        ("[{name: wandb, api_key: abc}]", "unknown key 'api_key'"),
        ("[{name: aim}, {name: aim}]", "aim is there more than once"),
    ],
)
def test_what_makes_no_sense_is_refused(loggers, text, said):
    with pytest.raises(RecipeError, match=said):
        loggers(text)


@pytest.mark.parametrize("entry", ["name: mlflow, tracking_uri", "name: aim, repo"])
def test_a_secret_in_a_uri_is_refused_and_not_repeated(loggers, entry):
    with pytest.raises(RecipeError, match="holds credentials") as refused:
        loggers(f"[{{{entry}: 'http://me:hunter2@host'}}]")
    assert "hunter2" not in str(refused.value)


def test_loggers_do_not_change_what_the_experiment_is(tmp_path):
    file = tmp_path / "e.yaml"
    file.write_text(FILE)
    plain, logged = load_experiment(file), load_experiment(file, ["loggers=[{name: tensorboard}]"])
    assert plain.definition_hash == logged.definition_hash
    assert plain.the_recipe().hash == logged.the_recipe().hash
