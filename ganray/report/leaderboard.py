"""Trials ranked under one protocol, and the same by recipe with an interval over seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Literal

from ganray.report.lookup import Score, choose_protocol, evaluations, grid_of, scores, trials
from ganray.report.recipes import Value, differing, flatten, identity, labels
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

Show = Literal["best", "final"]

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One trial. `rank` is None for failed trials and for those without a comparable evaluation.

    `best` and `final` are Frechet distances under the leaderboard's protocol; `kid`, `kid_stderr` and
    `grid_uri` are of the checkpoint that the trial is ranked by. `recipe` holds the differing paths only.
    """

    rank: int | None = None
    trial_id: str
    status: str
    best: float | None = None
    best_kimg: float | None = None
    final: float | None = None
    final_kimg: float | None = None
    kid: float | None = None
    kid_stderr: float | None = None
    kimg: float
    device_s: float
    seed: int
    recipe: dict[str, Value]
    identity: str = field(repr=False)
    grid_uri: str | None = None
    diagnosis: str | None = None
    takeovers: int = 0
    """How often it took over another's weights and recipe (PBT): then `recipe` is only how it began."""


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """The trials of one experiment under one protocol (None before the first evaluation), best first.

    `labels` maps each differing path of the recipes to its short name, in the order of the columns. `notes`
    are what a reader must know before believing the ranking.
    """

    experiment: str
    protocol: str | None
    extractor: str | None
    show: Show
    entries: tuple[Entry, ...]
    labels: dict[str, str]
    notes: tuple[str, ...]

    def value(self, entry: Entry) -> float | None:
        """The distance that an entry is ranked by."""
        return entry.best if self.show == "best" else entry.final


def leaderboard(store: Store, experiment: str, protocol: str | None = None, show: Show = "best") -> Leaderboard:
    """Rank the trials of an experiment by their best or final Frechet distance; lower is better.

    Never mixes protocols or extractors: evaluations by another extractor's weights than most are left out, with
    a note. StoreError where there is no such experiment or protocol.
    """
    rows, scored = trials(store, experiment), evaluations(store, experiment)
    chosen, others = choose_protocol(scored, protocol)
    under = [row for row in scored if row.protocol == chosen]
    comparable, notes = _one_extractor(under)
    recipes = {row.trial_id: flatten(row.recipe_json, row.trial_id) for row in rows}
    paths = tuple(path for path in differing(recipes) if path != "seed")
    best = scores(comparable)
    entries = []
    for row in rows:
        entry = Entry(
            trial_id=row.trial_id,
            status=row.status,
            kimg=row.kimg,
            device_s=row.device_s,
            seed=row.seed,
            recipe={path: recipes[row.trial_id].get(path) for path in paths},
            identity=identity(recipes[row.trial_id]),
            diagnosis=row.diagnosis,
            takeovers=len(row.lineage or ()),
        )
        score = best.get((row.trial_id, chosen or ""))
        entries.append(_scored(entry, score, show, scored) if score else entry)
    return Leaderboard(
        experiment=experiment,
        protocol=chosen,
        extractor=comparable[0].extractor if comparable else None,
        show=show,
        entries=_ranked(entries, show),
        labels=labels(paths),
        notes=(*_other_protocols(chosen, others, protocol), *notes, *_data_sets(rows), *_populations(rows)),
    )


def _scored(entry: Entry, score: Score, show: Show, rows: Sequence[EvaluationRow]) -> Entry:
    shown = score.best if show == "best" else score.final
    return replace(
        entry,
        best=score.best.frechet,
        best_kimg=score.best.kimg,
        final=score.final.frechet,
        final_kimg=score.final.kimg,
        kid=shown.kid,
        kid_stderr=shown.kid_stderr,
        grid_uri=grid_of(shown, rows),
    )


