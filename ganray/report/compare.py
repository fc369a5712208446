"""Two trials side by side: what their recipes and circumstances differ in, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ganray.report.lookup import Score, evaluations, find_trial, grid_of, scores
from ganray.report.recipes import Value, flatten, labels
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

CIRCUMSTANCES = ("experiment", "dataset_fingerprint", "n_images", "world_size", "device", "git_commit")
"""Columns beside the recipe that may explain a difference."""

OUTCOMES = ("status", "diagnosis", "kimg", "device_s", "wall_s", "generator_params", "discriminator_params")
"""Columns that are shown even where they are the same."""


MEMORISED = (
    "memorised: new images of the same source have about 0.3 to 0.4, not 0; well above that is copying, "
    "well below it the samples are far from all training images"
)
"""How to read that number."""


@dataclass(frozen=True)
class Difference:
    """A path whose value is not the same; None where a trial has no such path."""

    path: str
    label: str
    a: Value
    b: Value


@dataclass(frozen=True)
class Metrics:
    """What both trials reached under one protocol; None where a trial was not evaluated under it."""

    protocol: str
    a: Score | None
    b: Score | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two trials: their recipes' differences, other circumstances that differ, outcomes, metrics, pictures."""

    a: TrialRow
    b: TrialRow
    recipe: tuple[Difference, ...]
    circumstances: tuple[Difference, ...]
    outcomes: tuple[Difference, ...]
    metrics: tuple[Metrics, ...]
    grid_a: str | None
    grid_b: str | None
    notes: tuple[str, ...]


def compare(store: Store, trial_a: str, trial_b: str) -> Comparison:
    """Compare two trials, given by unique beginnings of their ids.

    StoreError names the candidates where a beginning fits no trial or several.
    """
    a, b = find_trial(store, trial_a), find_trial(store, trial_b)
    rows_a, rows_b = _evaluations(store, a), _evaluations(store, b)
    scores_a = {protocol: score for (_, protocol), score in scores(rows_a).items()}
    scores_b = {protocol: score for (_, protocol), score in scores(rows_b).items()}
    metrics = tuple(Metrics(name, scores_a.get(name), scores_b.get(name)) for name in sorted({*scores_a, *scores_b}))
    # Both pictures are of the best checkpoint under the same protocol, where there is one.
    shared = next((m for m in metrics if m.a and m.b), None)
    best_a = shared.a if shared else next(iter(scores_a.values()), None)
    best_b = shared.b if shared else next(iter(scores_b.values()), None)
    return Comparison(
        a=a,
        b=b,
        recipe=_recipe(a, b),
        circumstances=_circumstances(a, b),
        outcomes=_outcomes(a, b),
        metrics=metrics,
        grid_a=grid_of(best_a.best, rows_a) if best_a else None,
        grid_b=grid_of(best_b.best, rows_b) if best_b else None,
        notes=_notes(a, b, metrics),
    )


def _evaluations(store: Store, trial: TrialRow) -> list[EvaluationRow]:
    return [row for row in evaluations(store, trial.experiment) if row.trial_id == trial.trial_id]


def _recipe(a: TrialRow, b: TrialRow) -> tuple[Difference, ...]:
    flat_a, flat_b = flatten(a.recipe_json, a.trial_id), flatten(b.recipe_json, b.trial_id)
    paths = [p for p in dict.fromkeys([*flat_a, *flat_b]) if flat_a.get(p) != flat_b.get(p)]
    names = labels(paths)
    return tuple(Difference(p, names[p], flat_a.get(p), flat_b.get(p)) for p in paths)


def _circumstances(a: TrialRow, b: TrialRow) -> tuple[Difference, ...]:
    found = [
        Difference(name, _words(name), getattr(a, name), getattr(b, name))
        for name in CIRCUMSTANCES
        if getattr(a, name) != getattr(b, name)
    ]
    versions_a, versions_b = json.loads(str(a.versions or "{}")), json.loads(str(b.versions or "{}"))
    for package in sorted({*versions_a, *versions_b}):
        if versions_a.get(package) != versions_b.get(package):
            path = f"versions.{package}"
            found.append(Difference(path, package, versions_a.get(package), versions_b.get(package)))
    return tuple(found)


def _outcomes(a: TrialRow, b: TrialRow) -> tuple[Difference, ...]:
    both = [Difference(name, _words(name), getattr(a, name), getattr(b, name)) for name in OUTCOMES]
    return tuple(d for d in both if not (d.a is None and d.b is None))


def _words(column: str) -> str:
    return {"device_s": "device seconds", "wall_s": "wall seconds"}.get(column, column.replace("_", " "))


def _notes(a: TrialRow, b: TrialRow, metrics: tuple[Metrics, ...]) -> tuple[str, ...]:
    notes = []
    if a.dataset_fingerprint != b.dataset_fingerprint:
        notes.append("the trials learnt different data sets: their distances do not compare")
    for m in metrics:
        if m.a and m.b and m.a.best.extractor_checksum != m.b.best.extractor_checksum:
            notes.append(f"{m.protocol}: the extractors' weights differ, so the numbers do not compare")
    if not any(m.a and m.b for m in metrics):
        notes.append("no protocol scored both trials")
    if any(score and score.best.memorised is not None for m in metrics for score in (m.a, m.b)):
        notes.append(MEMORISED)
    return tuple(notes)
