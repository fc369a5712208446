"""A sweep: Tune with Optuna over warm slots, resumable, every trial recorded in the store."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ganray.cluster.claim import Claim, claim_folder, refuse_other_definition
from ganray.cluster.earlier import WarmTrials, find_warm_trials
from ganray.cluster.settings import keep_secrets_out_of_logs, start_ray
from ganray.data.images import load_images
from ganray.errors import ClusterError
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
    address: str | None = None
    num_cpus: int | None = None
    resume: bool = False
    fresh: bool = False
    verbose: bool = False
    fid_weights: Path | None = None


def run_sweep(experiment: Experiment, options: SweepOptions, console: Console) -> SweepResult:
    """Run or resume the sweep to the end, or until time is up or Ctrl-C.

    Raises RecipeError, DataError, WeightsError, StoreError before anything starts, ClusterError where no slot fits.
    """
    started = time.monotonic()
    trials = options.trials or experiment.trials
    runs = Runs.at(experiment.settings.runs)
    store = Store(store_uri(experiment.settings.store, runs.uri))
    check_before_start(experiment, store, options.fid_weights)
    warm = find_warm_trials(experiment, store, _fingerprint_of)
    claim = claim_folder(experiment, runs, store, resume=options.resume, fresh=options.fresh)

    # Everything above answers within seconds; from here on Ray is imported and started.
    cluster = start_ray(options.address, num_cpus=options.num_cpus, verbose=options.verbose)
    try:
        return _Sweep(experiment, options, console, trials, runs, store, claim, warm, cluster, started).run()
    finally:
        import ray

        ray.shutdown()


class _Sweep:
    """The parts of one run of a sweep."""

    def __init__(
        self,
        experiment: Experiment,
        options: SweepOptions,
        console: Console,
        trials: int,
        runs: Runs,
        store: Store,
        claim: Claim,
        warm: WarmTrials,
        cluster: dict[str, float],
        started: float,
    ) -> None:
        from ganray.cluster.backup import drain
        from ganray.cluster.earlier import add_warm_trials, rebuild_study
        from ganray.cluster.live import LiveTable
        from ganray.cluster.resources import count_slots, demand_of
        from ganray.cluster.study import build_search, read_progress, study_storage, unfinished_design

        self.experiment, self.options, self.console = experiment, options, console
        self.trials, self.runs, self.store, self.warm, self.started = trials, runs, store, warm, started
        self.from_store = claim.from_store
        sample = experiment.sample()
        settings = experiment.settings
        storage = study_storage(claim.study)
        drain(store)  # rows that an outage kept on this machine say what is done
        if claim.from_store:
            rebuild_study(experiment, storage, store)
        self.new_warm = add_warm_trials(experiment, storage, warm)
        self.progress = read_progress(experiment, storage, store)
        self.left = max(0, trials - self.progress.finished)
        if experiment.design is not None and options.resume:
            first = unfinished_design(experiment, store)
        else:
            first = list(self.progress.unfinished) if options.resume else experiment.start_params()
        self.search = build_search(experiment, storage, first[: self.left], self.progress.finished)
        self.demand = demand_of(settings.resources, cluster, sample.runtime.device)
        self.slots = count_slots(settings.resources, self.demand, cluster, max(1, self.left))
        self.budget_kimg = sample.budget.kimg
        self.table = LiveTable(
            experiment.metric, self.budget_kimg, trials, console, self.progress.finished, self._deadline()
        )

    def run(self) -> SweepResult:
        self._announce()
        from ganray.cluster.backup import send_what_waits

        try:
            if self.left:
                with self.table:
                    self._fit()
        finally:
            for left in send_what_waits(self.experiment.name, self.runs, self.store):
                self.console.print(left, style="yellow", highlight=False, soft_wrap=True, markup=False)
        return self._result()

    def _fit(self) -> None:
        from ray import tune

        from ganray.cluster.backup import StudyBackup
        from ganray.cluster.group import UNPLACED
        from ganray.cluster.prune import PrunedRows
        from ganray.cluster.resources import TUNE_CPUS
        from ganray.cluster.slot import Slot, SlotConfig
        from ganray.cluster.storage import ray_storage

        slot = SlotConfig(
            self.experiment,
            self.runs.uri,
            self.store.uri,
            self.experiment.metric,
            self.demand,
            self.options.fid_weights,
        )
        pruned = PrunedRows(self.store, self.experiment.name, self._deadline())
        backup = StudyBackup(self.runs, self.experiment.name)
        # At a URI each trial keeps its checkpoint itself, and waits out an outage; Tune would give the trial up.
        every = 0 if self.runs.is_remote else 1
        keep = tune.CheckpointConfig(checkpoint_frequency=every, checkpoint_at_end=bool(every), num_to_keep=1)
        tuner = tune.Tuner(
            tune.with_resources(Slot, {"CPU": TUNE_CPUS}),
            param_space={"slot": slot},
            tune_config=tune.TuneConfig(
                metric=self.experiment.metric,
                mode="min",
                num_samples=self.left,
                search_alg=self.search,
                scheduler=self._scheduler(),
                max_concurrent_trials=self.slots,
                reuse_actors=True,
                time_budget_s=self._time_left(),
            ),
            run_config=tune.RunConfig(
                name=f"tune-{int(time.time())}",
                verbose=0,
                callbacks=[self.table, pruned, backup],
                checkpoint_config=keep,
                failure_config=tune.FailureConfig(max_failures=2),
                **ray_storage(self.runs.place(self.experiment.name)),
            ),
        )
        keep_secrets_out_of_logs()
        grid = tuner.fit()
        for error in grid.errors:
            if UNPLACED in str(error):
                raise ClusterError(str(error).strip().splitlines()[-1].partition(f"{UNPLACED}: ")[2])

    def _scheduler(self) -> Any:
        asha = self.experiment.settings.search.scheduler
        if asha is None:
            return None
        from ray.tune.schedulers import ASHAScheduler

        every_kimg = self.experiment.sample().evaluation.every_kimg
        grace_kimg = min(asha.grace_kimg or 2 * every_kimg, self.budget_kimg)
        return ASHAScheduler(
            time_attr="kimg",
            max_t=self.budget_kimg,  # type: ignore[arg-type]  # floats work, the annotation says int
            grace_period=grace_kimg,  # type: ignore[arg-type]
            reduction_factor=asha.reduction_factor,
        )

    def _deadline(self) -> float | None:
        return self.started + self.options.time_s if self.options.time_s else None

    def _time_left(self) -> float | None:
        deadline = self._deadline()
        return max(1.0, deadline - time.monotonic()) if deadline else None

    def _announce(self) -> None:
        per_slot = self.experiment.settings.resources.workers_per_trial
        done = f", {self.progress.finished} of them done before" if self.progress.finished else ""
        self.console.print(
            f"[bold]{self.experiment.name}[/]: {self.trials} trials{done} of {self.budget_kimg:g} kimg, ranked by "
            f"{self.experiment.metric}; {self.slots} slot(s) of {per_slot} worker(s); results in {self.store.uri}",
            highlight=False,
            soft_wrap=True,
        )
        if self.from_store:
            self.console.print(
                "The study was rebuilt from the store. Trials marked running there are gone on with: end the other "
                "machine's sweep if it still runs",
                highlight=False,
            )
        if self.experiment.settings.search.warm_start:
            known = len(self.warm.found) - self.new_warm
            before = f" ({known} of them before)" if known else ""
            self.console.print(f"{self.warm}{before}", highlight=False, soft_wrap=True)

    def _result(self) -> SweepResult:
        lines = list(self.table.lines.values())
        return SweepResult(
            experiment=self.experiment.name,
            file=self.experiment.source.path,
            store=self.store,
            metric=self.experiment.metric,
            trials=self.trials,
            ended=self.progress.ended + sum(line.status in ("completed", "pruned") for line in lines),
            failed=self.progress.failed + sum(line.status == "failed" for line in lines),
            seconds=time.monotonic() - self.started,
            is_design=self.experiment.design is not None,
        )


def check_before_start(experiment: Experiment, store: Store, fid_weights: Path | None) -> None:
    """Whatever can be known to fail is found before a cluster is kept busy: images, weights, protocols, store."""
    store.check_writable()
    refuse_other_definition(experiment, store)
    for name in experiment.protocols:
        if get_protocol(name).extractor == "inception":
            from ganray.evaluation.weights import find_inception_weights

            find_inception_weights(fid_weights)
    load_images(experiment.sample().data, progress=True)


def _fingerprint_of(data: Mapping[str, Any]) -> str:
    """What a recipe's images are known by."""
    return _fingerprint(DataSpec.model_validate(data))


@functools.cache
def _fingerprint(data: DataSpec) -> str:
    return load_images(data, progress=True).fingerprint
