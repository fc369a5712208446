"""The best earlier recipes for a set of images, or for one like it, as the store remembers them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from ganray.recipe.recipe import Recipe
from ganray.report.lookup import Score, scores
from ganray.report.recipes import flatten, identity
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

ALIKE = 2.0
"""Sets of the same resolution count as similar up to so many times more or fewer images."""


@dataclass(frozen=True)
class Known:
    """The best recipe under one protocol among the completed trials on one set."""

    recipe: Recipe
    trial_id: str
    """Of its best trial."""
    experiment: str
    protocol: str
    distance: float
    """Mean over the trials (seeds) of that recipe, each at its best checkpoint."""
    n_trials: int
    same_set: bool
    dataset: str
    n_images: int


def best_known(store: Store, fingerprints: Sequence[str], n_images: int, resolution: int) -> list[Known]:
    """The best recipe per protocol on this very set, or else on the similar set whose size is nearest.

    Numbers are compared within one set, one protocol and one extractor alone. The protocol with most trials first.
    """
    trials = [row for row in _trials(store) if row.status == "completed"]
    same = [row for row in trials if row.dataset_fingerprint in fingerprints]
    chosen = same or _most_similar(trials, n_images, resolution)
    by_id = {row.trial_id: row for row in chosen}
    rows = [EvaluationRow(**row) for row in store.evaluations().to_pylist() if row["trial_id"] in by_id]
    groups: dict[tuple[str, str, str], list[tuple[TrialRow, Score]]] = defaultdict(list)
    for (trial_id, protocol), score in scores(rows).items():
        row = by_id[trial_id]
        groups[protocol, score.best.extractor_checksum, row.dataset_fingerprint].append((row, score))
    # Of several extractors' weights, or of a set with and without labels, the one with most trials speaks.
    largest: dict[str, list[tuple[TrialRow, Score]]] = {}
    for (protocol, *_), group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        largest.setdefault(protocol, group)
    found = [_best(protocol, group, bool(same)) for protocol, group in largest.items()]
    return [known for known in found if known is not None]


def _trials(store: Store) -> Iterable[TrialRow]:
    return (TrialRow(**row) for row in store.trials().to_pylist() if not row["lineage"])


def _most_similar(trials: Sequence[TrialRow], n_images: int, resolution: int) -> list[TrialRow]:
    def far(row: TrialRow) -> float:
        return abs(math.log(max(row.n_images, 1) / n_images))

    alike = [row for row in trials if row.resolution == resolution and far(row) <= math.log(ALIKE)]
    nearest = min(alike, key=lambda row: (far(row), row.dataset_fingerprint), default=None)
    return [row for row in alike if nearest and row.dataset_fingerprint == nearest.dataset_fingerprint]


def _best(protocol: str, group: Sequence[tuple[TrialRow, Score]], same: bool) -> Known | None:
    """The recipe with the smallest mean over its trials; None where no row holds a recipe of this GANRay."""
    recipes: dict[str, list[tuple[TrialRow, float]]] = defaultdict(list)
    for row, score in group:
        if score.best.frechet is not None:
            recipes[identity(flatten(row.recipe_json, row.trial_id))].append((row, score.best.frechet))
    order = sorted(recipes.values(), key=lambda trials: (fmean(value for _, value in trials), trials[0][0].trial_id))
    for trials in order:
        row = min(trials, key=lambda trial: (trial[1], trial[0].trial_id))[0]
        recipe = _recipe(row.recipe_json)
        if recipe is not None:
            return Known(
                recipe=recipe,
                trial_id=row.trial_id,
                experiment=row.experiment,
                protocol=protocol,
                distance=fmean(value for _, value in trials),
                n_trials=len(trials),
                same_set=same,
                dataset=row.dataset,
                n_images=row.n_images,
            )
    return None


def _recipe(text: str) -> Recipe | None:
    try:
        tree: Any = json.loads(text)
        return Recipe.model_validate(tree)
    except (ValueError, ValidationError):
        return None
