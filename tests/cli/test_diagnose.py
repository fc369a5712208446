"""`ganray diagnose` as a user types it."""

import json

import pytest
from PIL import Image

from ganray.recipe.experiment import load_experiment
from ganray.recipe.recipe import Recipe
from ganray.store.schema import CurveRow, EvaluationRow, TrialRow
from ganray.store.store import Store
from ganray.training.health import Diagnosis

SICK, WELL = "aaaa11112222", "bbbb11112222"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A trial whose fakes are all alike, and a healthy one."""
    store = Store(tmp_path / "store")
    recipe = Recipe.model_validate(
        {
            "data": {"source": "sample:hubble", "resolution": 32},
            "generator": {"name": "dcgan", "width": 4},
            "discriminator": {"name": "dcgan", "width": 4},
            "budget": {"kimg": 2, "batch_size": 8},
            "evaluation": {"protocols": ["fd_lite0_200_train"], "every_kimg": 1},
            "runtime": {"device": "cpu"},
        }
    )
    collapse = Diagnosis("mode-collapse", "two fakes are 0.08 times as far apart as two reals", 1.0, 2.0)
    for trial_id, diagnoses in ((SICK, (collapse.to_json(),)), (WELL, ())):
        common = {"trial_id": trial_id, "experiment": "demo"}
        store.put_trial(
            TrialRow(
                **common, recipe_json=recipe.model_dump_json(), recipe_hash=recipe.hash, dataset="d",
                dataset_fingerprint="f", n_images=10, resolution=32, generator="dcgan", discriminator="dcgan",
                loss="hinge", budget_kimg=2.0, batch_size=8, status="completed", kimg=2.0, diagnoses=diagnoses,
            )
        )  # fmt: skip
        for kimg in (1.0, 2.0):
            store.put_evaluation(
                EvaluationRow(
                    **common, kimg=kimg, protocol="fd_lite0_200_train", extractor="e", extractor_checksum="c",
                    n_fake=10, n_real=10, frechet=30.0, diversity=0.08,
                )
            )  # fmt: skip
        store.put_curves([CurveRow(**common, kimg=k / 10, loss_d=1.1, loss_g=0.9) for k in range(1, 21)])
    monkeypatch.setenv("GANRAY_STORE", store.uri)
    return store


def test_findings_curves_and_a_snippet_that_is_valid(store, ganray, tmp_path):
    code, out, err = ganray("diagnose", SICK[:4], "-o", tmp_path / "curves.png", "--snippet", tmp_path / "try.yaml")
    assert (code, err) == (0, "")
    assert "mode-collapse  serious, from 1 to 2 kimg" in out
    assert "two fakes are 0.08 times" in out
    with Image.open(tmp_path / "curves.png") as page:
        assert page.format == "PNG"
    assert f"remedies: ganray sweep {tmp_path / 'try.yaml'}" in out.replace("\n", " ")
    code, out, _ = ganray("validate", tmp_path / "try.yaml")
    assert code == 0
    assert f"{SICK}-remedies" in out
    assert load_experiment(tmp_path / "try.yaml").trials == 6


def test_json_is_json_whatever_else_is_written(store, ganray, tmp_path):
    code, out, err = ganray("diagnose", SICK, "--format", "json", "-o", tmp_path / "c.png")
    assert code == 0
    assert [d["name"] for d in json.loads(out)["diagnoses"]] == ["mode-collapse"]
    assert err.startswith("curves: ")


def test_a_healthy_trial(store, ganray):
    code, out, _ = ganray("diagnose", WELL)
    assert code == 0
    assert out.split("\n")[2].startswith("Nothing wrong was found in 20 readings and 2 evaluations")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("c",), "ganray: no trial 'c' in the store"),
        ((WELL, "--snippet", "x.yaml"), "ganray: nothing was found wrong with trial bbbb11112222"),
        ((SICK, "--also", "unrealistic-shap"), "ganray: there is no advice on 'unrealistic-shap'; did you mean"),
        ((SICK, "-o", "/proc/none/c.png"), "ganray: cannot write /proc/none/c.png"),
        ((SICK, "--snippet", "/proc/none/x.yaml"), "ganray: cannot write /proc/none/x.yaml"),
    ],
)
def test_errors_are_one_paragraph(store, ganray, arguments, text):
    code, _, err = ganray("diagnose", *arguments)
    assert code == 2
    assert err.startswith(text)
    assert err.count("\n") == 1


def test_a_snippet_for_what_only_the_eye_sees(store, ganray, tmp_path):
    code, _, _ = ganray("diagnose", WELL, "--also", "unrealistic-shape", "--snippet", tmp_path / "try.yaml")
    assert code == 0
    assert "unet" in (tmp_path / "try.yaml").read_text()
