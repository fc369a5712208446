"""What is sent with a job, and what the head makes of it before the sweep begins."""

import json
import os
import subprocess
import sys

import pytest

from ganray.cluster.jobs_driver import python_fault
from ganray.cluster.jobs_nodes import look_at_this_node
from ganray.cluster.jobs_package import packed, requirements
from ganray.cluster.jobs_places import find_places
from ganray.recipe.experiment import load_experiment
from ganray.version import __version__

FILE = """
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4}
discriminator: {name: dcgan, width: 4}
evaluation: {protocols: [fd_lite0_200_train]}
runs: /shared/runs
"""


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "my experiment.yaml"
    file.write_text(FILE)
    for clutter in ("runs", ".venv", ".git", "images"):
        (tmp_path / clutter).mkdir()
        (tmp_path / clutter / "secret.txt").write_text("planted")
    return load_experiment(file, ["name=mine"])


def test_code_experiment_and_manifest_are_sent_and_nothing_else(experiment):
    with packed(experiment, find_places(experiment, None, head_is_here=False)) as folder:
        assert {path.name for path in folder.iterdir()} == {"ganray", "my experiment.yaml", "ganray-job.json"}
        files = [path for path in folder.rglob("*") if path.is_file()]
        suffixes = {path.suffix for path in files if path.parent != folder}
        assert suffixes <= {".py", ".yaml", ".csv", ".html", ".js", ".css", ".json"}
        assert not any(part.startswith(".") or part == "__pycache__" for path in files for part in path.parts[-4:])
        assert sum(path.stat().st_size for path in files) < 10_000_000
        assert (folder / "my experiment.yaml").read_text() == FILE
        manifest = json.loads((folder / "ganray-job.json").read_text())
    assert not folder.exists()
    assert manifest["sources"] == ["sample:hubble"]
    assert manifest["folders"] == ["/shared/runs", "/shared/runs/store"]
    assert any(line.startswith("torch>=") for line in manifest["requirements"])
    assert any(line.startswith("scikit-image") for line in manifest["requirements"])


def test_the_sent_code_is_what_runs_even_where_another_ganray_is_installed(experiment, tmp_path):
    with packed(experiment, find_places(experiment, None, head_is_here=False)) as folder:
        (folder / "ganray" / "version.py").write_text('__version__ = "9.9.9"\nCOMMIT_VARIABLE = "C"\n')
        command = [sys.executable, "-m", "ganray.cli.main", "--version"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert "9.9.9" in done.stdout
    assert __version__ not in done.stdout


def test_an_installed_package_is_packed_as_a_checkout_is(tmp_path):
    """The package by itself in some site-packages, without the checkout around it."""
    import shutil

    import ganray

    site = tmp_path / "site-packages"
    shutil.copytree(os.path.dirname(ganray.__file__), site / "ganray", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "e.yaml").write_text(FILE)
    script = (
        "from ganray.cluster.jobs_package import packed\n"
        "from ganray.cluster.jobs_places import find_places\n"
        "from ganray.recipe.experiment import load_experiment\n"
        "import ganray\n"
        "e = load_experiment('e.yaml')\n"
        "with packed(e, find_places(e, None, head_is_here=False)) as folder:\n"
        "    print(ganray.__file__, len(list((folder / 'ganray').rglob('*.py'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    where, count = done.stdout.split()
    assert where.startswith(str(site))
    assert int(count) == len(list((site / "ganray").rglob("*.py"))) > 100


def test_requirements_are_those_of_the_package_and_of_the_extras_asked_for():
    plain, more = requirements(), requirements(["samples"])
    assert any(line.startswith("ray[") for line in plain)
    assert not any(line.startswith(("pytest", "scikit-image")) for line in plain)
    assert {line.split(">")[0] for line in set(more) - set(plain)} == {"scikit-image"}


def test_a_python_that_is_too_old_or_lacks_something_is_told_with_the_command():
    assert "GANRay needs 3.11 or newer" in python_fault([], version=(3, 9, 1))
    assert python_fault(["click>=8.0", "pyyaml"]) is None
    fault = python_fault(["no-such-thing>=1.2", "click>=99.5"])
    assert "lacks no-such-thing, click >=99.5 (it has " in fault
    assert f"run `{sys.executable} -m pip install 'no-such-thing>=1.2' 'click>=99.5'` there" in fault


def test_the_driver_ends_with_2_and_a_paragraph_where_dependencies_are_missing(experiment):
    with packed(experiment, find_places(experiment, None, head_is_here=False)) as folder:
        manifest = json.loads((folder / "ganray-job.json").read_text())
        (folder / "ganray-job.json").write_text(json.dumps({**manifest, "requirements": ["no-such-thing>=1"]}))
        command = [sys.executable, "-m", "ganray.cluster.jobs_driver", "sweep", "x.yaml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "ganray: on the head" in done.stderr
    assert "lacks no-such-thing" in done.stderr
    assert "--python PATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_node_tells_what_it_does_not_see(tmp_path):
    (tmp_path / "there.pt").write_text("")
    manifest = {
        "requirements": [], "sources": ["sample:hubble", "/no/such/cats"],
        "files": [str(tmp_path / "there.pt"), "/no/such.pt"], "probes": [str(tmp_path / "there.pt"), "/nfs/runs/.p"],
    }  # fmt: skip
    source, file, probe = look_at_this_node(manifest)
    assert "/no/such/cats does not exist" in source
    assert file == "there is no file /no/such.pt"
    assert "does not see the /nfs/runs of the head" in probe
    (missing,) = look_at_this_node({**manifest, "requirements": ["no-such-thing"]})
    assert "lacks no-such-thing" in missing
