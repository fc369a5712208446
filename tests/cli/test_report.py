"""`ganray report` as a user types it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganray.cli.report import command
from ganray.errors import GanrayError, StoreError
from ganray.store.store import Store
from tests.report.site.made_up import fill


@pytest.fixture
def store(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    fill(store)
    monkeypatch.setenv("GANRAY_STORE", store.uri)
    return store


def run(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_it_says_where_the_report_is_and_of_how_many_trials(store, tmp_path):
    result = run("demo", "-o", tmp_path / "site")
    assert result.output == f"{tmp_path / 'site' / 'index.html'}: 6 trials\n"


def test_an_experiment_s_file_will_do(store, tmp_path):
    (tmp_path / "any.yaml").write_text("name: demo\n")
    run(tmp_path / "any.yaml", "-o", tmp_path / "site")
    assert (tmp_path / "site" / "index.html").exists()


def test_it_opens_the_browser_only_when_asked(store, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("click.launch", opened.append)
    run("-o", tmp_path / "site")
    assert opened == []
    run("-o", tmp_path / "site", "--open")
    assert opened == [str(tmp_path / "site" / "index.html")]


def test_other_files_and_unknown_experiments_are_refused(store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(GanrayError, match="no report of ours"):
        run("-o", tmp_path / "mine")
    with pytest.raises(StoreError, match="did you mean 'demo'"):
        run("dema", "-o", tmp_path / "site")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from ganray.cli import report\n"
        "try: report.command(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pyarrow', 'duckdb', 'torch', 'rich', 'PIL', 'jinja2') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert "ganray report quickstart" in out
    assert out.splitlines()[-1] == "[]"
