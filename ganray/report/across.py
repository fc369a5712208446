"""The best recipes of all experiments on one data set, under one protocol; seeds of one recipe are one row."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Literal

from ganray.errors import StoreError
from ganray.report.across_rows import (
    HOUR_S,
    Filter,
    choose_data_set,
    choose_protocol,
    read_scores,
    read_trials,
    without_seed,
)
from ganray.report.leaderboard import half_width
from ganray.report.lookup import some
from ganray.report.pareto import front
from ganray.report.recipes import Value, differing, flatten, labels
from ganray.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial under the protocol: the checkpoint that counts is its best within the budget.

    `value`, `kimg`, `kid`, `kid_stderr`, `memorised` and `device_s` are of that checkpoint; `final` is the distance
    of the last one within the budget. `counts`: it completed, or, in a view at equal budget, it reached the budget.
    """

    trial_id: str
    experiment: str
    status: str
    seed: int
    device: str
    identity: str = field(repr=False)
    recipe_json: str = field(repr=False)
    value: float
    final: float
    kimg: float
    kid: float | None
    kid_stderr: float | None
    memorised: float | None
    device_s: float | None
    is_estimated: bool
    """The trial's device seconds in proportion to the kimg, where the evaluation itself has none (schema version 1)."""
    counts: bool


