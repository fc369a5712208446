"""The JSON schema accepts what the loader accepts and refuses what an editor should underline."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from ganray.recipe.json_schema import DRAFT, experiment_schema
from ganray.recipe.presets import PRESETS, load_preset
from ganray.recipe.source import read_yaml

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").rglob("*.y*ml"))


@pytest.fixture(scope="module")
def validator():
    schema = experiment_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


GOOD = """\
preset: fastgan
name: demo
data: {source: x, resolution: {choice: [64, 128]}}
generator: {width: {int: [8, 64]}}
discriminator:
  choice:
  - {name: fastgan, decode: {choice: [null, {distance: {choice: [l1, perceptual]}}]}}
  - choice:
    - {name: dcgan, norm: {choice: [none, instance]}}
    - {name: dcgan, spectral_norm: {choice: [true, false]}}
objective:
  loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}
  penalties: [{choice: [null, {name: r1, gamma: {log_uniform: [0.1, 10]}}]}]
tricks:
- {choice: [null, {name: diffaugment, policy: [{choice: [color, cutout]}, translation]}]}
- {name: ema, decay: {choice: [0.99, 0.999]}}
optimizers: {choice: [{}, {generator: {lr: {log_uniform: [1.0e-5, 1.0e-3]}}}]}
budget: {kimg: {int: [1, 4]}, batch_size: {choice: [8, 16]}}
evaluation: {protocols: [fid_5k_train, {choice: [null, fd_lite0_1k_train]}]}
seed: {int: [0, 4]}
runtime: {choice: [{device: cpu}]}
search: {trials: 4, scheduler: {name: asha}, start_from: [{seed: 0}]}
resources: {gpus_per_worker: 0.5}
runs: runs
store: null
"""


def messages(validator, text):
    return [error.json_path for error in validator.iter_errors(yaml.safe_load(text))]


def test_it_names_its_draft():
    assert experiment_schema()["$schema"] == DRAFT == "https://json-schema.org/draft/2020-12/schema"


def test_a_file_with_distributions_everywhere(validator):
    assert messages(validator, GOOD) == []


@pytest.mark.parametrize(
    "line",
    [
        "objective: {loss: {name: {choice: [hinge, minimax]}}}",
        "generator: {width: 8}",
        "optimizers: {generator: {lr: 0.1}, discriminator: {name: sgd, momentum: {uniform: [0, 0.9]}}}",
        "optimizers: {generator: {choice: [{lr: 0.1, beta1: 0}, {name: rmsprop, alpha: 0.9}]}}",
        "optimizers: {schedule: {name: linear, final: 0.1}}",
        "optimizers: {schedule: {final: {choice: [0, 0.1]}}}",
        "optimizers: {schedule: {choice: [null, {name: {choice: [linear, cosine]}, warmup_kimg: 1}]}}",
        "objective: {conditioning: {choice: [null, {name: projection}, {name: acgan, weight: 0.5}]}}",
        "initial: {checkpoint: runs/a.pt, discriminator: false}",
    ],
)
def test_other_good_lines(validator, line):
    assert messages(validator, line) == []


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(validator, preset):
    assert not list(validator.iter_errors(load_preset(preset)))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_experiments(validator, path):
    assert not list(validator.iter_errors(read_yaml(path).tree))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("bugdet: {kimg: 1}", "$"),
        ("preset: fastgam", "$.preset"),
        ("budget: {kimgs: 1}", "$.budget"),
        ("budget: {kimg: many}", "$.budget"),
        ("budget: {kimg: {uniform: [1]}}", "$.budget"),
        ("budget: {kimg: {uniform: [1, 2, 3]}}", "$.budget"),
        ("budget: {kimg: {choice: []}}", "$.budget"),
        ("budget: {kimg: {choice: [1, many]}}", "$.budget"),
        ("budget: {kimg: {choice: [1], default: 1}}", "$.budget"),
        ("seed: {uniform: [0, 1]}", "$.seed"),
        ("optimizers: {generator: {name: sdg}}", "$.optimizers"),
        ("optimizers: {generator: {name: sgd, beta1: 0.5}}", "$.optimizers"),
        ("optimizers: {generator: {beta_1: 0.5}}", "$.optimizers"),
        ("optimizers: {generator: sgd}", "$.optimizers"),
        ("optimizers: {schedule: {name: linear, finale: 0.1}}", "$.optimizers"),
        ("objective: {conditioning: {name: projection, weight: 1}}", "$.objective"),
        ("data: {fit: {int: [0, 1]}}", "$.data"),
        ("data: {resolution: 100}", "$.data"),
        ("generator: {name: dcgam}", "$.generator"),
        ("generator: {name: dcgan, skip: true}", "$.generator"),
        ("generator: {choice: [{name: dcgan}, {name: dcgan, skip: true}]}", "$.generator"),
        ("tricks: [{decay: 0.9}]", "$.tricks"),
        ("tricks: [{choice: [null, {name: ema, decoy: 0.9}]}]", "$.tricks"),
        ("tricks: {name: ema}", "$.tricks"),
        ("search: {trails: 3}", "$.search"),
        ("search: {trials: {int: [1, 3]}}", "$.search.trials"),
        ("resources: {slots: 0}", "$.resources.slots"),
    ],
)  # fmt: skip
def test_bad_lines_are_underlined(validator, line, path):
    found = messages(validator, line)
    assert any(place.startswith(path) for place in found), found


def test_every_place_explains_itself_in_an_editor():
    schema = experiment_schema()
    assert schema["properties"]["preset"]["enum"] == list(PRESETS)
    assert "samples are drawn from it" in schema["$defs"]["Ema"]["description"]
    assert schema["$defs"]["Budget"]["properties"]["kimg"]["default"] == 400.0
