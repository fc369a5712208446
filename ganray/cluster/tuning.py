"""One run of a sweep: the study, the slots, Tune, and what follows their events."""

import time
from typing import Any

from ray import tune
from rich.console import Console

from ganray.cluster.backup import StudyBackup, drain, send_what_waits
from ganray.cluster.board import Board
from ganray.cluster.budget import Budget
from ganray.cluster.capacity import Capacity, alive_nodes
from ganray.cluster.claim import Claim
from ganray.cluster.earlier import WarmTrials, add_warm_trials, rebuild_study
from ganray.cluster.group import UNPLACED
from ganray.cluster.live import LiveTable
from ganray.cluster.loggers import build_loggers
from ganray.cluster.metrics import SweepMetrics
from ganray.cluster.packing import auto_gpus
from ganray.cluster.prune import PrunedRows
from ganray.cluster.resources import TUNE_CPUS, Demand, count_slots, demand_of
from ganray.cluster.rooms import clear_rooms
from ganray.cluster.schedulers import build_scheduler, checkpoint_config, tune_config
from ganray.cluster.settings import keep_secrets_out_of_logs
from ganray.cluster.slot import Slot, SlotConfig
from ganray.cluster.status_writer import Past, StatusWriter
from ganray.cluster.storage import ray_storage
from ganray.cluster.study import build_search, read_progress, study_storage, unfinished_design
from ganray.cluster.sweep import SweepOptions
from ganray.errors import ClusterError
from ganray.recipe.experiment import Experiment
from ganray.report.after_sweep import SweepResult
from ganray.store.store import Store
from ganray.trial.folder import Runs

SLOT_DEATHS = 20
"""How often a trial may lose its slot. What it is to blame for itself is counted in its folder, more strictly."""

CLEAR_S = 5.0


