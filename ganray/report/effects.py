"""What each switch is worth: trials that differ from a baseline, compared with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from ganray.errors import StoreError
from ganray.report.cells import number
from ganray.report.leaderboard import Entry, Leaderboard, Show, half_width, leaderboard
from ganray.report.lookup import find_trial, trials
from ganray.report.recipes import Flat, flatten, identity, not_default, short, show
from ganray.report.spread import Spread, holm, pooled, two_sided
from ganray.store.schema import TrialRow
from ganray.store.store import Store

BASELINE = "baseline"

ROUGH_SPEED = 1.25
"""From so many times between the baseline's own trials on, speeds say more of the machine than of the recipes."""


ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One recipe against the baseline. `low` to `high` is Student's interval at 95 % for the mean of the differences.

    `difference` is the mean distance minus the baseline's: below 0 is better. None where nothing compares. Of the
    baseline itself the interval is that of its mean distance. How wide intervals are follows from the spread of seeds
    over all recipes of the experiment (`Spread`). Where that is not known, seeds that both have are paired.
    """

    change: str
    seeds: tuple[int, ...]
    """Seeds that count: those completed, and where the spread is not known, only those that the baseline has, too."""
    value: float | None
    """Mean distance over those seeds."""
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    """Chance of a difference this large, to either side, were there no effect: by the same t as the interval."""
    p_holm: float | None
    """The same, corrected for all recipes that were compared (Holm, Scand. J. Statist. 6, 1979)."""
    speed: float | None
    """Images per second over the baseline's, each by its fastest seed: a busy machine only ever slows a trial down."""
    failed: int
    """Trials that failed or were stopped by a diagnosis, of all seeds. (A scheduler that stops weak ones is no fault.)
    """
    diagnoses: tuple[str, ...]
    """What went wrong, most frequent first, with the number of trials."""

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the difference leaves out 0: with three seeds, few do."""
        if self.change == BASELINE or self.low is None or self.high is None:
            return False
        return not self.low <= 0 <= self.high

    @property
    def survives(self) -> bool:
        """Whether it remains when one counts how many recipes were compared."""
        return self.p_holm is not None and self.p_holm < ALPHA


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

    `baseline` is a trial's id; left out: the recipe that the others differ least from, the first of equals, as in an
    experiment whose sampler is `one_at_a_time`. StoreError where nothing has been evaluated, or where the baseline is
    of another experiment.
    """
    board = leaderboard(store, experiment, protocol, show)
    if board.protocol is None:
        raise StoreError(f"nothing of {experiment} has been evaluated yet; run `ganray sweep` first")
    rows = {row.trial_id: row for row in trials(store, experiment)}
    flats = {trial_id: flatten(row.recipe_json, trial_id) for trial_id, row in rows.items()}
    groups: dict[str, list[Entry]] = {}
    for entry in board.entries:
        groups.setdefault(entry.identity, []).append(entry)
    if baseline is None:
        chosen = _nearest(groups, flats, rows)
    else:
        chosen = identity(flats[_trial_of(store, experiment, baseline).trial_id])
    speeds = _speeds(store, experiment)
    reference = groups[chosen]
    origin = flats[reference[0].trial_id]
    spread = pooled([value for _, value in _completed(board, group).values()] for group in groups.values())
    compared = [
        _effect(board, _change(origin, rows[group[0].trial_id]), group, reference, rows, speeds, spread)
        for key, group in groups.items()
        if key != chosen
    ]
    return Effects(
        experiment=experiment,
        protocol=board.protocol,
        show=show,
        baseline=_effect(board, BASELINE, reference, reference, rows, speeds, spread),
        effects=tuple(sorted(_corrected(compared), key=lambda e: (e.difference is None, e.difference or 0.0))),
        notes=(*board.notes, *_notes(board, reference, speeds, spread)),
    )


def _corrected(compared: Sequence[Effect]) -> list[Effect]:
    corrected = iter(holm([effect.p for effect in compared if effect.p is not None]))
    return [effect if effect.p is None else replace(effect, p_holm=next(corrected)) for effect in compared]


def _trial_of(store: Store, experiment: str, prefix: str) -> TrialRow:
    trial = find_trial(store, prefix)
    if trial.experiment != experiment:
        raise StoreError(f"trial {trial.trial_id} is of {trial.experiment}; name one of {experiment} as the baseline")
    return trial


def _nearest(groups: Mapping[str, Sequence[Entry]], flats: Mapping[str, Flat], rows: Mapping[str, TrialRow]) -> str:
    """The recipe from which the others are the fewest changes away; of equals the one that was begun first.

    A design begins with its baseline, and where it has one choice alone, all its recipes are equally near.
    """
    first = {key: flats[group[0].trial_id] for key, group in groups.items()}
    changes = {key: sum(len(_changed(flat, other)) for other in first.values()) for key, flat in first.items()}
    begun = {key: min(rows[entry.trial_id].created_at for entry in group) for key, group in groups.items()}
    return min(first, key=lambda key: (changes[key], begun[key], key))


