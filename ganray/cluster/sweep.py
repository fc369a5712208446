"""A sweep: Tune with Optuna over warm slots, resumable, every trial recorded in the store."""

import functools
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ganray.cluster.claim import claim_folder, refuse_other_definition
from ganray.cluster.earlier import find_warm_trials
from ganray.cluster.lease import only_driver
from ganray.cluster.loggers import check_loggers
from ganray.cluster.settings import start_ray
from ganray.cluster.signals import interruptible
from ganray.data.images import load_images
from ganray.evaluation.protocols import get_protocol
from ganray.recipe.data import DataSpec
from ganray.recipe.experiment import Experiment
from ganray.report.after_sweep import SweepResult
from ganray.store.location import store_uri
from ganray.store.store import Store
from ganray.trial.folder import Runs


@dataclass(frozen=True)
class SweepOptions:
    """What the command line adds to an experiment file."""

    trials: int | None = None
    time_s: float | None = None
    device_hours: float | None = None
    until: str | None = None
    slots: int | None = None
    address: str | None = None
    num_cpus: int | None = None
    resume: bool | None = False
    """None: go on where there is an earlier sweep, begin where there is none."""
    fresh: bool = False
    verbose: bool = False
    fid_weights: Path | None = None


def run_sweep(experiment: Experiment, options: SweepOptions, console: Console) -> SweepResult:
    """Run or resume the sweep to the end, or until a limit is reached or Ctrl-C.

    Raises RecipeError, DataError, WeightsError, StoreError before anything starts, ClusterError where no slot fits or
    where another process runs this sweep.
    """
    from ganray.cluster.budget import Budget, Goal, spent_before

    started = time.monotonic()
    runs = Runs.at(experiment.settings.runs)
    store = Store(store_uri(experiment.settings.store, runs.uri))
    goal = Goal.parse(options.until, experiment.protocols) if options.until else None
    check_before_start(experiment, store, options.fid_weights)
    warm = find_warm_trials(experiment, store, _fingerprint_of)
    budget = Budget(
        deadline=started + options.time_s if options.time_s else None,
        device_hours=options.device_hours,
        goal=goal,
        spent={} if options.fresh else spent_before(experiment, store),
    )
    with ExitStack() as while_running:
        renew_lease = while_running.enter_context(only_driver(experiment.name, runs, budget.stop))
        claim = claim_folder(experiment, runs, store, resume=options.resume, fresh=options.fresh)
        if options.fresh:
            renew_lease()
        # Everything above answers within seconds; from here on Ray is imported and started.
        cluster = start_ray(options.address, num_cpus=options.num_cpus, verbose=options.verbose)
        while_running.callback(_stop_ray)
        while_running.enter_context(interruptible(budget.stop))

        from ganray.cluster.tuning import Tuning

        return Tuning(experiment, options, console, runs, store, claim, warm, cluster, budget, started).run()


def check_before_start(experiment: Experiment, store: Store, fid_weights: Path | None) -> None:
    """Whatever can be known to fail is found before a cluster is kept busy: images, weights, loggers, store."""
    store.check_writable()
    refuse_other_definition(experiment, store)
    for name in experiment.protocols:
        if get_protocol(name).extractor == "inception":
            from ganray.evaluation.weights import find_inception_weights

            find_inception_weights(fid_weights)
    check_loggers(experiment.settings.loggers)
    load_images(experiment.sample().data, progress=True)


def _stop_ray() -> None:
    import ray

    ray.shutdown()


def _fingerprint_of(data: Mapping[str, object]) -> str:
    """What a recipe's images are known by."""
    return _fingerprint(DataSpec.model_validate(data))


@functools.cache
def _fingerprint(data: DataSpec) -> str:
    return load_images(data, progress=True).fingerprint
