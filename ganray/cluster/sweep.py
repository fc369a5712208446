"""A sweep: Tune with Optuna over warm slots, resumable, every trial recorded in the store."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ganray.cluster.settings import start_ray
from ganray.data.images import load_images
from ganray.errors import ClusterError, RecipeError
from ganray.evaluation.protocols import get_protocol
from ganray.recipe.experiment import Experiment
from ganray.report.after_sweep import SweepResult
from ganray.store.location import store_uri
from ganray.store.store import Store


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
    runs = Path(experiment.settings.runs).absolute()
    store = Store(store_uri(experiment.settings.store, runs))
    check_before_start(experiment, store, options.fid_weights)
    folder = claim_folder(experiment, runs, options)

    # Everything above answers within seconds; from here on Ray is imported and started.
    cluster = start_ray(options.address, num_cpus=options.num_cpus, verbose=options.verbose)
    try:
        return _Sweep(experiment, options, console, trials, runs, store, folder, cluster, started).run()
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
        runs: Path,
        store: Store,
        folder: Path,
        cluster: dict[str, float],
        started: float,
    ) -> None:
        from ganray.cluster.live import LiveTable
        from ganray.cluster.resources import count_slots, demand_of
        from ganray.cluster.study import build_search, read_progress, study_storage

        self.experiment, self.options, self.console = experiment, options, console
        self.trials, self.runs, self.store, self.folder, self.started = trials, runs, store, folder, started
        sample = experiment.sample()
        settings = experiment.settings
        storage = study_storage(folder / "study.log")
        self.progress = read_progress(experiment, storage, store)
        self.left = max(0, trials - self.progress.finished)
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
        if self.left == 0:
            return self._result()
        with self.table:
            self._fit()
        return self._result()

    def _fit(self) -> None:
        from ray import tune

        from ganray.cluster.group import UNPLACED
        from ganray.cluster.prune import PrunedRows
        from ganray.cluster.resources import TUNE_CPUS
        from ganray.cluster.slot import Slot, SlotConfig

        slot = SlotConfig(
            self.experiment, self.runs, self.store.uri, self.experiment.metric, self.demand, self.options.fid_weights
        )
        pruned = PrunedRows(self.store, self.experiment.name, self._deadline())
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
                storage_path=str(self.folder),
                verbose=0,
                callbacks=[self.table, pruned],
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=1),
                failure_config=tune.FailureConfig(max_failures=2),
            ),
        )
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
    for name in experiment.protocols:
        if get_protocol(name).extractor == "inception":
            from ganray.evaluation.weights import find_inception_weights

            find_inception_weights(fid_weights)
    load_images(experiment.sample().data, progress=True)


def claim_folder(experiment: Experiment, runs: Path, options: SweepOptions) -> Path:
    """The sweep's folder: new, resumed or begun afresh, as the user said.

    Raises RecipeError where there is an earlier sweep and nothing was said of it, or where the file has changed.
    """
    folder = runs / experiment.name
    manifest = folder / "experiment.json"
    if options.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    content = json.dumps({"space": experiment.space, "metric": experiment.metric}, sort_keys=True, indent=1)
    if not manifest.exists():
        if options.resume:
            raise RecipeError(f"{folder} holds no sweep to resume; leave --resume out to start one")
        folder.mkdir(parents=True, exist_ok=True)
        manifest.write_text(content)
        return folder
    if not options.resume:
        raise RecipeError(
            f"{folder} holds a sweep of this name; --resume continues it, --fresh forgets its checkpoints and study "
            f"(rows in the store stay), --set name=OTHER starts another one"
        )
    if manifest.read_text() != content:
        raise RecipeError(
            f"{experiment.source.path} has changed since the sweep in {folder} began, so its trials could not be "
            f"compared; undo the change, or start another sweep with --set name=OTHER or --fresh"
        )
    return folder
