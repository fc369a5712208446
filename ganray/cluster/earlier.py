"""Trials of the store as trials of an Optuna study: a warm start, and a study that another machine kept to itself."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from ganray.errors import RecipeError, StoreError
from ganray.recipe import space
from ganray.recipe.experiment import Experiment
from ganray.recipe.recipe import NOT_HASHED
from ganray.recipe.settings import WarmStart
from ganray.store.query import query
from ganray.store.store import Store

WARM = "warm_start"
"""The user attribute of a trial that belongs to another sweep: which one it was."""

FingerprintOf = Callable[[Mapping[str, Any]], str]
"""The fingerprint of the images that a recipe's `data` describes."""


@dataclass(frozen=True)
class Found:
    """An earlier trial that a study can learn from."""

    trial_id: str
    params: space.Params
    distributions: dict[str, BaseDistribution]
    value: float


@dataclass(frozen=True)
class WarmTrials:
    """What a warm start has found, the newest first, and why other trials are of no use."""

    found: tuple[Found, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        others = ", ".join(f"{count} {why}" for why, count in self.left_out.most_common())
        return f"warm start: {len(self.found)} earlier trial(s) taken" + (f"; left out: {others}" if others else "")


def find_warm_trials(experiment: Experiment, store: Store, fingerprint_of: FingerprintOf) -> WarmTrials:
    """The earlier trials that `search.warm_start` asks for.

    Raises RecipeError where its condition is no SQL, or where the store has no trial of those experiments.
    """
    wanted = experiment.settings.search.warm_start
    if wanted is None:
        return WarmTrials()
    warm: dict[str, Found] = {}
    left_out: Counter[str] = Counter()
    for rows in _newest_first(_rows(experiment, wanted, store)):
        found = _found(experiment, rows, fingerprint_of)
        key = found if isinstance(found, str) else json.dumps(found.params, sort_keys=True)
        if isinstance(found, str):
            left_out[found] += 1
        elif key in warm:
            left_out["the same recipe again"] += 1
        elif wanted.limit is not None and len(warm) >= wanted.limit:
            left_out["beyond the limit"] += 1
        else:
            warm[key] = found
    return WarmTrials(tuple(warm.values()), left_out)


def add_warm_trials(experiment: Experiment, storage: BaseStorage, warm: WarmTrials) -> int:
    """Add them to the experiment's study as completed trials, those that it lacks; return how many these were."""
    if not warm.found:
        return 0
    study = make_study(experiment, storage)
    known = {trial.user_attrs.get(WARM) for trial in study.get_trials(deepcopy=False)}
    known |= {_trial_id(experiment, trial.params) for trial in study.get_trials(deepcopy=False)}
    new = [found for found in reversed(warm.found) if found.trial_id not in known]
    study.add_trials(
        create_trial(
            params=found.params,
            distributions=found.distributions,
            value=found.value,
            user_attrs={WARM: found.trial_id},
        )
        for found in new
    )
    return len(new)


def rebuild_study(experiment: Experiment, storage: BaseStorage, store: Store) -> None:
    """Fill a new study with this very sweep's trials as the store knows them; unfinished ones are begun first again.

    A pruned trial counts with its last value, as it does where the scheduler stops it.
    """
    study = make_study(experiment, storage)
    rows = query(store, f"SELECT * FROM results WHERE experiment = {_text(experiment.name)} ORDER BY created_at")
    for of_trial in _newest_first(rows.to_pylist())[::-1]:
        row = of_trial[0]
        if row["definition_hash"] != experiment.definition_hash:
            continue
        try:
            params, distributions = as_params(experiment, json.loads(row["recipe_json"]))
        except RecipeError:
            continue  # a recipe that was given another experiment's space by hand
        value = _value(of_trial, experiment.metric) if row["status"] in ("completed", "pruned") else None
        study.add_trial(_rebuilt(params, distributions, value))


def make_study(experiment: Experiment, storage: BaseStorage) -> optuna.Study:
    """The experiment's study, made where there is none."""
    return optuna.create_study(storage=storage, study_name=experiment.name, direction="minimize", load_if_exists=True)


def as_params(experiment: Experiment, recipe: Mapping[str, Any]) -> tuple[space.Params, dict[str, BaseDistribution]]:
    """The parameters that draw this recipe, and what each of them was drawn from.

    `runtime` means nothing. Raises RecipeError where the recipe lies outside the space.
    """
    wanted = {
        key: value
        for key, value in recipe.items()
        if key not in NOT_HASHED or space.holds_distribution(experiment.space.get(key, {}))
    }
    recorder = _Recorder(experiment.params_of(wanted))
    space.draw(experiment.space, recorder)
    return recorder.drawn, recorder.distributions


class _Recorder(space.FixedSuggest):
    """Draws given parameters, and keeps what Optuna would have been asked."""

    def __init__(self, params: space.Params) -> None:
        super().__init__(params)
        self.drawn: space.Params = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.distributions[name] = CategoricalDistribution(tuple(choices))
        self.drawn[name] = super().suggest_categorical(name, choices)
        return self.drawn[name]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.distributions[name] = FloatDistribution(low, high, log=log)
        value = super().suggest_float(name, low, high, log=log)
        self.drawn[name] = value
        return value

    def suggest_int(self, name: str, low: int, high: int) -> int:
        self.distributions[name] = IntDistribution(low, high)
        value = super().suggest_int(name, low, high)
        self.drawn[name] = value
        return value


def _rows(experiment: Experiment, wanted: WarmStart, store: Store) -> list[dict[str, Any]]:
    names = ", ".join(_text(name) for name in wanted.experiments)
    place = experiment.place(("search", "warm_start"))
    known = store.experiments()
    if missing := [name for name in wanted.experiments if name not in known]:
        raise RecipeError(
            f"{place}: search.warm_start.experiment: {store.uri} has no trial of {', '.join(missing)}; it has "
            f"{', '.join(known) or 'no experiment'}"
        )
    # The condition ends with its line, so that a comment in it hides nothing.
    where = f" AND ({wanted.where}\n)" if wanted.where else ""
    try:
        rows = query(store, f"SELECT * FROM results WHERE experiment IN ({names}){where}")
    except StoreError as error:
        raise RecipeError(f"{place}: search.warm_start.where: {error}") from None
    return rows.to_pylist()


def _newest_first(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each trial, one per protocol, the newest trial first."""
    trials: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        trials.setdefault(row["trial_id"], []).append(row)
    return sorted(trials.values(), key=lambda of_trial: (of_trial[0]["created_at"], of_trial[0]["trial_id"]))[::-1]


def _found(experiment: Experiment, rows: list[dict[str, Any]], fingerprint_of: FingerprintOf) -> Found | str:
    """What a trial tells, or why it tells nothing."""
    row = rows[0]
    if row["status"] not in ("completed", "pruned"):
        return f"{row['status']}"
    if row["lineage"]:
        return "of changing recipes"
    if not any(each["protocol"] for each in rows):
        return "without a value"
    value = _value(rows, experiment.metric)
    if value is None:
        return f"without {experiment.metric}"
    recipe = json.loads(row["recipe_json"])
    try:
        params, distributions = as_params(experiment, _at_our_place(experiment, recipe))
        ours = fingerprint_of(experiment.fixed(params).data.model_dump())
    except RecipeError:
        return "outside the space"
    if row["dataset_fingerprint"] != ours:
        return "of other images"
    return Found(row["trial_id"], params, distributions, value)


def _at_our_place(experiment: Experiment, recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe with this file's source of images: what they are is told by their fingerprint, not by their folder."""
    source = experiment.space.get("data", {}).get("source")
    return {**recipe, "data": {**recipe["data"], "source": source}} if isinstance(source, str) else recipe


def _value(rows: list[dict[str, Any]], metric: str) -> float | None:
    """The trial's last finite value under this protocol: what Optuna is told of a trial of its own, too."""
    values = [row["final"] for row in rows if row["protocol"] == metric and row["final"] is not None]
    return values[0] if values and math.isfinite(values[0]) else None


def _rebuilt(params: space.Params, distributions: dict[str, BaseDistribution], value: float | None) -> FrozenTrial:
    state = TrialState.FAIL if value is None else TrialState.COMPLETE
    return create_trial(params=params, distributions=distributions, value=value, state=state)


def _trial_id(experiment: Experiment, params: space.Params) -> str | None:
    return experiment.fixed(params).trial_id(experiment.name) if params else None


def _text(value: str) -> str:
    """A literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
