"""A long-lived Ray Train worker group with its mailbox: jobs in, results out."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from ganray.cluster.mailbox import Mailbox
from ganray.cluster.resources import Demand
from ganray.cluster.storage import ray_storage
from ganray.cluster.worker import WorkerConfig, work
from ganray.errors import ClusterError
from ganray.trial.job import TrialJob

POLL_S = 2.0
PLACEMENT_S = 45.0
"""A group that has no worker after this long says what it waits for; users are promised to hear within 60 s."""
GOODBYE_S = 8.0
COLLECTIVE_S = 900

UNPLACED = "slot-unplaced"


class WorkerGroup:
    """Workers that wait for jobs. Starting them takes half a minute; a further job costs a message."""

    def __init__(self, demand: Demand, place: Path | str, name: str) -> None:
        self.demand, self.place, self.name = demand, place, name
        self.mailbox: Any = ray.remote(Mailbox).options(num_cpus=0, max_concurrency=16).remote()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, job: TrialJob) -> int:
        """Give the workers a job; whatever they do now ends at its next report."""
        return int(ray.get(self.mailbox.submit.remote(job)))

    def next_result(self, job_id: int, stop: Callable[[], bool] = lambda: False) -> dict[str, Any] | None:
        """The job's next result; None where `stop` was asked for. Raises ClusterError where no worker can be placed."""
        while not stop():
            result: dict[str, Any] | None = ray.get(self.mailbox.next_result.remote(job_id, POLL_S))
            if result is not None:
                return result
            self._complain_if_unplaced()
        return None

    def close(self) -> None:
        """No more jobs: the workers save what they have and leave."""
        ray.get(self.mailbox.close.remote())
        self._thread.join(GOODBYE_S)
        ray.kill(self.mailbox)

    def _run(self) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        trainer = TorchTrainer(
            work,
            train_loop_config={"settings": WorkerConfig(self.mailbox, self.demand.threads)},
            torch_config=TorchConfig(timeout_s=COLLECTIVE_S),
            scaling_config=ScalingConfig(
                num_workers=self.demand.workers,
                use_gpu=self.demand.gpus_per_worker > 0,
                resources_per_worker=self.demand.per_worker,
            ),
            run_config=RunConfig(
                name=self.name,
                # Which job is to blame is counted by the mailbox; the group itself is always renewed.
                failure_config=FailureConfig(max_failures=-1),
                **ray_storage(self.place),
            ),
        )
        try:
            trainer.fit()
        except BaseException as error:  # the thread's only way to say so
            # After a shutdown nobody is left to tell, and the call would start a Ray of its own.
            if ray.is_initialized():
                ray.get(self.mailbox.group_died.remote(f"the worker group ended: {error!r}"))

    def _complain_if_unplaced(self) -> None:
        waited_s = time.monotonic() - self._started
        if waited_s < PLACEMENT_S or ray.get(self.mailbox.workers_ready.remote()):
            return
        if self._is_pending():
            raise ClusterError(
                f"{UNPLACED}: no worker could be placed for {waited_s:.0f} s: "
                f"{self.demand.explain(self.demand.unmet(ray.available_resources()))}"
            )

    def _is_pending(self) -> bool:
        """Whether Ray still looks for room for workers like ours."""
        wanted = self.demand.per_worker
        return any(
            group["state"] == "PENDING" and wanted in group["bundles"].values()
            for group in ray.util.placement_group_table().values()
        )
