"""Optuna's side of a sweep: a study in a journal file that outlives Ray, and what is left to do in it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ray.tune.search.optuna import OptunaSearch

from ganray.cluster.earlier import WARM
from ganray.recipe import space
from ganray.recipe.experiment import Experiment
from ganray.store.store import Store

ENDED = ("completed", "pruned")


@dataclass(frozen=True)
class Space:
    """Optuna's define-by-run function: the recursive walk over the experiment's tree."""

    tree: dict[str, Any]

    def __call__(self, trial: Any) -> None:
        space.draw(self.tree, trial)


class StudySearch(OptunaSearch):
    """OptunaSearch that tells the study of failures as failures, and only of finite metrics.

    It proposes nothing while as many trials live as there is room for: room changes while a sweep runs.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.allowed: Callable[[], float] = lambda: math.inf
        """Trials that may live side by side now."""
        self._live: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        if len(self._live) >= self.allowed():
            return None
        params = super().suggest(trial_id)
        if isinstance(params, dict):
            self._live.add(trial_id)
        return params

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if math.isfinite(result[self.metric]):
            super().on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result is not None and (result.get("status") == "failed" or not math.isfinite(result[self.metric])):
            result, error = None, True
        self._live.discard(trial_id)
        super().on_trial_complete(trial_id, result=result, error=error)


@dataclass(frozen=True)
class Progress:
    """How far a study has come."""

    ended: int
    """Completed or pruned."""
    failed: int
    unfinished: tuple[space.Params, ...]
    """Parameters of trials that were begun, or given, and neither ended nor failed."""

    @property
    def finished(self) -> int:
        """Trials that need no more work."""
        return self.ended + self.failed


def study_storage(path: Path) -> JournalStorage:
    """The journal file; `optuna-dashboard PATH` opens it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return JournalStorage(JournalFileBackend(str(path)))


def read_progress(experiment: Experiment, storage: JournalStorage, store: Store) -> Progress:
    """What the study and the store say of an earlier run. Trials left RUNNING by it are closed as failed."""
    names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
    if experiment.name not in names:
        return Progress(0, 0, ())
    study = optuna.load_study(study_name=experiment.name, storage=storage)
    table = store.trials(experiment.name)
    statuses = dict(zip(table["trial_id"].to_pylist(), table["status"].to_pylist()))
    ended = failed = 0
    unfinished: list[space.Params] = []
    for trial in study.get_trials(deepcopy=False):
        if WARM in trial.user_attrs:
            continue
        params = trial.params or trial.system_attrs.get("fixed_params", {})
        if not trial.state.is_finished():
            # Not study.tell: it refuses trials that were only waiting to be proposed.
            storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.FAIL)
        status = statuses.get(_trial_id(experiment, params))
        if status == "failed":
            failed += 1
        elif status in ENDED:
            ended += 1
        elif params and params not in unfinished:
            unfinished.append(params)
    return Progress(ended, failed, tuple(unfinished))


def unfinished_design(experiment: Experiment, store: Store) -> list[space.Params]:
    """What of a design has not ended, in its order; a trial that another machine has not come to yet is in no study."""
    table = store.trials(experiment.name, columns=["trial_id", "status"])
    ended = {row["trial_id"] for row in table.to_pylist() if row["status"] in (*ENDED, "failed")}
    return [params for params in experiment.design or () if _trial_id(experiment, params) not in ended]


def build_search(experiment: Experiment, storage: JournalStorage, first: list[space.Params], seen: int) -> StudySearch:
    """The search over the experiment's space; `first` are tried before anything is sampled."""
    search = experiment.settings.search
    seed = search.seed + seen  # a resumed random search must not repeat its draws
    sampler: optuna.samplers.BaseSampler
    if search.sampler != "tpe":  # a design is given as a whole: nothing is left to sample
        sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup_trials, constant_liar=True)
    return StudySearch(
        space=Space(experiment.space),
        metric=experiment.metric,
        mode="min",
        points_to_evaluate=list(first),
        sampler=sampler,
        study_name=experiment.name,
        storage=storage,
    )


def _trial_id(experiment: Experiment, params: dict[str, Any]) -> str | None:
    return experiment.fixed(params).trial_id(experiment.name) if params else None
