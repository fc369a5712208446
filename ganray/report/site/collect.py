"""What the pages are made from: the trials with their rows, and rankings within one protocol and one data set."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ganray.errors import StoreError
from ganray.recipe.messages import nearest
from ganray.report.cells import number
from ganray.report.compare import MEMORISED
from ganray.report.leaderboard import Group, Leaderboard, by_recipe, leaderboard
from ganray.report.lookup import Score, choose_protocol, scores, trials
from ganray.report.recipes import Flat, flatten
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

FEW_IMAGES = 1000
"""So few can be copied."""

_PLAIN_ID = re.compile(r"[a-z0-9]{1,64}")


Key = tuple[str | None, str | None]
"""Protocol and checksum of the extractor's weights: numbers compare only where both are the same."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial and its rows. `slug` names its files; `scores` are what it reached."""

    row: TrialRow
    slug: str
    recipe: Flat
    curves: pa.Table = field(repr=False)
    evaluations: tuple[EvaluationRow, ...] = field(repr=False)
    scores: dict[Key, Score] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A place in a ranking; `score` is None where the trial was not evaluated."""

    rank: int | None
    trial: Trial
    score: Score | None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Trials whose numbers compare: the same images, protocol and extractor's weights."""

    dataset: str
    n_images: int
    resolution: int
    fingerprint: str
    ranked: tuple[Ranked, ...]

    @property
    def best(self) -> Ranked | None:
        return next((each for each in self.ranked if each.rank == 1), None)


@dataclass(frozen=True, kw_only=True)
class Board:
    """All rankings under one protocol; `protocol` is None for the trials that nothing was evaluated of."""

    protocol: str | None
    extractor: str | None
    checksum: str | None
    rankings: tuple[Ranking, ...]


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The recipes of an experiment that were repeated, each with its mean and interval."""

    board: Leaderboard
    groups: tuple[Group, ...]


@dataclass(frozen=True, kw_only=True)
class Collected:
    """All that a report is made from."""

    store: str
    experiments: tuple[str, ...]
    trials: dict[str, Trial]
    """Trial id to trial."""
    boards: tuple[Board, ...]
    seeds: tuple[Seeds, ...]
    notes: tuple[str, ...]
    """What a reader must know before believing a number."""


def collect(store: Store, names: Sequence[str]) -> Collected:
    """The trials of these experiments, or of all, and their rankings.

    StoreError where there is no such experiment (with the nearest name), or none at all.
    """
    experiments = _chosen(store, names)
    found: dict[str, Trial] = {}
    places: dict[Key, dict[str, list[Trial]]] = {}
    seeds, notes = [], []
    for experiment in experiments:
        own = {trial.row.trial_id: trial for trial in _trials(store, experiment)}
        found |= own
        usual = _usual_key(own.values())
        for trial in own.values():
            for key in trial.scores or [usual]:
                places.setdefault(key, {}).setdefault(trial.row.dataset_fingerprint, []).append(trial)
        boards = _leaderboards(store, experiment, own)
        seeds += [Seeds(board=board, groups=groups) for board in boards if _repeated(groups := by_recipe(board))]
        notes += _notes(boards, own, experiment if len(experiments) > 1 else None)
    return Collected(
        store=store.uri,
        experiments=tuple(experiments),
        trials=found,
        boards=tuple(sorted((_board(key, sets) for key, sets in places.items()), key=_size, reverse=True)),
        seeds=tuple(seeds),
        notes=(*_across(places), *notes),
    )


def _chosen(store: Store, names: Sequence[str]) -> list[str]:
    known = store.experiments()
    if not known:
        raise StoreError(f"the store {store.uri} is empty; run a sweep first, or name another --store")
    for name in names:
        if name not in known:
            raise StoreError(f"no experiment {name!r} in the store {store.uri}; {nearest(name, known)}")
    return list(dict.fromkeys(names)) or known


def _trials(store: Store, experiment: str) -> Iterator[Trial]:
    curves, evaluations = _by_trial(store.curves(experiment)), _by_trial(store.evaluations(experiment))
    empty = store.curves(experiment).slice(0, 0) if not curves else next(iter(curves.values())).slice(0, 0)
    for row in trials(store, experiment):
        own = evaluations[row.trial_id].to_pylist() if row.trial_id in evaluations else []
        yield Trial(
            row=row,
            slug=slug_of(row.trial_id),
            recipe=flatten(row.recipe_json, row.trial_id),
            curves=curves.get(row.trial_id, empty),
            evaluations=(rows := tuple(EvaluationRow(**each) for each in own)),
            scores=_scores(rows),
        )


def _scores(rows: Sequence[EvaluationRow]) -> dict[Key, Score]:
    checksums = dict.fromkeys(row.extractor_checksum for row in rows)
    return {
        (protocol, checksum): score
        for checksum in checksums
        for (_, protocol), score in scores([row for row in rows if row.extractor_checksum == checksum]).items()
    }


def _usual_key(own: Iterable[Trial]) -> Key:
    """Where a trial stands that was not scored: with most others of its experiment."""
    counts = Counter(key for trial in own for key in trial.scores)
    return counts.most_common(1)[0][0] if counts else (None, None)


def _by_trial(rows: pa.Table) -> dict[str, pa.Table]:
    """Trial id to its rows: a view, since a whole experiment's rows as Python objects may not fit into memory."""
    ids = rows["trial_id"].to_pylist()
    starts = [i for i, trial_id in enumerate(ids) if i == 0 or trial_id != ids[i - 1]]
    return {ids[a]: rows.slice(a, b - a) for a, b in zip(starts, [*starts[1:], len(ids)])}


