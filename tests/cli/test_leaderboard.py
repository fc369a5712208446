"""`ganray leaderboard` as a user types it."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from ganray.cli.leaderboard import command
from ganray.errors import StoreError
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

LOSSES = ("hinge", "lsgan", "ragan", "non_saturating")


def put(store, trial_id, loss, seed, value, status="completed"):
    common = {"trial_id": trial_id, "experiment": f"about_{loss}"}
    recipe = {"objective": {"loss": {"name": loss}}, "seed": seed}
    store.put_trial(
        TrialRow(
            **common, recipe_json=json.dumps(recipe), recipe_hash="h", dataset="obama", dataset_fingerprint="f00d",
            n_images=100, resolution=64, generator="dcgan", discriminator="dcgan", loss=loss, budget_kimg=8.0,
            batch_size=8, status=status, kimg=8.0, device_s=100.0, seed=seed,
        )
    )  # fmt: skip
    for kimg, distance in ((4.0, value + 20), (8.0, value)):
        store.put_evaluation(
            EvaluationRow(
                **common, kimg=kimg, protocol="fd_lite0_1k_train", extractor="e", extractor_checksum="c", n_fake=10,
                n_real=10, frechet=distance, kid=0.5, kid_stderr=0.01, memorised=value / 1000, device_s=10 * kimg,
            )
        )  # fmt: skip


@pytest.fixture
def store(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    for i, loss in enumerate(LOSSES):
        for seed in range(3):
            put(store, f"{loss[:4]}{seed}", loss, seed, 100.0 + 10 * i + seed)
    monkeypatch.setenv("GANRAY_STORE", store.uri)
    return store


def run(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_the_ranking_in_the_terminal(store):
    text = run().output
    assert "obama under fd_lite0_1k_train: lower is better" in text
    lines = [line for line in text.splitlines() if any(loss in line for loss in LOSSES)]
    assert [next(loss for loss in LOSSES if loss in line) for line in lines] == list(LOSSES)
    assert "101" in lines[0]
    assert "± 2.484" in lines[0]  # 4.303 / sqrt(3)
    assert "98.52 to 103.5" in run("--format", "md").output
    assert "both" in lines[0]
    assert all(line.count("about_") == 1 for line in lines)


def test_a_narrow_terminal_puts_the_recipe_into_one_column(store, monkeypatch):
    monkeypatch.setattr("ganray.cli.leaderboard.make_console", lambda: Console(width=74))
    text = run().output
    assert "experiments" not in text
    assert "hinge" in text
    assert "(about_hinge)" in text
    assert "± 2.484" in text
    assert max(map(len, text.splitlines())) <= 74


def test_top_cuts_and_says_so(store):
    text = run("--top", 1).output
    assert "1 of 4 recipes are shown" in text
    assert "lsgan" not in text


def test_an_equal_budget_is_in_the_title(store):
    assert "best checkpoint up to 4 kimg" in run("--at-kimg", 4).output
    assert "best checkpoint within 0.01 device-hours" in run("--at-device-hours", 0.01).output
    both = CliRunner().invoke(command, ["--at-kimg", "4", "--at-device-hours", "1"])
    assert both.exit_code == 2
    assert "give one of them" in both.output


def test_fronts_as_text_and_as_a_picture(store, tmp_path):
    text = run("--pareto", "--format", "md").output
    assert "Front of quality against device time:" in text
    result = run("--pareto", tmp_path / "fronts.png", "--format", "json")
    assert json.loads(result.stdout)["sections"][0]["fronts"] == {"cost": [1], "copying": [1]}
    assert "fronts.png" in result.stderr
    with Image.open(tmp_path / "fronts.png") as page:
        assert page.size == (1520, 560)


def test_choices_are_asked_for_together_with_the_ranking(store):
    result = json.loads(run("--importance", "--effects", "--format", "json").output)["sections"][0]
    assert result["importances"]["n_trials"] == 12
    assert [c["label"] for c in result["importances"]["choices"]] == ["loss"]
    effects = {(e["level"], e["reference"]): e["adjusted"] for e in result["effects"]["effects"]}
    assert effects == pytest.approx({("lsgan", "hinge"): 10, ("ragan", "hinge"): 20, ("non_saturating", "hinge"): 30})
    text = run("--importance", "--effects").output
    assert "Importance of each choice, from 12 trials" in text
    assert "from 12 trials of 4 recipes" in text


def test_too_few_trials_refuse_the_choices_alone(store):
    text = run("--importance", "--experiment", "about_hinge").output
    assert "3 trials compare on these images" in text
    assert "101" in text


def test_csv_and_json_are_clean(store):
    rows = list(csv.DictReader(io.StringIO(run("--format", "csv").output)))
    assert [(r["rank"], r["mean"], r["seeds"], r["objective.loss.name"]) for r in rows[:2]] == [
        ("1", "101.0", "0 1 2", "hinge"), ("2", "111.0", "0 1 2", "lsgan")
    ]  # fmt: skip
    content = json.loads(run("--format", "json").output)
    assert content["protocol"] == "fd_lite0_1k_train"
    assert content["sections"][0]["recipes"][0]["values"] == [100.0, 101.0, 102.0]


def test_unknown_data_sets_are_answered(store):
    with pytest.raises(StoreError, match="did you mean 'obama'"):
        run("--dataset", "obamma")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from ganray.cli import leaderboard, dashboard\n"
        "for verb in (leaderboard, dashboard):\n"
        "    try: verb.command(['--help'])\n"
        "    except SystemExit: pass\n"
        "print([m for m in ('pyarrow', 'duckdb', 'torch', 'rich', 'optuna', 'ray', 'numpy') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert "ganray leaderboard --dataset obama" in out
    assert "ganray dashboard quickstart" in out
    assert out.splitlines()[-1] == "[]"
