"""Tune's schedulers from the experiment's: on kimg, by our trial ids, with rungs that are rebuilt from the store."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.dataset as pads
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from ganray.cluster.study import StudySearch
from ganray.recipe import space
from ganray.recipe.experiment import Experiment
from ganray.recipe.schedulers import Asha, Hyperband, Pbt
from ganray.store.store import Store
from ganray.trial.folder import Runs

SLACK = 1 + 1e-9
"""A rung at 0.1 * 3 kimg is reached by a trial of 0.3 kimg, whatever the last binary digit."""


@dataclass(frozen=True)
class Past:
    """An earlier trial of this sweep as the store knows it."""

    trial_id: str
    status: str
    scores: tuple[tuple[float, float], ...]
    """kimg and value of its evaluations under the sweep's metric, the earliest first; never a value that is not
    finite, in whose place the one before counts, as it does in a report."""
    lineage: tuple[Mapping[str, Any], ...] = ()
    """What it took over, where it was a member of a population."""


def build_scheduler(
    experiment: Experiment, store: Store, *, trials: int | None = None, slots: int = 1, resumed: bool = True
) -> TrialScheduler | None:
    """The scheduler that the file asks for; None where it asks for none.

    `trials` are still to come, `slots` run side by side: a population must know. `resumed`: what the store knows of
    this sweep counts, as it does not where it is begun anew. Raises StoreError.
    """
    spec = experiment.settings.search.scheduler
    if spec is None:
        return None
    past = earlier(experiment, store) if resumed else []
    if isinstance(spec, Pbt):
        from ganray.cluster.pbt import Population

        return Population(experiment, past, trials or experiment.trials, slots)
    return SteadyRungs(experiment, spec, past)


def tune_config(search: StudySearch, scheduler: TrialScheduler | None, *, trials: int, slots: int) -> dict[str, Any]:
    """The arguments of `tune.TuneConfig` that depend on the scheduler."""
    from ganray.cluster.pbt import MemberSearch, Population

    if isinstance(scheduler, Population):
        # A paused member takes no slot, which the search does not know: the population counts for it.
        scheduler.allowed, search.allowed = search.allowed, _without_limit
        # One more than there are members: Tune must go on asking, or it would close the slots of paused members.
        return {
            "scheduler": scheduler,
            "search_alg": MemberSearch(search, scheduler),
            "num_samples": trials + 1,
        }
    return {"scheduler": scheduler, "search_alg": search, "num_samples": trials, "max_concurrent_trials": slots}


def _without_limit() -> float:
    return math.inf


def checkpoint_config(scheduler: TrialScheduler | None, runs: Runs) -> tune.CheckpointConfig:
    """Which checkpoints Tune keeps beside the trials' own."""
    from ganray.cluster.pbt import Population

    if isinstance(scheduler, Population):
        # Made where a member is paused. Those of a round are needed until the last member has gone on from it.
        return tune.CheckpointConfig(checkpoint_frequency=0, num_to_keep=2)
    # At a URI each trial keeps its checkpoint itself, and waits out an outage; Tune would give the trial up.
    every = 0 if runs.is_remote else 1
    return tune.CheckpointConfig(checkpoint_frequency=every, checkpoint_at_end=bool(every), num_to_keep=1)