def _ranked(entries: Sequence[Entry], show: Show) -> tuple[Entry, ...]:
    """Ranked ones first, then those not evaluated yet, then the failed ones; equal values share a rank."""
    values = {e.trial_id: e.best if show == "best" else e.final for e in entries}
    able = [v for e in entries if (v := values[e.trial_id]) is not None and e.status != "failed"]

    def place(entry: Entry) -> tuple[int, float]:
        value = values[entry.trial_id]
        order = 2 if entry.status == "failed" else (1 if value is None else 0)
        return order, math.inf if value is None else value

    result = []
    for entry in sorted(entries, key=place):
        value = values[entry.trial_id]
        ranked = value is not None and entry.status != "failed"
        rank = 1 + sum(other < value for other in able) if ranked and value is not None else None
        result.append(replace(entry, rank=rank))
    return tuple(result)


def _one_extractor(rows: list[EvaluationRow]) -> tuple[list[EvaluationRow], tuple[str, ...]]:
    counts = Counter((row.extractor, row.extractor_checksum) for row in rows)
    if len(counts) <= 1:
        return rows, ()
    kept, _ = counts.most_common(1)[0]
    left = len(rows) - counts[kept]
    note = (
        f"{left} of {len(rows)} evaluations are left out: their extractor's weights differ from those of most "
        f"({kept[0]}, {kept[1][:12]}), so their numbers do not compare"
    )
    return [row for row in rows if (row.extractor, row.extractor_checksum) == kept], (note,)


def _other_protocols(chosen: str | None, others: tuple[str, ...], wanted: str | None) -> tuple[str, ...]:
    if chosen is None:
        return ("nothing has been evaluated yet",)
    if wanted is None and others:
        return (f"ranked by {chosen}, which has the most evaluations; there are also {', '.join(others)}",)
    return ()


def _data_sets(rows: Sequence[TrialRow]) -> tuple[str, ...]:
    count = len({row.dataset_fingerprint for row in rows})
    if count <= 1:
        return ()
    return (f"the trials learnt {count} different data sets: compare numbers within one data set only",)


def _populations(rows: Sequence[TrialRow]) -> tuple[str, ...]:
    changed = sum(bool(row.lineage) for row in rows)
    if not changed:
        return ()
    return (
        f"{changed} trial(s) marked pbt took over weights and recipes of others: the recipe shown is only how each "
        f"began, and does not give its result; the store's column lineage has the course",
    )


@dataclass(frozen=True, kw_only=True)
class Group:
    """All seeds of one recipe; no trial that changed its own. `mean`, `low`, `high` are over the completed trials only.

    `low` to `high` is Student's interval at 95 % for the mean, cut at 0, below which no distance is;
    None with fewer than two completed trials.
    """

    rank: int | None = None
    trial_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    n_trials: int
    values: tuple[float, ...]
    mean: float | None
    low: float | None
    high: float | None
    device_s: float
    recipe: dict[str, Value]


def by_recipe(board: Leaderboard) -> tuple[Group, ...]:
    """The leaderboard's trials grouped by recipe without seed, best mean first.

    Only completed trials count towards a mean: a pruned or running trial had less budget than the others.
    """
    groups: dict[str, list[Entry]] = {}
    for entry in (entry for entry in board.entries if not entry.takeovers):
        groups.setdefault(entry.identity, []).append(entry)
    result = sorted((_group(board, g) for g in groups.values()), key=lambda g: (g.mean is None, g.mean or 0.0))
    return tuple(
        replace(group, rank=None if group.mean is None else rank) for rank, group in enumerate(result, start=1)
    )


def _group(board: Leaderboard, entries: Sequence[Entry]) -> Group:
    counted = [e for e in entries if e.status == "completed" and board.value(e) is not None]
    values = tuple(v for e in counted if (v := board.value(e)) is not None)
    mean = fmean(values) if values else None
    half = half_width(values)
    return Group(
        trial_ids=tuple(e.trial_id for e in counted),
        seeds=tuple(e.seed for e in counted),
        n_trials=len(entries),
        values=values,
        mean=mean,
        low=None if mean is None or half is None else max(0.0, mean - half),
        high=None if mean is None or half is None else mean + half,
        device_s=sum(e.device_s for e in entries),
        recipe=entries[0].recipe,
    )


def half_width(values: Sequence[float]) -> float | None:
    """Half of Student's interval for the mean: t(n - 1) s / sqrt(n)."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    return quantile * stdev(values) / math.sqrt(len(values))
