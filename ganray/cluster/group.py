"""A long-lived Ray Train worker group with its mailbox: jobs in, results out. It renews itself when it dies."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from ganray.cluster.mailbox import Mailbox
from ganray.cluster.resources import Demand
from ganray.cluster.rooms import clear_rooms
from ganray.cluster.storage import ray_storage
from ganray.cluster.worker import WorkerConfig, work
from ganray.errors import ClusterError
from ganray.trial.job import TrialJob

LOG = logging.getLogger(__name__)
POLL_S = 2.0
PLACEMENT_S = 45.0
"""A group that has no worker after this long says what it waits for; users are promised to hear within 60 s."""
START_S = 600.0
"""Workers that have a place and ask for no job for so long cannot start at all."""
GOODBYE_S = 30.0
"""How long workers have to save what they have: a step, and the way of a checkpoint to its place."""
RENEWALS = 5
"""A group that has died so often without one new result is given up."""
COLLECTIVE_S = 900

UNPLACED = "slot-unplaced"


class WorkerGroup:
    """Workers that wait for jobs. Starting them takes half a minute; a further job costs a message.

    A dead worker is replaced by Ray Train; where Train's own controller dies, the whole group is started again. Either
    way the mailbox hands out the job once more, and the workers go on from its checkpoint.
    """

    def __init__(self, demand: Demand, place: Path | str, name: str, *, may_wait: bool = False) -> None:
        """`may_wait`: nodes are expected to come, so a group without a place is no error."""
        self.demand, self.place, self.name, self.may_wait = demand, place, name, may_wait
        # Beside its owner: where that node goes, the slot goes in any case.
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        options = {"num_cpus": 0, "max_concurrency": 64, "scheduling_strategy": here}
        self.mailbox: Any = ray.remote(Mailbox).options(**options).remote()
        self._started = time.monotonic()
        self._closing = threading.Event()
        self._said_waiting = False
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)
        self._thread.start()

    def submit(self, job: TrialJob) -> int:
        """Give the workers a job; whatever they do now ends at its next report."""
        return int(ray.get(self.mailbox.submit.remote(job)))

    def next_result(self, job_id: int, stop: Callable[[], bool] = lambda: False) -> dict[str, Any] | None:
        """The job's next result; None where `stop` was asked for. Raises ClusterError where no worker can be placed."""
        while not stop():
            self._leave_draining_nodes()
            result: dict[str, Any] | None = ray.get(self.mailbox.next_result.remote(job_id, POLL_S))
            if result is not None:
                return result
            self._complain_if_unplaced()
        return None

    def leave(self, job_id: int) -> None:
        """Have the workers stop at their report and let go of the trial, whose last result has been fetched."""
        ray.get(self.mailbox.leave.remote(job_id))

    def close(self) -> None:
        """No more jobs: the workers save what they have and leave."""
        self._closing.set()
        if ray.get(self.mailbox.close.remote()):
            ray.get(self.mailbox.wait_until_left.remote(GOODBYE_S))
        # Train's own farewell takes many seconds; what is left of it dies with this actor.
        self._thread.join(1.0)
        ray.kill(self.mailbox)

    def _keep_alive(self) -> None:
        """Run Train's controller, and another one where it dies, until the group is closed."""
        starts, last_results = 0, 0
        while True:
            why = self._run(f"{self.name}-{starts}" if starts else self.name)
            # After a shutdown nobody is left to tell, and a call would start a Ray of its own.
            if self._closing.is_set() or not ray.is_initialized():
                return
            LOG.warning("%s: the worker group ended (%s) and is started again", self.name, why)
            clear_rooms()
            results = ray.get(self.mailbox.count_results.remote())
            starts = starts + 1 if results == last_results else 1
            last_results = results
            if starts > RENEWALS:
                ray.get(self.mailbox.group_died.remote(f"the worker group died {starts} times in a row: {why}"))
                return

    def _run(self, name: str) -> str:
        """One life of the group; why it ended."""
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        from ganray.cluster.no_cleaner import leave_out_trains_cleaner
        from ganray.cluster.rendezvous import LocalTorchConfig

        leave_out_trains_cleaner()
        trainer = TorchTrainer(
            work,
            train_loop_config={"settings": WorkerConfig(self.mailbox, self.demand, self.name)},
            torch_config=LocalTorchConfig(timeout_s=COLLECTIVE_S),
            scaling_config=ScalingConfig(
                num_workers=self.demand.workers,
                use_gpu=self.demand.gpus_per_worker > 0,
                resources_per_worker=self.demand.per_worker,
            ),
            run_config=RunConfig(
                name=name,
                # A trial counts its own attempts; the group itself is always renewed.
                failure_config=FailureConfig(max_failures=-1),
                **ray_storage(self.place),
            ),
        )
        try:
            trainer.fit()
        except BaseException as error:
            return (str(error) or repr(error)).strip().splitlines()[0]
        return "its workers returned"

    def _leave_draining_nodes(self) -> None:
        """Have the workers write a checkpoint and move where a node of theirs is about to be taken away."""
        if time.monotonic() - self._looked < POLL_S:
            return
        self._looked = time.monotonic()
        # No public call tells; Ray Train's own watcher asks the same way.
        draining: dict[str, int] = ray._private.state.state.get_draining_nodes()
        nodes = ray.get(self.mailbox.nodes.remote()) if draining else ()
        going = sorted(set(draining) & set(nodes))
        if going and ray.get(self.mailbox.evacuate.remote()):
            LOG.warning("%s: node %s is going away: the trial moves", self.name, ", ".join(going))

    def _complain_if_unplaced(self) -> None:
        """Raises ClusterError where workers that never had a place find none, or cannot start on theirs."""
        waited_s = time.monotonic() - self._started
        if waited_s < PLACEMENT_S or ray.get(self.mailbox.nodes.remote()):
            return
        if self._is_pending():
            text = (
                f"no worker could be placed for {waited_s:.0f} s: "
                f"{self.demand.explain(self.demand.unmet(ray.available_resources()))}"
            )
            if not self.may_wait:
                raise ClusterError(f"{UNPLACED}: {text}")
            if not self._said_waiting:
                LOG.warning("%s: %s; waiting for nodes", self.name, text)
                self._said_waiting = True
        elif waited_s > START_S and not self.may_wait:
            raise ClusterError(
                f"{UNPLACED}: the workers have a place but did not start within {START_S:.0f} s; "
                f"`ganray doctor` looks at each node, and Ray's logs say what they died of"
            )

    def _is_pending(self) -> bool:
        """Whether Ray still looks for room for workers like ours."""
        wanted = self.demand.per_worker
        return any(
            group["state"] == "PENDING" and wanted in group["bundles"].values()
            for group in ray.util.placement_group_table().values()
        )