def slug_of(trial_id: str) -> str:
    """The id as files may be named; a hash of it where it is no plain one."""
    return trial_id if _PLAIN_ID.fullmatch(trial_id) else f"x-{hashlib.sha256(trial_id.encode()).hexdigest()[:16]}"


def _leaderboards(store: Store, experiment: str, own: dict[str, Trial]) -> list[Leaderboard]:
    """One per protocol, the one with the most evaluations first; one without a protocol before the first evaluation."""
    rows = [row for trial in own.values() for row in trial.evaluations]
    main, others = choose_protocol(rows, None)
    return [leaderboard(store, experiment, protocol) for protocol in (main, *others)]


def _repeated(groups: Sequence[Group]) -> bool:
    return any(group.n_trials > 1 for group in groups)


def _board(key: Key, sets: dict[str, list[Trial]]) -> Board:
    rankings = [_ranking(key, members) for members in sets.values()]
    rankings.sort(key=lambda ranking: (-len(ranking.ranked), ranking.dataset))
    scored = (each.score for ranking in rankings for each in ranking.ranked if each.score)
    first = next(scored, None)
    extractor = first.best.extractor if first else None
    return Board(protocol=key[0], extractor=extractor, checksum=key[1], rankings=tuple(rankings))


def _ranking(key: Key, members: Sequence[Trial]) -> Ranking:
    """One data set's trials by their best distance; failed ones come last and have no rank, as in a leaderboard."""
    values = {trial.slug: _value(trial.scores[key]) for trial in members if key in trial.scores}
    able = sorted(values[trial.slug] for trial in members if trial.slug in values and trial.row.status != "failed")
    ranked = []
    for trial in members:
        is_able = trial.slug in values and trial.row.status != "failed"
        rank = bisect_left(able, values[trial.slug]) + 1 if is_able else None
        ranked.append(Ranked(rank=rank, trial=trial, score=trial.scores.get(key)))
    ranked.sort(key=lambda each: (each.rank is None, each.rank or 0, each.trial.row.status == "failed"))
    row = ranked[0].trial.row
    return Ranking(
        dataset=row.dataset,
        n_images=row.n_images,
        resolution=row.resolution,
        fingerprint=row.dataset_fingerprint,
        ranked=tuple(ranked),
    )


def _value(score: Score) -> float:
    assert score.best.frechet is not None, "scores are of finite distances only"
    return score.best.frechet


def _size(board: Board) -> int:
    return sum(each.score is not None for ranking in board.rankings for each in ranking.ranked)


def _across(places: dict[Key, dict[str, list[Trial]]]) -> list[str]:
    """What is to be known of the rankings as a whole."""
    notes = []
    protocols = sorted({protocol for protocol, _ in places if protocol})
    if len(protocols) > 1:
        notes.append(f"scored under {len(protocols)} protocols ({', '.join(protocols)}): each has a ranking of its own")
    if len({key for key in places if key[0]}) > len(protocols):
        notes.append("some trials were scored by other weights of an extractor: they have a ranking of their own")
    if (n := len({fingerprint for sets in places.values() for fingerprint in sets})) > 1:
        notes.append(f"{n} data sets: trials are ranked within one data set only")
    return notes


def _notes(boards: Sequence[Leaderboard], own: dict[str, Trial], experiment: str | None) -> list[str]:
    """The leaderboards' own notes, and whether the recipes were repeated."""
    notes = [note for board in boards for note in board.notes if "different data sets" not in note]
    if len(own) > 1 and not _repeated(by_recipe(boards[0])):
        notes.append("1 seed per recipe: small differences may be luck")
    if copies := _on_copies(own):
        notes.append(copies)
    if budgets := _budgets(own):
        notes.append(budgets)
    if any(trial.row.status == "running" for trial in own.values()):
        notes.append("some trials are still running: their numbers will change")
    unique = list(dict.fromkeys(notes))
    return [f"{experiment}: {note}" for note in unique] if experiment else unique


def _on_copies(own: dict[str, Trial]) -> str | None:
    """How to read the number that shows copies of training images; where there is none, that nobody looked."""
    scored = [trial for trial in own.values() if trial.scores]
    if any(row.memorised is not None for trial in scored for row in trial.evaluations):
        return MEMORISED
    if not scored:
        return None
    n = min(trial.row.n_images for trial in scored)
    if n > FEW_IMAGES:
        return None
    return f"nobody looked for copies: a distance to {n} training images rewards them, so look at the samples"


def _budgets(own: dict[str, Trial]) -> str | None:
    kimg = sorted({trial.row.budget_kimg for trial in own.values()})
    if len(kimg) < 2:
        return None
    return f"budgets from {number(kimg[0])} to {number(kimg[-1])} kimg: more training alone may explain a better number"