class Tuning:
    """The parts of one run of a sweep, on a Ray that is there."""

    def __init__(
        self,
        experiment: Experiment,
        options: SweepOptions,
        console: Console,
        runs: Runs,
        store: Store,
        claim: Claim,
        warm: WarmTrials,
        cluster: dict[str, float],
        budget: Budget,
        started: float,
    ) -> None:
        self.experiment, self.options, self.console = experiment, options, console
        self.runs, self.store, self.warm, self.budget, self.started = runs, store, warm, budget, started
        self.trials = options.trials or experiment.trials
        self.from_store, self.is_resumed = claim.from_store, claim.is_resumed
        storage = study_storage(claim.study)
        drain(store)  # rows that an outage kept on this machine say what is done
        if claim.from_store:
            rebuild_study(experiment, storage, store)
        self.new_warm = add_warm_trials(experiment, storage, warm)
        self.progress = read_progress(experiment, storage, store)
        self.left = max(0, self.trials - self.progress.finished)
        if experiment.design is not None and claim.is_resumed:
            first = unfinished_design(experiment, store)
        else:
            first = list(self.progress.unfinished) if claim.is_resumed else experiment.start_params()
        self.search = build_search(experiment, storage, first[: self.left], self.progress.finished)
        self.capacity = self._capacity(cluster)
        self.search.allowed = self.capacity.allowed
        self.budget_kimg = experiment.sample().budget.kimg
        self.table = LiveTable(
            experiment.metric, self.budget_kimg, self.trials, console, self.progress.finished, budget
        )

    def run(self) -> SweepResult:
        """To the end, or until the budget says stop."""
        self._announce()
        try:
            if self.left:
                with self.table:
                    self._fit()
        finally:
            for left in send_what_waits(self.experiment.name, self.runs, self.store):
                self.table.say(left)
        if self.budget.reason and self.left:
            self.table.say(f"ended early: {self.budget.reason}")
        return self._result()

    def _capacity(self, cluster: dict[str, float]) -> Capacity:
        """Raises ClusterError where no slot fits, and none is expected to."""
        resources, left = self.experiment.settings.resources, max(1, self.left)
        asked = self.options.slots or resources.slots
        # A number of slots on a running cluster is a wish: an autoscaler brings nodes for those that do not fit.
        expects_nodes = self.options.address is not None and asked is not None
        measured = None
        if resources.gpus_per_worker == "auto" and cluster.get("GPU", 0) > 0:
            self.console.print("[dim]measuring how much of a GPU a trial needs[/]")
            measured = auto_gpus(self.experiment, cluster, self.options.fid_weights)
        device = self.experiment.sample().runtime.device
        demand = demand_of(resources, cluster, device, expects_nodes=expects_nodes, measured=measured)
        if not expects_nodes:
            count_slots(demand, alive_nodes())
        return Capacity(demand, min(asked or left, left), expects_nodes=expects_nodes)

    @property
    def demand(self) -> Demand:
        return self.capacity.demand

    @property
    def slots(self) -> int:
        """Slots to begin with."""
        return self.capacity.allowed()

    def _fit(self) -> None:
        board = Board()
        slot = SlotConfig(
            self.experiment,
            self.runs.uri,
            self.store.uri,
            self.experiment.metric,
            self.demand,
            self.options.fid_weights,
            board.name,
            may_wait=self.options.address is not None,
        )
        scheduler = build_scheduler(
            self.experiment, self.store, trials=self.left, slots=self.slots, resumed=self.is_resumed
        )
        arguments = tune_config(self.search, scheduler, trials=self.left, slots=self.slots)
        if "max_concurrent_trials" in arguments:
            arguments["max_concurrent_trials"] = self.capacity.limit  # the search knows how many fit now
        tuner = tune.Tuner(
            tune.with_resources(Slot, {"CPU": TUNE_CPUS}),
            param_space={"slot": slot},
            tune_config=tune.TuneConfig(metric=self.experiment.metric, mode="min", reuse_actors=True, **arguments),
            run_config=tune.RunConfig(
                name=f"tune-{int(time.time())}",
                verbose=0,
                stop=self.budget,
                callbacks=self._callbacks(board),
                checkpoint_config=checkpoint_config(scheduler, self.runs),
                failure_config=tune.FailureConfig(max_failures=SLOT_DEATHS),
                **ray_storage(self.runs.place(self.experiment.name)),
            ),
        )
        keep_secrets_out_of_logs()
        grid = tuner.fit()
        for error in grid.errors:
            if UNPLACED in str(error):
                raise ClusterError(str(error).strip().splitlines()[-1].partition(f"{UNPLACED}: ")[2])

    def _callbacks(self, board: Board) -> list[tune.Callback]:
        name = self.experiment.name
        status = StatusWriter(
            self.table,
            self.runs,
            name,
            store=self.store.uri,
            slots=self.capacity.fits,
            slots_wanted=self.capacity.allowed,
            workers_per_slot=self.demand.workers,
            # Rows outlive --fresh, which begins anew.
            past=Past.of(self.store, name, self.experiment.metric) if self.is_resumed else Past(),
            device_s=lambda: self.budget.device_s,
        )
        return [
            _Ending(self.budget, board, status),
            self.table,
            _Room(self.table, self.capacity),
            PrunedRows(self.store, name, lambda: self.budget.is_over),
            StudyBackup(self.runs, name),
            status,
            SweepMetrics(status),
            *build_loggers(self.experiment.settings.loggers, self.runs, self.experiment),
        ]

    def _announce(self) -> None:
        done = f", {self.progress.finished} of them done before" if self.progress.finished else ""
        self.console.print(
            f"[bold]{self.experiment.name}[/]: {self.trials} trials{done} of {self.budget_kimg:g} kimg, ranked by "
            f"{self.experiment.metric}; {self.slots} slot(s) of {self.demand.workers} worker(s); results in "
            f"{self.store.uri}",
            highlight=False,
            soft_wrap=True,
        )
        if self.from_store:
            self.console.print(
                "The study was rebuilt from the store: trials marked running there are gone on with", highlight=False
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
            is_limit_reached=self.budget.is_reached,
        )


class _Ending(tune.Callback):
    """Tells the slots that the sweep is over, so that none of them waits for its trial's next report."""

    def __init__(self, budget: Budget, board: Board, status: StatusWriter) -> None:
        self.budget, self.board, self.status = budget, board, status
        self._told = False

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._tell()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        if self.budget.reason and not self._told:
            self._told = True
            self.board.stop()
            self.status.stopping(self.budget.reason)


class _Room(tune.Callback):
    """Gives back what dead slots hold, and says in the table when trials wait for nodes."""

    def __init__(self, table: LiveTable, capacity: Capacity) -> None:
        self.table, self.capacity = table, capacity
        self._said = ""
        self._cleared = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._cleared >= CLEAR_S:
            clear_rooms()
            self._cleared = time.monotonic()
        waiting = sum(trial.status in ("RUNNING", "PENDING") for trial in trials) - self.capacity.fits()
        text = f"{waiting} trial(s) wait for a node with room" if waiting > 0 else ""
        if text != self._said:
            self._said = self.table.note = text
