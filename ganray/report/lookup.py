"""Find experiments, trials and protocols in a store; an unknown name is answered with those that are there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ganray.errors import RecipeError, StoreError
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

_SHOWN = 12


def experiment_name(text: str) -> str:
    """The name of an experiment, given as itself or as its YAML file: the file's `name:`, or else its stem.

    RecipeError where the file is missing or no YAML.
    """
    path = Path(text)
    if path.suffix not in (".yaml", ".yml"):
        return text
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read the experiment file {path}: {error}") from error
    name = content.get("name") if isinstance(content, dict) else None
    return str(name) if name else path.stem


def trials(store: Store, experiment: str) -> list[TrialRow]:
    """All trials of an experiment. StoreError, with the experiments that are there, where it has none."""
    rows = [TrialRow(**row) for row in store.trials(experiment).to_pylist()]
    if not rows:
        known = store.experiments()
        there = f"it holds {some(known)}" if known else "it is empty; run a sweep first, or name another --store"
        raise StoreError(f"no experiment {experiment!r} in the store {store.uri}: {there}")
    return rows


def evaluations(store: Store, experiment: str) -> list[EvaluationRow]:
    """All evaluations of an experiment, by trial and kimg."""
    return [EvaluationRow(**row) for row in store.evaluations(experiment).to_pylist()]


def find_trial(store: Store, prefix: str) -> TrialRow:
    """The one trial whose id begins so. StoreError names the candidates where there is none or more than one."""
    rows = [TrialRow(**row) for row in store.trials().to_pylist()]
    exact = [row for row in rows if row.trial_id == prefix]
    found = exact or [row for row in rows if prefix and row.trial_id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    names = some([f"{row.trial_id} ({row.experiment})" for row in found or rows])
    if found:
        raise StoreError(f"{prefix!r} begins the id of {len(found)} trials: {names}; type more of it")
    there = f"it holds {names}" if rows else "it is empty; run a sweep first, or name another --store"
    raise StoreError(f"no trial {prefix!r} in the store {store.uri}: {there}")


def choose_protocol(rows: Sequence[EvaluationRow], wanted: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The protocol to rank by and the others: the wanted one, or else the one with the most evaluations.

    None where there is no evaluation at all. StoreError where nothing was evaluated under the wanted one.
    """
    counts = Counter(row.protocol for row in rows)
    if wanted is not None and wanted not in counts:
        there = f"there are {some(sorted(counts))}" if counts else "there are no evaluations at all yet"
        raise StoreError(f"nothing was evaluated under the protocol {wanted!r}; {there}")
    chosen = wanted or min(counts, key=lambda name: (-counts[name], name), default=None)
    return chosen, tuple(sorted(set(counts) - {chosen}))


@dataclass(frozen=True)
class Score:
    """What one trial reached under one protocol: its best evaluation (the earliest of equals) and its last."""

    best: EvaluationRow
    final: EvaluationRow
    n_evaluations: int


def scores(rows: Sequence[EvaluationRow]) -> dict[tuple[str, str], Score]:
    """(trial id, protocol) to its score. Evaluations without a finite distance do not count."""
    groups: dict[tuple[str, str], list[EvaluationRow]] = {}
    for row in rows:
        if row.frechet is not None and math.isfinite(row.frechet):
            groups.setdefault((row.trial_id, row.protocol), []).append(row)
    return {
        key: Score(
            best=min(group, key=lambda r: (r.frechet, r.kimg)),
            final=max(group, key=lambda r: r.kimg),
            n_evaluations=len(group),
        )
        for key, group in groups.items()
    }


def grid_of(row: EvaluationRow, rows: Sequence[EvaluationRow]) -> str | None:
    """The picture of a checkpoint: with the evaluation itself, or with another protocol's at the same kimg."""
    same = [r.grid_uri for r in rows if (r.trial_id, r.kimg) == (row.trial_id, row.kimg) and r.grid_uri]
    return row.grid_uri or (same[0] if same else None)


def some(names: Sequence[str]) -> str:
    """The first dozen names, and how many there are beyond."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
