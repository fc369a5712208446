"""What each Ray Train worker of a slot runs: take a job, train it, report, take the next."""

import gc
import time
from dataclasses import dataclass
from typing import Any

from ganray.trial.job import Outcome, Report, TrialJob

IDLE_S = 20.0
"""How long the main worker waits for a job before all of them meet again: far below a collective's timeout."""

ASK_S = 1.0


@dataclass(frozen=True)
class WorkerConfig:
    """What the workers of a slot are started with."""

    mailbox: Any
    threads: int


def work(config: dict[str, Any]) -> None:
    """Train jobs until the mailbox closes. Every worker of the slot runs this."""
    import ray
    import torch

    from ganray.trial.run import run_trial

    settings: WorkerConfig = config["settings"]
    mailbox = settings.mailbox
    world = _world()
    torch.set_num_threads(settings.threads)
    done_id = 0
    while True:
        asked = ray.get(mailbox.next_job.remote(done_id, IDLE_S)) if world.is_main else None
        kind, job_id, job = world.broadcast(asked)
        if kind == "closed":
            return
        if kind == "idle":
            continue

        def tell(report: Report, job: TrialJob = job, job_id: int = job_id) -> bool:
            return bool(ray.get(mailbox.report.remote(job_id, as_result(report))))

        outcome = run_trial(job, world, tell, pause=Pause(mailbox, world.is_main))
        if world.is_main and outcome.status == "failed":
            ray.get(mailbox.fail.remote(job_id, failure(outcome)))
        done_id = job_id
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class Pause:
    """Asks the mailbox, at most once in a while, whether the workers are to leave."""

    def __init__(self, mailbox: Any, is_main: bool) -> None:
        self.mailbox, self.is_main = mailbox, is_main
        self._asked = time.monotonic()

    def __call__(self) -> bool:
        import ray

        if not self.is_main or time.monotonic() - self._asked < ASK_S:
            return False
        self._asked = time.monotonic()
        return bool(ray.get(self.mailbox.wants_pause.remote()))


def failure(outcome: Outcome) -> dict[str, Any]:
    """A failed trial's last result."""
    return {
        **outcome.metrics,
        "kimg": outcome.kimg,
        "wall_s": outcome.wall_s,
        "status": "failed",
        "diagnosis": outcome.diagnosis,
        "done": True,
    }


def as_result(report: Report) -> dict[str, Any]:
    """A report as Tune knows results: one flat mapping."""
    return {
        **report.metrics,
        **{f"train/{name}": value for name, value in report.reading.items()},
        "kimg": report.kimg,
        "wall_s": report.wall_s,
        "status": report.status,
        "diagnoses": ", ".join(finding.name for finding in report.findings),
        "done": report.done,
    }


def _world() -> Any:
    import ray.train.torch
    from ray import train

    from ganray.training.distributed import World

    context = train.get_context()
    return World(context.get_world_rank(), context.get_world_size(), ray.train.torch.get_device())
