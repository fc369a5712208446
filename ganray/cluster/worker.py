"""What each Ray Train worker of a slot runs: take a job, train it, report, take the next."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ganray.cluster.resources import Demand
from ganray.trial.job import Outcome, Report

IDLE_S = 20.0
"""How long the main worker waits for a job before all of them meet again: far below a collective's timeout."""

ASK_S = 1.0


@dataclass(frozen=True)
class WorkerConfig:
    """What the workers of a slot are started with."""

    mailbox: Any
    demand: Demand
    slot: str
    """The slot's name."""


class NodeLeaves(Exception):
    """Raised to have Ray Train start the workers again, on nodes that stay."""


def work(config: dict[str, Any]) -> None:
    """Train jobs until the mailbox closes. Every worker of the slot runs this."""
    import ray
    import torch

    from ganray.cluster.packing import keep_to_share
    from ganray.trial.run import run_trial

    settings: WorkerConfig = config["settings"]
    mailbox = settings.mailbox
    world = _world()
    torch.set_num_threads(settings.demand.threads)
    keep_to_share(settings.demand.gpus_per_worker)
    places = world.gather((ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()))
    if world.is_main:
        ray.get(mailbox.hello.remote(tuple(node for node, _ in places)))
    where = {"slot": settings.slot, "node": ", ".join(sorted({ip for _, ip in places})), "workers": world.size}
    clock = SlotClock()
    done_id = 0
    while True:
        asked = ray.get(mailbox.next_job.remote(done_id, IDLE_S)) if world.is_main else None
        kind, job_id, job = world.broadcast(asked)
        if kind == "closed":
            return
        if kind == "move":
            raise NodeLeaves("a node of this slot is about to be taken away")
        if kind == "idle":
            continue

        def tell(report: Report, job_id: int = job_id) -> bool:
            result = {**as_result(report), **where, **clock.times()}
            with clock.waiting():
                return bool(ray.get(mailbox.report.remote(job_id, result)))

        with clock.job():
            outcome = run_trial(job, world, tell, pause=Pause(mailbox, world.is_main, clock))
        if world.is_main and outcome.status == "failed":
            ray.get(mailbox.fail.remote(job_id, {**failure(outcome), **where, **clock.times()}))
        # A trial that was paused for a move is not done: the workers that come after these get it again.
        done_id = job_id
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class SlotClock:
    """How much of a slot's time goes into training and evaluation, since its first job began.

    A job counts as busy from its first step on: reading images and building networks comes before. Waiting for Tune's
    verdict does not count either.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began: float | None = None
        self._busy_s = 0.0
        self._busy_since: float | None = None

    @contextmanager
    def job(self) -> Iterator[None]:
        """A job, its preparation included."""
        if self._began is None:
            self._began = self._now()
        try:
            yield
        finally:
            self._stop()

    def step(self) -> None:
        """The job trains."""
        if self._busy_since is None:
            self._busy_since = self._now()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Neither training nor evaluating."""
        was_busy = self._busy_since is not None
        self._stop()
        yield
        if was_busy:
            self.step()

    def times(self) -> dict[str, float]:
        """`busy_s` and `slot_s`, both since the first job began."""
        now = self._now()
        running_s = now - self._busy_since if self._busy_since is not None else 0.0
        return {"busy_s": self._busy_s + running_s, "slot_s": now - (now if self._began is None else self._began)}

    def _stop(self) -> None:
        if self._busy_since is not None:
            self._busy_s += self._now() - self._busy_since
            self._busy_since = None


class Pause:
    """Asks the mailbox, at most once in a while, whether the workers are to leave. Called at each step."""

    def __init__(self, mailbox: Any, is_main: bool, clock: SlotClock) -> None:
        self.mailbox, self.is_main, self.clock = mailbox, is_main, clock
        self._asked = time.monotonic()

    def __call__(self) -> bool:
        import ray

        self.clock.step()
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
