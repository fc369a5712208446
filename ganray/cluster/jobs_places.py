"""What a job reads and writes, as the cluster's nodes see it: no path of this machine may slip into a job."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ganray.data.catalog import PREFIX as CATALOG_PREFIX
from ganray.data.sources import SAMPLE_PREFIX
from ganray.errors import RecipeError
from ganray.evaluation.protocols import get_protocol
from ganray.recipe import space as space_
from ganray.recipe.experiment import Experiment
from ganray.recipe.messages import dotted
from ganray.recipe.uris import is_remote
from ganray.store.location import STORE_VARIABLE, store_uri

NAMED = (SAMPLE_PREFIX, CATALOG_PREFIX)


@dataclass(frozen=True)
class Places:
    """Where a job's files are. Local paths are absolute, and the same on every node."""

    runs: str
    store: str
    sources: tuple[str, ...]
    """Every `data.source` of the space."""
    files: tuple[str, ...]
    """Checkpoints that trials begin from."""
    weights: str | None
    """Weights of the FID Inception, where --fid-weights names some."""
    overrides: tuple[str, ...]
    """What `--set` must say so that the job uses these places."""

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that the nodes must share."""
        return tuple(place for place in (self.runs, self.store) if not is_remote(place))


def find_places(experiment: Experiment, fid_weights: str | None, head_is_here: bool) -> Places:
    """The places of a job. RecipeError, with the fix, where a path would mean another file on another machine.

    Where the head is this machine, relative paths are those of the working directory.
    """
    settings = experiment.settings
    runs = _folder(experiment, "runs", settings.runs, head_is_here)
    named = settings.store or os.environ.get(STORE_VARIABLE)
    store = _folder(experiment, "store", named, head_is_here) if named else store_uri(None, runs)
    overrides = [f"runs={json.dumps(runs)}", f"store={json.dumps(store)}"]
    found: dict[str, list[str]] = {"source": [], "checkpoint": []}
    for (key, field), (path, text) in _paths(experiment):
        absolute = _file(experiment, path, text, head_is_here)
        if absolute != text:
            overrides.append(f"{key}.{field}={json.dumps(absolute)}")
        found[field].append(absolute)
    weights = None if fid_weights is None else _weights(fid_weights, head_is_here)
    files = tuple(place for place in found["checkpoint"] if not is_remote(place))
    return Places(runs, store, tuple(found["source"]), files, weights, tuple(overrides))


def extras_of(experiment: Experiment, places: Places) -> tuple[str, ...]:
    """The optional dependencies that the nodes need for this experiment."""
    wanted = {
        "samples": any(source.startswith(SAMPLE_PREFIX) for source in places.sources),
        "lite0": any(get_protocol(name).extractor != "inception" for name in experiment.protocols),
        "lpips": '"lpips"' in json.dumps(experiment.space, default=str),
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def _paths(experiment: Experiment) -> Iterator[tuple[tuple[str, str], tuple[tuple[Any, ...], str]]]:
    """Each path that the space names once: its key and field, where in the file it stands, and the path."""
    seen: set[tuple[str, str, str]] = set()
    for key, field in (("data", "source"), ("initial", "checkpoint")):
        if experiment.space.get(key) is None:
            continue
        for drawn in space_.representatives({key: experiment.space[key]}):
            text = (drawn.value.get(key) or {}).get(field)
            if isinstance(text, str) and (key, field, text) not in seen:
                seen.add((key, field, text))
                yield (key, field), (drawn.in_space((key, field)), text)


def _folder(experiment: Experiment, key: str, text: str, head_is_here: bool) -> str:
    if is_remote(text):
        return text.rstrip("/")
    path = text.split("://", 1)[-1]
    if PurePosixPath(path).is_absolute():
        return path
    if head_is_here:
        return str(Path(path).expanduser().absolute())
    where = experiment.place((key,)) if getattr(experiment.settings, key) == text else STORE_VARIABLE
    raise RecipeError(
        f"{where}: {key}: {text!r} is a folder of whichever machine the job happens to run on; name a place that all "
        f"nodes reach: --set {key}=s3://BUCKET/{key}, or an absolute path on a file system that they share"
    )


def _file(experiment: Experiment, path: tuple[Any, ...], text: str, head_is_here: bool) -> str:
    is_source = path[0] == "data"
    if is_source and text.startswith(NAMED):
        return text
    name, place = dotted(path), experiment.place(path)
    if is_remote(text):
        if is_source:
            raise RecipeError(
                f"{place}: {name}: {text!r}: images are read from a folder or a zip; mount the bucket on every node, "
                f"or copy it there, and name the absolute path"
            )
        return text
    if PurePosixPath(text).is_absolute():
        return text
    if head_is_here and len(path) == 2:
        return str(Path(text).expanduser().absolute())
    fix = "put it where every node has it and name the absolute path"
    if is_source:
        fix += ", or use sample:NAME or catalog:NAME, which each node finds by itself"
    raise RecipeError(f"{place}: {name}: {text!r} is a path of this machine, and data is not sent with a job; {fix}")


def _weights(text: str, head_is_here: bool) -> str:
    if PurePosixPath(text).is_absolute():
        return text
    if head_is_here:
        return str(Path(text).expanduser().absolute())
    raise RecipeError(
        f"--fid-weights {text}: this is a path of this machine; put the file where every node has it and name the "
        f"absolute path, or set GANRAY_FID_WEIGHTS on the nodes"
    )
