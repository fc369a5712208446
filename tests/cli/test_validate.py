"""`ganray validate`, `ganray schema` and the refusals of `ganray train` and `ganray sweep`, as a user types them."""

import json

import pytest

TEXT = """\
preset: dcgan
data: {source: sample:hubble, resolution: 64}
objective: {loss: {choice: [{name: hinge}, {name: minimax}]}}
evaluation: {protocols: [fd_lite0_1k_train]}
search: {trials: 5}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text(TEXT)
    return path


def test_validate_prints_what_would_run(ganray, file):
    code, out, err = ganray("validate", file)
    assert (code, err) == (0, "")
    assert out.startswith(
        f"experiment  quick ({file})\nspace       2 combination(s) of choices\nsearch      5 trial(s)"
    )
    for word in (
        "\nbudget      200 kimg",
        "\nslots       ",
        "\nan example recipe (hash ",
        "\n  generator: {name: dcgan",
    ):
        assert word in out


def test_validate_with_set_and_seed(ganray, file):
    code, out, _ = ganray("validate", file, "--set", "objective.loss={name: hinge}", "--set", "budget.kimg=3")
    assert code == 0
    assert "space       one recipe" in out
    assert "budget      3 kimg" in out
    losses = {"hinge" in ganray("validate", file, "--seed", seed)[1] for seed in range(6)}
    assert losses == {True, False}


def test_validate_says_where_results_go(ganray, file, monkeypatch):
    assert "results     runs/store\n" in ganray("validate", file)[1]
    monkeypatch.setenv("GANRAY_STORE", "s3://bucket/here")
    assert "results     s3://bucket/here\n" in ganray("validate", file)[1]
    assert "results     mine\n" in ganray("validate", file, "--set", "store=mine")[1]


@pytest.mark.parametrize(
    "options",
    [
        "[fd_lite0_1k_train], [fd_lite0_1k_train, fid_5k_trian]",
        "[fd_lite0_1k_train, fid_5k_trian], [fd_lite0_1k_train]",
    ],
)
def test_validate_refuses_an_unknown_protocol_in_any_option(ganray, file, options):
    code, _, err = ganray("validate", file, "--set", f"evaluation.protocols={{choice: [{options}]}}")
    assert code == 2
    assert "there is no protocol 'fid_5k_trian'; did you mean fid_5k_train" in err


def test_every_verb_names_a_file_that_is_not_there(ganray, tmp_path):
    for verb in ("validate", "train", "sweep"):
        code, _, err = ganray(verb, tmp_path / "no.yaml")
        assert code == 2
        assert "no.yaml: no such experiment file" in err


@pytest.mark.parametrize("local", [["--local"], []])
def test_train_refuses_a_search_and_says_how_to_fix_it(ganray, file, local):
    code, out, err = ganray("train", file, *local)
    assert (code, out) == (2, "")
    assert f"{file}:3: this command trains one recipe, and the file leaves open: objective.loss" in err
    assert """--set 'objective.loss={"name": "hinge"}'""" in err
    assert len(err.splitlines()) == 1


def test_resume_and_fresh_exclude_each_other(ganray, file):
    for verb in ("train", "sweep"):
        code, _, err = ganray(verb, file, "--resume", "--fresh")
        assert code == 2
        assert "give one of them" in err


def test_sweep_refuses_a_wrong_time(ganray, file):
    code, _, err = ganray("sweep", file, "--time", "soon")
    assert code == 2
    assert "'soon' is no duration" in err


def test_schema_to_the_terminal_and_to_a_file(ganray, tmp_path):
    code, out, _ = ganray("schema")
    assert code == 0
    assert json.loads(out)["title"] == "GANRay experiment file"
    code, said, _ = ganray("schema", "-o", tmp_path / "s.json")
    assert (code, said) == (0, f"wrote {tmp_path / 's.json'}\n")
    assert (tmp_path / "s.json").read_text() == out
