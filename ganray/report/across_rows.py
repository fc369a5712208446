"""The rows behind the ranking of a data set: its trials, and one row per trial, protocol and extractor.

The evaluations are reduced in SQL, never in Python: a store may hold a million of them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from ganray.errors import StoreError
from ganray.recipe.messages import nearest
from ganray.recipe.recipe import Recipe
from ganray.report.lookup import some
from ganray.report.recipes import NOT_MEANING
from ganray.store.query import query
from ganray.store.store import Store

HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What of the store is compared. `at_kimg` and `at_device_hours` are the equal budget; at most one is given."""

    dataset: str | None = None
    protocol: str | None = None
    experiment: str | None = None
    """A pattern as in a shell: `hacks*`."""
    resolution: int | None = None
    at_kimg: float | None = None
    at_device_hours: float | None = None

    @property
    def has_budget(self) -> bool:
        return self.at_kimg is not None or self.at_device_hours is not None


def choose_data_set(store: Store, wanted: Filter) -> str:
    rows = query(store, "SELECT dataset, count(*) AS trials FROM trials GROUP BY ALL ORDER BY ALL").to_pylist()
    counts = {row["dataset"]: row["trials"] for row in rows}
    if not counts:
        raise StoreError(f"the store {store.uri} is empty; run a sweep first, or name another --store")
    if wanted.dataset is None and len(counts) > 1:
        listed = some([f"{name} ({n} trial{'s' * (n > 1)})" for name, n in counts.items()])
        raise StoreError(f"the store {store.uri} has {len(counts)} data sets; choose one with --dataset: {listed}")
    dataset = next(iter(counts)) if wanted.dataset is None else wanted.dataset
    if dataset not in counts:
        raise StoreError(f"no trial in the store {store.uri} learnt {dataset!r}; {nearest(dataset, list(counts))}")
    return dataset


def _condition(dataset: str, wanted: Filter, table: str = "trials") -> str:
    parts = [f"{table}.dataset = {_quoted(dataset)}"]
    if wanted.experiment is not None:
        parts.append(f"{table}.experiment GLOB {_quoted(wanted.experiment)}")
    if wanted.resolution is not None:
        parts.append(f"{table}.resolution = {wanted.resolution:d}")
    return " AND ".join(parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def read_trials(store: Store, dataset: str, wanted: Filter) -> dict[str, dict[str, Any]]:
    columns = (
        "trial_id, experiment, status, seed, device, kimg, device_s, dataset_fingerprint, n_images, resolution, "
        "recipe_json, lineage"
    )
    rows = query(store, f"SELECT {columns} FROM trials WHERE {_condition(dataset, wanted)}").to_pylist()
    if not rows:
        there = query(
            store, f"SELECT DISTINCT experiment, resolution FROM trials WHERE dataset = {_quoted(dataset)}"
        ).to_pylist()
        names = sorted({row["experiment"] for row in there})
        sides = sorted({row["resolution"] for row in there})
        raise StoreError(
            f"no trial on {dataset} fits --experiment {wanted.experiment or '*'}"
            + (f" --resolution {wanted.resolution}" if wanted.resolution else "")
            + f"; experiments: {nearest(wanted.experiment, names)}; resolutions: {', '.join(map(str, sides))}"
        )
    return {row["trial_id"]: row for row in rows}


_CHECKPOINT = (
    "{"
    + ", ".join(
        f"'{name}': {name}" for name in ("frechet", "kimg", "kid", "kid_stderr", "memorised", "spent", "is_estimated")
    )
    + "}"
)
_SPENT = "coalesce(e.device_s, trials.device_s * e.kimg / nullif(trials.kimg, 0))"


def read_scores(store: Store, dataset: str, wanted: Filter) -> list[dict[str, Any]]:
    """One row per trial, protocol and extractor: its best and last evaluation within the budget, and how far it came.

    The best is null where no evaluation is within the budget.
    """
    within = "true"
    if wanted.at_kimg is not None:
        within = f"kimg <= {wanted.at_kimg!r}"
    elif wanted.at_device_hours is not None:
        within = f"spent <= {wanted.at_device_hours * HOUR_S!r}"
    rows = query(
        store,
        f"""
        WITH scored AS (
            SELECT e.trial_id, e.protocol, e.extractor, e.extractor_checksum, e.kimg, e.frechet, e.kid, e.kid_stderr,
                   e.memorised, {_SPENT} AS spent, e.device_s IS NULL AS is_estimated
            FROM evaluations AS e JOIN trials USING (trial_id)
            WHERE isfinite(e.frechet) AND {_condition(dataset, wanted)}
        ), reduced AS (
            SELECT trial_id, protocol, extractor, extractor_checksum, count(*) AS evaluations,
                   max(kimg) AS last_kimg, max(spent) AS last_spent,
                   arg_min({_CHECKPOINT}, {{'frechet': frechet, 'kimg': kimg}}) FILTER (WHERE {within}) AS best,
                   arg_max(frechet, kimg) FILTER (WHERE {within}) AS final
            FROM scored GROUP BY ALL
        )
        SELECT trial_id, protocol, extractor, extractor_checksum, evaluations, last_kimg, last_spent, final,
               best.frechet AS value, best.kimg AS kimg, best.kid AS kid, best.kid_stderr AS kid_stderr,
               best.memorised AS memorised, best.spent AS device_s, best.is_estimated AS is_estimated
        FROM reduced ORDER BY trial_id, protocol, extractor, extractor_checksum
        """,
    )
    columns = [column.to_pylist() for column in rows.columns]
    return [dict(zip(rows.schema.names, values)) for values in zip(*columns)]


def choose_protocol(
    scored: Iterable[Mapping[str, Any]], wanted: str | None, dataset: str
) -> tuple[str, tuple[str, ...]]:
    """The protocol to rank under and the others: the wanted one, or else the one with the most evaluations."""
    counts: Counter[str] = Counter()
    for row in scored:
        counts[row["protocol"]] += row["evaluations"]
    if not counts:
        raise StoreError(f"no trial on {dataset} has an evaluation with a finite distance yet; nothing to rank")
    if wanted is not None and wanted not in counts:
        raise StoreError(f"nothing on {dataset} was evaluated under {wanted!r}; {nearest(wanted, sorted(counts))}")
    chosen = wanted or min(counts, key=lambda name: (-counts[name], name))
    return chosen, tuple(sorted(set(counts) - {chosen}))


_SEED = re.compile(r'"seed": ?\d+')


def without_seed(recipe_json: str) -> str:
    """The same text for all trials that differ by their seed or their runtime only, whichever GANRay wrote them."""
    cut, count = _SEED.subn('"seed": 0', recipe_json)
    return _identity(cut if count == 1 else recipe_json)


@lru_cache(maxsize=100_000)
def _identity(recipe_json: str) -> str:
    try:
        return Recipe.model_validate_json(recipe_json).model_dump_json(exclude=set(NOT_MEANING))
    except ValidationError:  # of a newer GANRay, or cut short
        pass
    try:
        recipe = json.loads(recipe_json)
        return json.dumps({k: v for k, v in recipe.items() if k not in NOT_MEANING}, sort_keys=True)
    except (ValueError, AttributeError):
        return recipe_json
