"""What a job takes along: GANRay's own code, the experiment file, and what the head has to check before it starts."""

import importlib.metadata
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import ganray
from ganray.cluster.jobs_driver import MANIFEST
from ganray.cluster.jobs_places import Places, extras_of
from ganray.recipe.experiment import Experiment
from ganray.version import __version__

LEFT_OUT = ("__pycache__", "*.pyc", ".*", "*.pt", "*.pth", "*.tmp", "*~")
"""Nothing of these is code, whatever somebody may have left beside it."""


@contextmanager
def packed(experiment: Experiment, places: Places) -> Iterator[Path]:
    """A folder with `ganray/`, the experiment file under its own name, and the manifest; gone on the way out.

    The code is that of the running package, be it a checkout or an installed wheel. Nothing beside it is taken.
    """
    with TemporaryDirectory(prefix="ganray-job-") as name:
        folder = Path(name)
        code = Path(ganray.__file__).parent
        shutil.copytree(code, folder / "ganray", ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=False)
        shutil.copyfile(experiment.source.path, folder / file_name(experiment))
        manifest = {
            "ganray": __version__,
            "requirements": requirements(extras_of(experiment, places)),
            "sources": places.sources,
            "files": [*places.files, *([places.weights] if places.weights else [])],
            "folders": places.folders,
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        yield folder


def file_name(experiment: Experiment) -> str:
    """The experiment file's own name; its stem may be the experiment's name."""
    return experiment.source.path.name


def requirements(extras: Sequence[str] = ()) -> list[str]:
    """What GANRay depends on, as `name>=version`; with these extras. Empty where its metadata is not there."""
    try:
        declared = importlib.metadata.requires("ganray") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = []
    for line in declared:
        bare, _, marker = (part.strip() for part in line.partition(";"))
        extra = re.fullmatch(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if not marker or (extra and extra[1] in extras):
            found.append(bare)
    return found