class SteadyRungs(AsyncHyperBandScheduler):
    """ASHA, or asynchronous HyperBand, that decides after a restart as if there had been none.

    Tune gives a resumed trial a new id, so rungs are kept by ours. A result is judged once, at the highest rung that
    the trial has reached, and never enters a lower one. What an earlier run has judged is read from the store: trials
    that run, have ended or were pruned count, failed ones do not, nor do they in mid-sweep.

    HyperBand is the asynchronous one. The synchronous one (arXiv 1603.06560) pauses every trial of a bracket until the
    slowest has come to the rung, so slots would stand idle that are kept warm for the next trial; a trial that fails or
    is resumed on another day would hold its whole bracket up; and its brackets must be filled in turn, which a restart
    cannot know. The bracket of a trial follows from its id, so it is the same after a restart and on any machine.
    """

    def __init__(self, experiment: Experiment, spec: Asha | Hyperband, past: Sequence[Past] = ()) -> None:
        recipe, budget_kimg = experiment.sample(), largest_budget(experiment)
        super().__init__(
            time_attr="kimg",
            max_t=budget_kimg,  # type: ignore[arg-type]  # floats work, the annotation says int
            grace_period=spec.grace(recipe),  # type: ignore[arg-type]
            reduction_factor=spec.reduction_factor,
            brackets=spec.brackets if isinstance(spec, Hyperband) else 1,
        )
        self.protocol = experiment.metric
        self._reached: dict[str, float] = {}
        """How far trials of an earlier run had come, in kimg."""
        self._entered: set[str] = set()
        """Those whose last value is in a rung: it may have been written without having been judged."""
        self._ended = {trial.trial_id for trial in past if trial.status in ("completed", "pruned")}
        for trial in past:
            if trial.status != "failed":
                self._refill(trial)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Nothing yet: the bracket follows from our id, which comes with the first result."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        ours, kimg = result["trial"], result["kimg"]
        if kimg * SLACK >= self._max_t:
            return str(TrialScheduler.STOP)
        if ours in self._ended:  # begun anew
            self._ended.remove(ours)
            self._reached.pop(ours, None)
            self._forget(ours)
        last = self._reached.pop(ours, -math.inf)
        if kimg < last / SLACK:
            self._reached[ours] = last
            return str(TrialScheduler.CONTINUE)  # an older checkpoint repeats what was judged
        rung = self._rung(ours, kimg)
        if rung is not None and kimg <= last * SLACK and ours in self._entered:
            rung.pop(ours, None)  # written before the driver died, and not told to it: judged now
        if rung is None or ours in rung:
            return str(TrialScheduler.CONTINUE)
        self._trial_info[ours] = self._bracket(ours)
        decision: str = super().on_trial_result(
            tune_controller,
            _Ours(ours),  # type: ignore[arg-type]  # a bracket asks for the id alone
            {**result, "kimg": kimg * SLACK},
        )
        if not math.isfinite(result[self.protocol]):
            rung.pop(ours, None)  # it is judged, but no other trial is judged by it
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        ours = result.get("trial")
        if ours is None:
            return
        if result.get("status") == "failed":
            self._forget(ours)
        else:
            self._record(ours, result["kimg"], result[self.protocol])

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Nothing: what it has achieved goes on to count."""

    def _refill(self, trial: Past) -> None:
        for kimg, value in trial.scores:
            entered = self._record(trial.trial_id, kimg, value)
            self._reached[trial.trial_id] = kimg
            (self._entered.add if entered else self._entered.discard)(trial.trial_id)

    def _record(self, ours: str, kimg: float, value: float) -> bool:
        """Enter a value at the highest rung that it reaches, where the trial is not in that one yet."""
        rung = self._rung(ours, kimg)
        if rung is None or ours in rung or not math.isfinite(value):
            return False
        rung[ours] = -value
        return True

    def _forget(self, ours: str) -> None:
        for _, recorded in self._bracket(ours)._rungs:
            recorded.pop(ours, None)

    def _rung(self, ours: str, kimg: float) -> dict[str, float] | None:
        """The values at the highest rung that a trial of so many kimg has reached; None below the first."""
        reached = (recorded for milestone, recorded in self._bracket(ours)._rungs if kimg * SLACK >= milestone)
        return next(reached, None)

    def _bracket(self, ours: str) -> Any:
        """The bracket of a trial: by chance as Tune has it, brackets of more rungs being likelier, but by its id."""
        sizes = [len(bracket._rungs) for bracket in self._brackets]
        weights = [math.exp(size - max(sizes)) for size in sizes]
        left = int(hashlib.sha256(ours.encode()).hexdigest()[:12], 16) / 16**12 * sum(weights)
        for bracket, weight in zip(self._brackets, weights):
            if left < weight:
                return bracket
            left -= weight
        return self._brackets[-1]


@dataclass(frozen=True)
class _Ours:
    """A trial by our id."""

    trial_id: str


def earlier(experiment: Experiment, store: Store) -> list[Past]:
    """The trials of this very sweep that the store knows, in the order in which they began. Raises StoreError.

    Of each, the evaluations up to the kimg in its row: later ones are of a run that was forgotten (`--fresh`), or were
    written just before the trial died, and will be again.
    """
    columns = ["trial_id", "status", "definition_hash", "created_at", "kimg", "lineage"]
    rows = store.trials(experiment.name, columns=columns).to_pylist()
    under = pads.field("protocol") == experiment.metric
    scored = store.evaluations(experiment.name, columns=["trial_id", "kimg", "frechet"], where=under).to_pylist()
    scores: dict[str, list[tuple[float, float | None]]] = {}
    for row in scored:
        scores.setdefault(row["trial_id"], []).append((row["kimg"], row["frechet"]))
    return [
        Past(
            row["trial_id"],
            row["status"],
            tuple(_carried(score for score in scores.get(row["trial_id"], []) if score[0] <= row["kimg"])),
            tuple(json.loads(text) for text in row["lineage"] or ()),
        )
        for row in sorted(rows, key=lambda row: (row["created_at"], row["trial_id"]))
        if row["definition_hash"] == experiment.definition_hash
    ]


def _carried(scores: Iterable[tuple[float, float | None]]) -> Iterable[tuple[float, float]]:
    last: float | None = None
    for kimg, value in sorted(scores, key=lambda score: score[0]):
        last = value if value is not None and math.isfinite(value) else last
        if last is not None:
            yield kimg, last


def largest_budget(experiment: Experiment) -> float:
    """The largest budget of any recipe in the space, in kimg."""
    from ganray.recipe.schedule import Budget

    drawn = space.representatives({"budget": experiment.space.get("budget", {})})
    return max(Budget.model_validate(each.value["budget"]).kimg for each in drawn)
