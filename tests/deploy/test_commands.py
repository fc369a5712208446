"""What docs/cluster.md and the files of deploy/ tell people to type exists: verbs, options, files, links."""

import importlib
import re
from pathlib import Path

import click
import pytest
import yaml

from ganray.cli.main import VERBS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cluster.md"


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Each `ganray VERB ...` with its options; lines that end in a backslash belong together."""
    joined = re.sub(r"\\\n[# ]*", " ", text)
    found = re.findall(r"(?<![\w/.:-])ganray ([a-z-]+)((?: [^\n`;&|#]+)?)", joined)
    return [(verb, re.findall(r"(?<=\s)(--[a-z-]+)", rest)) for verb, rest in found if verb in VERBS]


def options(verb: str) -> set[str]:
    command: click.Command = importlib.import_module(f"ganray.cli.{verb.replace('-', '_')}").command
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def assert_known(text: str, at_least: int) -> None:
    found = commands(text)
    assert len(found) >= at_least
    for verb, used in found:
        assert set(used) <= options(verb), (verb, set(used) - options(verb))


def test_commands_of_the_page() -> None:
    assert_known(PAGE.read_text(), at_least=15)


def test_commands_in_the_cluster_file() -> None:
    assert_known((ROOT / "cluster.yaml").read_text(), at_least=2)


def test_the_entrypoint_of_the_rayjob() -> None:
    job = yaml.safe_load((ROOT / "deploy" / "kuberay" / "rayjob.yaml").read_text())
    assert_known(job["spec"]["entrypoint"], at_least=1)


def test_the_sweep_of_the_slurm_script() -> None:
    script = (ROOT / "deploy" / "slurm" / "ganray.sbatch").read_text()
    (line,) = [line for line in script.splitlines() if line.startswith("ganray sweep")]
    assert_known(line, at_least=1)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?:deploy|experiments)/[\w./-]*\w", PAGE.read_text()))))
def test_files_that_the_page_names(name: str) -> None:
    assert (ROOT / name).exists() or "*" in name or "$" in name


def test_links_of_the_page() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE.read_text()):
        file, _, anchor = target.partition("#")
        page = (PAGE.parent / file).resolve() if file else PAGE
        assert page.exists(), target
        headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, target
