"""Which sweep this is: new, resumed or begun afresh, and whether its name is another one's already."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from ganray.cluster.lease import LEASE, LOCK
from ganray.errors import RecipeError, StoreError
from ganray.recipe.definition import definition_hash
from ganray.recipe.experiment import Experiment
from ganray.store.store import Store
from ganray.trial.folder import Runs

MANIFEST = "experiment.json"
STUDY = "study.log"


@dataclass(frozen=True)
class Claim:
    """The folder of a sweep on this machine."""

    folder: Path
    from_store: bool = False
    """The sweep ran elsewhere and left no study here: what is known of it stands in the store."""
    is_resumed: bool = False
    """There is an earlier sweep to go on with."""

    @property
    def study(self) -> Path:
        """Optuna's journal."""
        return self.folder / STUDY


def refuse_other_definition(experiment: Experiment, store: Store) -> None:
    """Rows of one name must be comparable. Raises RecipeError where the store has trials of another definition."""
    rows = store.trials(experiment.name, columns=["definition_hash", "created_at", "updated_at"])
    others = rows.filter(pc.is_valid(rows["definition_hash"]))
    others = others.filter(pc.not_equal(others["definition_hash"], experiment.definition_hash))
    if not others.num_rows:
        return
    first, last = min(others["created_at"].to_pylist()), max(others["updated_at"].to_pylist())
    raise RecipeError(
        f"{experiment.source.path}: {store.uri} holds {others.num_rows} trial(s) of an experiment named "
        f"{experiment.name} with another space or metric (begun {first:%Y-%m-%d %H:%M}, last written "
        f"{last:%Y-%m-%d %H:%M} UTC), which could not be compared with this one's; undo the change, or run it under "
        f"another name with --set name=OTHER"
    )


def claim_folder(experiment: Experiment, runs: Runs, store: Store, *, resume: bool | None, fresh: bool) -> Claim:
    """The sweep's folder: new, resumed or begun afresh, as the user said; `resume` None: whichever it needs.

    Raises RecipeError where there is an earlier sweep and nothing was said of it, or where the file has changed;
    StoreError where the runs' URI cannot be reached.
    """
    claim = Claim(runs.folder / experiment.name)
    manifest = claim.folder / MANIFEST
    if fresh:
        _forget(experiment, runs)
    elif runs.is_remote:
        fetch_state(experiment.name, runs)
    if not manifest.exists():
        known = 0 if fresh else _trials_of(experiment, store)
        if resume and not known:
            raise RecipeError(
                f"{runs.place(experiment.name)} holds no sweep to resume, nor does {store.uri}; leave --resume out to "
                f"start one"
            )
        if known and resume is False:
            raise RecipeError(
                f"{store.uri} holds {known} trial(s) of this sweep, which ran on another machine or in another folder "
                f"than {runs.place(experiment.name)}; --resume goes on from the store, --fresh begins again (rows in "
                f"the store stay), --set name=OTHER starts another one"
            )
        _write(manifest, experiment, runs)
        return Claim(claim.folder, from_store=bool(known), is_resumed=bool(known))
    if resume is False:
        raise RecipeError(
            f"{runs.place(experiment.name)} holds a sweep of this name; --resume continues it, --fresh forgets its "
            f"checkpoints and study (rows in the store stay), --set name=OTHER starts another one"
        )
    began = json.loads(manifest.read_text())
    if definition_hash(began["space"], began["metric"]) != experiment.definition_hash:
        raise RecipeError(
            f"{experiment.source.path} has changed since the sweep in {runs.place(experiment.name)} began, so its "
            f"trials could not be compared; undo the change, or start another sweep with --set name=OTHER"
        )
    return Claim(claim.folder, is_resumed=True)


def _write(manifest: Path, experiment: Experiment, runs: Runs) -> None:
    """The manifest, at the runs' URI too: what cannot be written there is known before anything starts."""
    manifest.parent.mkdir(parents=True, exist_ok=True)
    content = {"space": experiment.space, "metric": experiment.metric}
    manifest.write_text(json.dumps(content, sort_keys=True, indent=1))
    if runs.is_remote:
        try:
            runs.send(f"{experiment.name}/{MANIFEST}")
        except StoreError:
            manifest.unlink()
            raise


def fetch_state(experiment: str, runs: Runs) -> None:
    """Bring manifest and study from the runs' URI where this machine lacks them, or has less. StoreError."""
    for name in (MANIFEST, STUDY):
        here = runs.folder / experiment / name
        there = here.with_name(f".{name}.remote.tmp")
        if runs.fetch(f"{experiment}/{name}", there):
            # A journal only grows, so the longer one is the newer one.
            if not here.exists() or there.stat().st_size > here.stat().st_size:
                there.replace(here)
            else:
                there.unlink()


def _forget(experiment: Experiment, runs: Runs) -> None:
    if runs.is_remote:
        runs.remove(experiment.name)
    folder = runs.folder / experiment.name
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in (LOCK, LEASE):  # this driver's own
            path.unlink(missing_ok=True)


def _trials_of(experiment: Experiment, store: Store) -> int:
    """How many trials of this very definition the store holds."""
    return (
        store.trials(experiment.name, columns=["definition_hash"])["definition_hash"]
        .to_pylist()
        .count(experiment.definition_hash)
    )
