"""docs/store.md: every Python block runs, in order, on the store that version 1 wrote; the tables are the code's."""

import re
import runpy
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "store.md").read_text()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with runs/store."""
    shutil.copytree(ROOT / "tests" / "store" / "frozen" / "v1", tmp_path / "runs" / "store")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_blocks_run(here, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "docs/store.md", "exec"), names)
    assert names["results"].experiments() == ["frozen"]
    assert len(names["good"]) == 4
    printed = capsys.readouterr().out
    assert "### frozen" in printed
    assert "AnimalFace" in printed


def test_the_queries_run(here):
    from ganray.cli.query import command

    queries = re.findall(r'ganray query "(.*?)"', PAGE)
    assert len(queries) == 3
    for sql in queries:
        result = CliRunner().invoke(command, [sql], catch_exceptions=False)
        assert result.exit_code == 0


def test_the_verbs_on_the_page_are_those_of_ganray_store():
    from ganray.cli.store import command

    assert set(re.findall(r"\| `ganray store ([a-z-]+)", PAGE)) == set(command.commands)


def test_columns_and_speeds_are_what_the_code_and_the_benchmark_say():
    build = runpy.run_path(str(ROOT / "docs" / "build_store.py"), run_name="build_store")
    assert build["page"](PAGE) == PAGE
