"""`ganray table` as a user types it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from ganray.cli.table import command
from ganray.errors import StoreError
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store


def put(store, trial_id, loss, values):
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(picture, "PNG")
    grid = store.put_artifact("demo", trial_id, "grid.png", picture.getvalue())
    recipe = {"objective": {"loss": {"name": loss}}, "seed": 0}
    common = {"trial_id": trial_id, "experiment": "demo"}
    store.put_trial(
        TrialRow(
            **common, recipe_json=json.dumps(recipe), recipe_hash="h", dataset="d", dataset_fingerprint="f",
            n_images=10, resolution=64, generator="dcgan", discriminator="dcgan", loss=loss, budget_kimg=8.0,
            batch_size=8, status="completed", kimg=8.0,
        )
    )  # fmt: skip
    for kimg, value in values.items():
        store.put_evaluation(
            EvaluationRow(
                **common, kimg=kimg, protocol="fd_lite0_1k_train", extractor="e", extractor_checksum="c",
                n_fake=10, n_real=10, frechet=value, grid_uri=grid,
            )
        )  # fmt: skip


@pytest.fixture
def store(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    put(store, "aaaa", "hinge", {4.0: 10.0, 8.0: 30.0})
    put(store, "bbbb", "lsgan", {4.0: 40.0, 8.0: 20.0})
    monkeypatch.setenv("GANRAY_STORE", store.uri)
    return store


def run(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_the_table_ranks_by_best_or_final(store):
    assert run("demo").output.index("aaaa") < run("demo").output.index("bbbb")
    final = run("demo", "--show", "final").output
    assert final.index("bbbb") < final.index("aaaa")


def test_the_experiment_may_be_a_file(store, tmp_path):
    (tmp_path / "demo.yaml").write_text("preset: dcgan\n")
    assert run(tmp_path / "demo.yaml").output == run("demo").output


def test_other_formats_are_clean_on_stdout(store, tmp_path):
    result = run("demo", "--format", "json", "--pictures", tmp_path / "top.png")
    assert json.loads(result.stdout)["trials"][0]["trial_id"] == "aaaa"
    assert "top.png" in result.stderr
    with Image.open(tmp_path / "top.png") as page:
        assert page.size[0] == 2 * 512 + 3 * 16
    assert run("demo", "--format", "md").output.count("\n| ") == 4
    assert run("demo", "--format", "csv").output.count("\n") == 3


def test_unknown_names_are_answered(store):
    with pytest.raises(StoreError, match="it holds demo"):
        run("dema")
    with pytest.raises(StoreError, match="there are fd_lite0_1k_train"):
        run("demo", "--protocol", "fid")


def test_a_benchmark_is_shown_beside_the_published_numbers(store):
    result = run("few-shot-256")
    assert "41.05†" in result.output
    assert "ganray reproduce few-shot-256 --cells fastgan:obama" in result.output
    assert "scope=" in run("few-shot-256", "--format", "html").output
    assert r"\toprule" in run("few-shot-256", "--format", "latex").output
    cells = json.loads(run("few-shot-256", "--format", "json", "--with-published").stdout)
    assert len(cells["cells"]) == 30
    assert cells["others"]


def test_options_of_the_other_kind_are_refused(store):
    for arguments in (("few-shot-256", "--protocol", "fid_5k_train"), ("demo", "--format", "latex"),
                      ("demo", "--with-published")):  # fmt: skip
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert "benchmark" in result.output
    with pytest.raises(StoreError, match="no experiment 'few-shot-256'"):
        run("few-shot-256", "--experiment")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from ganray.cli import query, table, compare\n"
        "try: table.command(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pyarrow', 'duckdb', 'torch', 'rich', 'PIL') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert "ganray table quickstart" in out
    assert out.splitlines()[-1] == "[]"
