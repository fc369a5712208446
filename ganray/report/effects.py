"""What each switch is worth: trials that differ from a baseline, compared with it seed by seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from ganray.errors import StoreError
from ganray.report.leaderboard import Entry, Leaderboard, Show, half_width, leaderboard
from ganray.report.lookup import find_trial, trials
from ganray.report.recipes import Flat, flatten, identity, not_default, short, show
from ganray.store.schema import TrialRow
from ganray.store.store import Store

BASELINE = "baseline"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One recipe against the baseline. `low` to `high` is Student's interval at 95 % for the mean of the differences.

    `difference` is the distance minus the baseline's of the same seed: below 0 is better. None where nothing compares.
    """

    change: str
    seeds: tuple[int, ...]
    """Seeds that this recipe and the baseline both completed."""
    value: float | None
    """Mean distance over those seeds."""
    difference: float | None
    low: float | None
    high: float | None
    speed: float | None
    """Images per second over the baseline's, median over the seeds."""
    failed: int
    """Trials that failed or were stopped by a diagnosis, of all seeds."""
    diagnoses: tuple[str, ...]
    """What went wrong, most frequent first, with the number of trials."""

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0: with three seeds, few do."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True, kw_only=True)
class Effects:
    """All recipes of an experiment against its baseline, the largest improvement first."""

    experiment: str
    protocol: str
    show: Show
    baseline: Effect
    effects: tuple[Effect, ...]
    notes: tuple[str, ...]


def effects(
    store: Store, experiment: str, protocol: str | None = None, show: Show = "final", baseline: str | None = None
) -> Effects:
    """Compare every recipe of an experiment with its baseline.

    `baseline` is a trial's id; left out: the recipe that the others differ least from, as in an experiment whose
    sampler is `one_at_a_time`. StoreError where nothing has been evaluated.
    """
    board = leaderboard(store, experiment, protocol, show)
    if board.protocol is None:
        raise StoreError(f"nothing of {experiment} has been evaluated yet; run `ganray sweep` first")
    rows = {row.trial_id: row for row in trials(store, experiment)}
    flats = {trial_id: flatten(row.recipe_json, trial_id) for trial_id, row in rows.items()}
    groups: dict[str, list[Entry]] = {}
    for entry in board.entries:
        groups.setdefault(entry.identity, []).append(entry)
    chosen = identity(flats[find_trial(store, baseline).trial_id]) if baseline else _nearest(groups, flats)
    speeds = _speeds(store, experiment)
    reference = groups[chosen]
    origin = flats[reference[0].trial_id]
    compared = [
        _effect(board, _change(origin, rows[group[0].trial_id]), group, reference, rows, speeds)
        for key, group in groups.items()
        if key != chosen
    ]
    return Effects(
        experiment=experiment,
        protocol=board.protocol,
        show=show,
        baseline=_effect(board, BASELINE, reference, reference, rows, speeds),
        effects=tuple(sorted(compared, key=lambda e: (e.difference is None, e.difference or 0.0))),
        notes=board.notes,
    )


def _nearest(groups: Mapping[str, Sequence[Entry]], flats: Mapping[str, Flat]) -> str:
    """The recipe that differs from the others in the fewest places."""
    first = {key: flats[group[0].trial_id] for key, group in groups.items()}
    return min(first, key=lambda key: (sum(len(_differences(first[key], other)) for other in first.values()), key))


def _differences(a: Flat, b: Flat) -> list[str]:
    ignored = ("seed", "runtime")
    return [p for p in dict.fromkeys((*a, *b)) if a.get(p) != b.get(p) and p.split(".")[0] not in ignored]


def _change(baseline: Flat, row: TrialRow) -> str:
    return change_of(baseline, flatten(row.recipe_json, row.trial_id), not_default(row.recipe_json))


def change_of(baseline: Flat, other: Flat, written: Collection[str]) -> str:
    """In a few words what the other recipe does differently: `+ replay`, `- flips`, `D patch (layers 2)`.

    `written` are the paths of the other recipe that are not at their defaults: only they are worth a word beside a
    sub-model that is new.
    """
    words: list[str] = []
    paths = _differences(baseline, other)
    # Where a sub-model is exchanged or added, its parameters follow from it.
    heads = [p for p in paths if p.endswith(".name") or other.get(p) is True or baseline.get(p) is True]
    for path in paths:
        stem = path.removesuffix(".name")
        if any(stem != h.removesuffix(".name") and path.startswith(h.removesuffix(".name") + ".") for h in heads):
            continue
        name, value = short(path), other.get(path)
        if value is True and baseline.get(path) is None:
            words.append(f"+ {name}{_parameters(stem, baseline, other, written)}")
        elif value is None and baseline.get(path) is True:
            words.append(f"- {name}")
        elif path.endswith(".name"):
            words.append(f"{name} {show(value)}{_parameters(stem, baseline, other, written)}")
        else:
            words.append(f"{name} {show(value)}")
    return ", ".join(words) or BASELINE


def _parameters(stem: str, baseline: Flat, other: Flat, written: Collection[str]) -> str:
    own = [p for p in other if p.startswith(f"{stem}.") and p in written and not p.endswith(".name")]
    values = [f"{p.removeprefix(f'{stem}.')} {show(other[p])}" for p in own if other[p] != baseline.get(p)]
    return f" ({', '.join(values)})" if values else ""


def _effect(
    board: Leaderboard,
    change: str,
    group: Sequence[Entry],
    reference: Sequence[Entry],
    rows: Mapping[str, TrialRow],
    speeds: Mapping[str, float],
) -> Effect:
    own, base = _completed(board, group), _completed(board, reference)
    seeds = sorted(own.keys() & base.keys())
    differences = [own[seed][1] - base[seed][1] for seed in seeds]
    mean = fmean(differences) if differences else None
    half = half_width(differences) if change != BASELINE else half_width([own[seed][1] for seed in seeds])
    ratios = [
        speeds[own[seed][0]] / speeds[base[seed][0]]
        for seed in seeds
        if own[seed][0] in speeds and speeds.get(base[seed][0])
    ]
    found = Counter(name for entry in group for name in _diagnoses(rows[entry.trial_id]))
    middle = fmean(own[seed][1] for seed in seeds) if change == BASELINE and seeds else mean
    return Effect(
        change=change,
        seeds=tuple(seeds),
        value=fmean(own[seed][1] for seed in seeds) if seeds else None,
        difference=mean,
        low=None if middle is None or half is None else middle - half,
        high=None if middle is None or half is None else middle + half,
        speed=median(ratios) if ratios else None,
        failed=sum(entry.status in ("failed", "pruned") for entry in group),
        diagnoses=tuple(f"{name} ({count})" for name, count in found.most_common()),
    )


def _completed(board: Leaderboard, group: Sequence[Entry]) -> dict[int, tuple[str, float]]:
    """Seed to trial and distance: pruned and running trials had less budget, so they do not compare."""
    return {
        e.seed: (e.trial_id, value) for e in group if e.status == "completed" and (value := board.value(e)) is not None
    }


def _diagnoses(row: TrialRow) -> list[str]:
    return sorted({str(json.loads(text)["name"]) for text in row.diagnoses or ()})


def _speeds(store: Store, experiment: str) -> dict[str, float]:
    """Trial to its median images per second: an evaluation or a busy moment does not move it."""
    found: dict[str, list[float]] = {}
    for row in store.curves(experiment).select(["trial_id", "images_per_s"]).to_pylist():
        if row["images_per_s"]:
            found.setdefault(row["trial_id"], []).append(row["images_per_s"])
    return {trial_id: median(values) for trial_id, values in found.items()}
