"""Which checkpoints and pictures a store can do without, and their removal. Rows are never removed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow.dataset as pads

from ganray.errors import StoreError
from ganray.store.files import open_files
from ganray.store.schema import EvaluationRow, TrialRow, now
from ganray.store.store import Store
from ganray.store.verify import ARTIFACT_COLUMNS

Kind = Literal["checkpoint", "picture"]


@dataclass(frozen=True)
class Rule:
    """What stays. Trials that still run, and what belongs to them, always stay."""

    keep_checkpoints: int | None = 3
    """Checkpoints of so many best trials stay, per experiment and protocol; None: all stay."""
    keep_pictures: bool = False
    """All pictures stay, not only those of each trial's best and final evaluation."""
    older_than_s: float = 0.0
    """Nothing of a trial that changed within so many seconds goes."""


@dataclass(frozen=True)
class Removable:
    """A file that can go."""

    kind: Kind
    experiment: str
    trial_id: str
    uri: str
    size_bytes: int


def removable(store: Store, rule: Rule, experiment: str | None = None) -> list[Removable]:
    """What the rule lets go. Removes nothing. StoreError where there is no store."""
    store.require()
    scores = _scores(store, experiment)
    trials = store.trials(experiment, columns=["trial_id", "experiment", "status", "updated_at", "checkpoint_uri"])
    found: list[Removable] = []
    best = _best_trials(scores, rule.keep_checkpoints) if rule.keep_checkpoints is not None else None
    sizes = {f"{store.uri}/{file.path}": file.size_bytes for file in store.files.walk("artifacts")}
    for trial in trials.to_pylist():
        age_s = max(0.0, (now() - trial["updated_at"]).total_seconds())  # below 0: by a clock that is ahead
        if trial["status"] == "running" or age_s < rule.older_than_s:
            continue
        trial_id, uri = trial["trial_id"], trial["checkpoint_uri"]
        if best is not None and uri and trial_id not in best and (size := _size(uri, trial_id)) is not None:
            found.append(Removable("checkpoint", trial["experiment"], trial_id, uri, size))
        if not rule.keep_pictures:
            for place in _spare_pictures(store, scores[trial_id]):
                if place in sizes:
                    found.append(Removable("picture", trial["experiment"], trial_id, place, sizes[place]))
    return found


def remove(store: Store, items: Iterable[Removable], watch: Callable[[Removable], None] = lambda item: None) -> int:
    """Remove the files, and write rows that name them no longer; returns the bytes that are free now.

    A file goes before its row, so what is cut off in between is found again. StoreError where a file stays.
    """
    freed = 0
    for item in items:
        watch(item)
        place, _, name = item.uri.rpartition("/")
        open_files(place or "/").remove(name)
        freed += item.size_bytes
        forget = _forget_checkpoint if item.kind == "checkpoint" else _forget_picture
        forget(store, item)
    return freed


def _scores(store: Store, experiment: str | None) -> dict[str, list[dict[str, Any]]]:
    """Evaluations by trial."""
    columns = ["trial_id", "experiment", "kimg", "protocol", "frechet", *ARTIFACT_COLUMNS]
    by_trial: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in store.evaluations(experiment, columns=columns).to_pylist():
        by_trial[row["trial_id"]].append(row)
    return by_trial


def _value(row: dict[str, Any]) -> float:
    value = row["frechet"]
    return math.inf if value is None or math.isnan(value) else float(value)


def _best_trials(scores: dict[str, list[dict[str, Any]]], count: int) -> set[str]:
    """The best trials of each experiment under each protocol."""
    reached: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for trial_id, rows in scores.items():
        for row in rows:
            group = reached[row["experiment"], row["protocol"]]
            group[trial_id] = min(_value(row), group.get(trial_id, math.inf))
    return {trial_id for group in reached.values() for trial_id in sorted(group, key=lambda t: (group[t], t))[:count]}


def _spare_pictures(store: Store, rows: list[dict[str, Any]]) -> list[str]:
    """Pictures that belong neither to the best nor to the last evaluation under any protocol."""
    kept: set[float] = set()
    for protocol in {row["protocol"] for row in rows}:
        under = [row for row in rows if row["protocol"] == protocol]
        kept |= {min(under, key=_value)["kimg"], max(row["kimg"] for row in under)}
    spare = {row[column] for row in rows if row["kimg"] not in kept for column in ARTIFACT_COLUMNS if row[column]}
    needed = {row[column] for row in rows if row["kimg"] in kept for column in ARTIFACT_COLUMNS}
    return [store.artifact_here(uri) or uri for uri in sorted(spare - needed)]


def _size(uri: str, trial_id: str) -> int | None:
    """Bytes of a checkpoint; None where it is not to be found from here, or not where a trial has its checkpoint.

    A row may come from anybody's store, trial id and all, so it is not believed when it names another file of this
    machine.
    """
    parts = uri.split("/")
    if parts[-3:] != ["trials", trial_id, "checkpoint.pt"] or ".." in parts:
        return None
    if "://" not in uri:
        path = Path(uri)
        return path.stat().st_size if path.is_file() else None
    place, _, name = uri.rpartition("/")
    try:
        return next((file.size_bytes for file in open_files(place).walk() if file.path == name), None)
    except StoreError:
        return None


def _forget_checkpoint(store: Store, item: Removable) -> None:
    for row in store.trials(item.experiment, trial_id=item.trial_id).to_pylist():
        store.put_trial(replace(TrialRow(**row), checkpoint_uri=None, updated_at=_after(row["updated_at"])))


def _forget_picture(store: Store, item: Removable) -> None:
    where = pads.field(ARTIFACT_COLUMNS[0]).is_valid() | pads.field(ARTIFACT_COLUMNS[1]).is_valid()
    for row in store.evaluations(item.experiment, trial_id=item.trial_id, where=where).to_pylist():
        named = [column for column in ARTIFACT_COLUMNS if (store.artifact_here(row[column] or "") == item.uri)]
        if named:
            store.put_evaluation(
                EvaluationRow(**{**row, **dict.fromkeys(named), "created_at": _after(row["created_at"])})
            )


def _after(time: datetime) -> datetime:
    """Now, but later than a time that may come from a clock that is ahead of this one."""
    return max(now(), time + timedelta(microseconds=1))