def _changed(a: Flat, b: Flat) -> list[str]:
    """Paths that differ of their own: where a sub-model is exchanged or added, its parameters follow from it."""
    paths = _differences(a, b)
    heads = [p.removesuffix(".name") for p in paths if p.endswith(".name") or b.get(p) is True or a.get(p) is True]
    return [p for p in paths if not any(p.removesuffix(".name") != h and p.startswith(f"{h}.") for h in heads)]


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
    for path in _changed(baseline, other):
        stem, name, value = path.removesuffix(".name"), short(path), other.get(path)
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
    """Those of a new sub-model that are worth a word; what it holds stands for its mere presence."""
    own = [p for p in other if p.startswith(f"{stem}.") and p in written and not p.endswith(".name")]
    new = [p for p in own if p not in baseline or other[p] != baseline[p]]
    told = [p for p in new if not (other[p] is True and any(q.startswith(f"{p}.") for q in new))]
    values = [f"{p.removeprefix(f'{stem}.')} {'null' if other[p] is None else show(other[p])}" for p in told]
    return f" ({', '.join(values)})" if values else ""


def _effect(
    board: Leaderboard,
    change: str,
    group: Sequence[Entry],
    reference: Sequence[Entry],
    rows: Mapping[str, TrialRow],
    speeds: Mapping[str, float],
    spread: Spread | None,
) -> Effect:
    own, base = _completed(board, group), _completed(board, reference)
    is_baseline = change == BASELINE
    seeds = sorted(own.keys() & (base.keys() if spread is None else own.keys())) if base else []
    value = fmean(own[seed][1] for seed in seeds) if seeds else None
    if spread is None:
        differences = [own[seed][1] - base[seed][1] for seed in seeds]
        mean = fmean(differences) if seeds else None
        half = half_width([own[seed][1] for seed in seeds] if is_baseline else differences)
    else:
        mean = None if value is None else value - fmean(distance for _, distance in base.values())
        half = spread.half_width(1 / len(seeds) + (0 if is_baseline else 1 / len(base))) if seeds else None
    own_speeds, base_speeds = _of(own, speeds), _of(base, speeds)
    found = Counter(name for entry in group for name in _diagnoses(rows[entry.trial_id]))
    middle = value if is_baseline else mean
    return Effect(
        change=change,
        seeds=tuple(seeds),
        value=value,
        difference=mean,
        low=None if middle is None or half is None else middle - half,
        high=None if middle is None or half is None else middle + half,
        p=None if is_baseline else two_sided(mean, half, spread.freedom if spread else len(seeds) - 1),
        p_holm=None,
        speed=max(own_speeds) / max(base_speeds) if own_speeds and base_speeds else None,
        failed=sum(entry.status == "failed" or (entry.status == "pruned" and bool(entry.diagnosis)) for entry in group),
        diagnoses=tuple(f"{name} ({count})" for name, count in found.most_common()),
    )


def _of(trials: Mapping[int, tuple[str, float]], speeds: Mapping[str, float]) -> list[float]:
    return [speeds[trial_id] for trial_id, _ in trials.values() if trial_id in speeds]


def _completed(board: Leaderboard, group: Sequence[Entry]) -> dict[int, tuple[str, float]]:
    """Seed to trial and distance: pruned and running trials had less budget, so they do not compare."""
    return {
        e.seed: (e.trial_id, value) for e in group if e.status == "completed" and (value := board.value(e)) is not None
    }


def _diagnoses(row: TrialRow) -> list[str]:
    return sorted({_name(text) for text in row.diagnoses or ()})


def _name(diagnosis: str) -> str:
    try:
        return str(json.loads(diagnosis)["name"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def _speeds(store: Store, experiment: str) -> dict[str, float]:
    """Trial to its median images per second: an evaluation or a busy moment does not move it."""
    found: dict[str, list[float]] = {}
    for row in store.curves(experiment).select(["trial_id", "images_per_s"]).to_pylist():
        if row["images_per_s"]:
            found.setdefault(row["trial_id"], []).append(row["images_per_s"])
    return {trial_id: median(values) for trial_id, values in found.items()}


def _notes(
    board: Leaderboard, reference: Sequence[Entry], speeds: Mapping[str, float], spread: Spread | None
) -> list[str]:
    """What a reader must know before believing the numbers."""
    notes = []
    if under_way := sum(entry.status == "running" for entry in board.entries):
        notes.append(f"{under_way} of {len(board.entries)} trials have not ended and are left out")
    base = _completed(board, reference)
    if not base:
        notes.append("no trial of the baseline has completed, so nothing compares; name another with --baseline TRIAL")
    own = _of(base, speeds)
    if own and max(own) > ROUGH_SPEED * min(own):
        notes.append(
            f"speeds are rough: the baseline's own trials ran at {_rough(min(own))} to {_rough(max(own))} images per "
            f"second, so the machine had other work; `benchmarks/step_time.py --design FILE` measures side by side"
        )
    if spread and base:
        notes.append(
            f"all intervals follow from the spread of seeds within a recipe, taken to be the same for all: a standard "
            f"deviation of {_rough(spread.deviation)} (pooled over {spread.recipes} recipes)"
        )
    return notes


def _rough(value: float) -> str:
    """Two significant digits."""
    return number(float(f"{value:.2g}"))