@dataclass(frozen=True, kw_only=True)
class Standing:
    """All seeds of one recipe, over all experiments. Numbers are means over `values`, one per distinct seed.

    `low` to `high` is Student's interval at 95 % for the mean, cut at 0; None with fewer than two seeds. A row
    whose `status` is not completed has trials that had less than their budget, unless the view is at equal budget.
    """

    rank: int = 0
    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]
    seeds: tuple[int, ...]
    n_trials: int
    """Of the recipe, with those that failed, were stopped, or have not reached the budget."""
    status: Literal["completed", "running", "pruned"]
    final: float
    kimg: float
    device_s: float | None
    is_estimated: bool
    kid: float | None
    kid_stderr: float | None
    memorised: float | None
    experiments: tuple[str, ...]
    trial_ids: tuple[str, ...]
    on_cost_front: bool = False
    """No other recipe is better at no more device time."""
    on_memory_front: bool = False
    """No other recipe is better and copies no more of the training images."""
    counts: bool
    recipe_json: str = field(repr=False)
    recipe: dict[str, Value] = field(default_factory=dict)
    """What tells it from the rows beside it; see `told_apart`."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One ranking: the same images (`fingerprint`), protocol and extractor's weights throughout. Best first."""

    fingerprint: str
    n_images: int
    resolution: int
    extractor: str
    extractor_checksum: str
    rows: tuple[Standing, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Across:
    """A data set's rankings, one per content of the images (a name may have stood for several), largest first."""

    dataset: str
    protocol: str
    filter: Filter
    sections: tuple[Section, ...]
    notes: tuple[str, ...]


def across(store: Store, wanted: Filter) -> Across:
    """Rank the recipes of all experiments on one data set; lower is better.

    Failed trials and distances that are not finite never rank. StoreError where the data set, the protocol or the
    experiment is not there, or is left out and not the only one, and for a budget that is not finite.
    """
    for option, budget in (("--at-kimg", wanted.at_kimg), ("--at-device-hours", wanted.at_device_hours)):
        if budget is not None and not math.isfinite(budget):
            raise StoreError(f"{option} {budget:g} is no budget; give a number")
    dataset = choose_data_set(store, wanted)
    trials = read_trials(store, dataset, wanted)
    scored = read_scores(store, dataset, wanted)
    protocol, others = choose_protocol(scored, wanted.protocol, dataset)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in scored:
        if row["protocol"] == protocol and not trials[row["trial_id"]]["lineage"]:
            found[trials[row["trial_id"]]["dataset_fingerprint"]].append(row)
    by_images: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for trial in trials.values():
        by_images[trial["dataset_fingerprint"]].append(trial)
    order = sorted(found, key=lambda name: (-len(by_images[name]), name))
    sections = tuple(_section(by_images[name], found[name], wanted) for name in order)
    return Across(
        dataset=dataset,
        protocol=protocol,
        filter=wanted,
        sections=sections,
        notes=(
            *_notes(by_images, found, protocol, others if wanted.protocol is None else ()),
            *_changed(trials.values()),
        ),
    )


def _changed(trials: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Trials that are no evidence on any one recipe."""
    if changed := sum(bool(trial["lineage"]) for trial in trials):
        yield f"{changed} trial(s) are left out: members of a population (pbt), whose recipes changed as they trained"


def told_apart(rows: Sequence[Standing]) -> tuple[tuple[Standing, ...], dict[str, str]]:
    """These rows with what tells their recipes apart, and the short name of each such path."""
    flats = {str(i): flatten(row.recipe_json, row.trial_ids[0]) for i, row in enumerate(rows)}
    paths = [path for path in differing(flats) if path != "seed"]
    told = [replace(row, recipe={path: flats[str(i)].get(path) for path in paths}) for i, row in enumerate(rows)]
    return tuple(told), labels(paths)


def _section(trials: Sequence[dict[str, Any]], scored: Sequence[dict[str, Any]], wanted: Filter) -> Section:
    by_id = {trial["trial_id"]: trial for trial in trials}
    extractors: Counter[tuple[str, str]] = Counter()
    for row in scored:
        extractors[row["extractor"], row["extractor_checksum"]] += row["evaluations"]
    extractor = min(extractors, key=lambda key: (-extractors[key], key))
    same = [row for row in scored if (row["extractor"], row["extractor_checksum"]) == extractor]
    able = [row for row in same if by_id[row["trial_id"]]["status"] != "failed"]
    reached = [row for row in able if row["value"] is not None and _reached(by_id[row["trial_id"]], row, wanted)]
    ranked = [_trial(by_id[row["trial_id"]], row, wanted) for row in reached]
    sizes: Counter[str] = Counter(without_seed(trial["recipe_json"]) for trial in trials)
    rows = _ranked([_standing(group, sizes[key]) for key, group in _by_recipe(ranked).items()])
    return Section(
        fingerprint=trials[0]["dataset_fingerprint"],
        n_images=trials[0]["n_images"],
        resolution=trials[0]["resolution"],
        extractor=extractor[0],
        extractor_checksum=extractor[1],
        rows=rows,
        notes=tuple(_section_notes(trials, scored, same, able, ranked, rows, wanted)),
    )


def _reached(trial: Mapping[str, Any], row: Mapping[str, Any], wanted: Filter) -> bool:
    """Whether a trial went on for at least the budget. A running trial's own row may be older than its evaluations."""
    if wanted.at_kimg is not None:
        return bool(max(trial["kimg"] or 0.0, row["last_kimg"]) >= wanted.at_kimg)
    if wanted.at_device_hours is not None:
        return bool(max(trial["device_s"] or 0.0, row["last_spent"] or 0.0) >= wanted.at_device_hours * HOUR_S)
    return True


def _trial(trial: Mapping[str, Any], row: Mapping[str, Any], wanted: Filter) -> Trial:
    return Trial(
        **{name: trial[name] for name in ("trial_id", "experiment", "status", "seed", "device", "recipe_json")},
        **{name: row[name] for name in ("value", "final", "kimg", "device_s")},
        kid=_finite(row["kid"]),
        kid_stderr=_finite(row["kid_stderr"]),
        memorised=_finite(row["memorised"]),
        identity=without_seed(trial["recipe_json"]),
        is_estimated=bool(row["is_estimated"]) and row["device_s"] is not None,
        counts=wanted.has_budget or trial["status"] == "completed",
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _by_recipe(trials: Iterable[Trial]) -> dict[str, list[Trial]]:
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[trial.identity].append(trial)
    return groups


def _standing(group: Sequence[Trial], n_trials: int) -> Standing:
    """The row of one recipe. Trials that count stand for it; where there are none, those under way or stopped do."""
    counted = [trial for trial in group if trial.counts] or list(group)
    seeds: dict[int, list[float]] = defaultdict(list)
    for trial in counted:
        seeds[trial.seed].append(trial.value)
    # The same seed in two experiments is the same work done twice, not a second draw.
    values = tuple(fmean(repeats) for _, repeats in sorted(seeds.items()))
    mean, half = fmean(values), half_width(values)
    statuses = {trial.status for trial in counted}
    errors = [trial.kid_stderr for trial in counted if trial.kid_stderr is not None]
    return Standing(
        mean=mean,
        low=None if half is None else max(0.0, mean - half),
        high=None if half is None else mean + half,
        values=values,
        seeds=tuple(sorted(seeds)),
        n_trials=n_trials,
        status="completed" if "completed" in statuses else "running" if "running" in statuses else "pruned",
        final=fmean(trial.final for trial in counted),
        kimg=fmean(trial.kimg for trial in counted),
        device_s=_mean(trial.device_s for trial in counted),
        is_estimated=any(trial.is_estimated for trial in counted),
        kid=_mean(trial.kid for trial in counted),
        kid_stderr=math.sqrt(sum(e * e for e in errors)) / len(errors) if len(errors) == len(counted) else None,
        memorised=_mean(trial.memorised for trial in counted),
        experiments=tuple(sorted({trial.experiment for trial in counted})),
        trial_ids=tuple(trial.trial_id for trial in counted),
        counts=counted[0].counts,
        recipe_json=counted[0].recipe_json,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """None where one is missing: a mean over some of the seeds would stand beside one over all of them."""
    present = list(values)
    known = [value for value in present if value is not None]
    return fmean(known) if known and len(known) == len(present) else None


def _ranked(rows: Sequence[Standing]) -> tuple[Standing, ...]:
    """Best mean first, equal means share a rank; with the marks of both fronts."""
    ordered = sorted(rows, key=lambda row: row.mean)
    cost = front([(row.mean, row.device_s) for row in ordered])
    memory = front([(row.mean, row.memorised) for row in ordered])
    result: list[Standing] = []
    for i, row in enumerate(ordered):
        equal = bool(result) and result[-1].mean == row.mean
        rank = result[-1].rank if equal else i + 1
        result.append(replace(row, rank=rank, on_cost_front=i in cost, on_memory_front=i in memory))
    return tuple(result)


def _notes(
    by_images: Mapping[str, Sequence[Mapping[str, Any]]],
    found: Mapping[str, object],
    protocol: str,
    others: Sequence[str],
) -> list[str]:
    notes = []
    if others:
        notes.append(f"ranked under {protocol}, which has the most evaluations; there are also {', '.join(others)}")
    if len(found) > 1:
        notes.append(
            f"the name stands for {len(found)} contents of images (fingerprints, or resolutions): each is ranked by "
            f"itself, their numbers do not compare"
        )
    elsewhere = [t for name, rows in by_images.items() if name not in found for t in rows]
    if elsewhere:
        failed = sum(t["status"] == "failed" for t in elsewhere)
        notes.append(
            f"{len(elsewhere)} more trials ({failed} failed) are on images without any evaluation under {protocol}"
        )
    return notes


def _section_notes(
    trials: Sequence[Mapping[str, Any]],
    scored: Sequence[Mapping[str, Any]],
    same: Sequence[Mapping[str, Any]],
    able: Sequence[Mapping[str, Any]],
    ranked: Sequence[Trial],
    rows: Sequence[Standing],
    wanted: Filter,
) -> list[str]:
    """What a reader must know before believing the ranking."""
    notes = []
    if left := len(scored) - len(same):
        notes.append(f"{left} trials are left out: another version of the extractor's weights scored them")
    if short := len(able) - len(ranked):
        notes.append(f"{short} of {len(able)} trials are left out: {_missed(wanted)}")
    if failed := sum(trial["status"] == "failed" for trial in trials):
        notes.append(f"{failed} of {len(trials)} trials failed and do not rank")
    if any(not row.counts for row in rows):
        notes.append(
            "rows marked running or pruned have no completed trial: their best so far, which more training can only "
            "lower. Compare at equal budget with --at-kimg"
        )
    if any(row.is_estimated for row in rows):
        notes.append("~ device time in proportion to the kimg: these evaluations were written before it was recorded")
    if len(kinds := sorted({trial.device for trial in ranked})) > 1:
        notes.append(f"the device time is of {len(kinds)} kinds of hardware ({some(kinds)}): it does not compare")
    if rows and all(len(row.seeds) == 1 for row in rows):
        notes.append("1 seed per recipe: small differences may be luck")
    return notes


def _missed(wanted: Filter) -> str:
    if wanted.at_kimg is not None:
        return f"they have not reached {wanted.at_kimg:g} kimg, or have no evaluation up to there"
    return f"they have not run for {wanted.at_device_hours:g} device-hours, or have no evaluation up to there"
