"""Where a slot's Trainable leaves jobs and its workers leave results. An async Ray actor without a CPU."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

Result = dict[str, Any]


@dataclass
class _Job:
    id: int
    content: Any
    last_kimg: float = -1.0
    ended: bool = False
    may_go_on: bool = False
    """Tune has seen the last report and asked for the next one."""
    results: list[Result] = field(default_factory=list)


class Mailbox:
    """One job at a time. A report waits until Tune has judged it, so that a stopped trial stops right there.

    Workers that were started again get the same job once more; how often a trial may kill its workers is counted in
    its own folder (`ganray.trial.attempts`), which outlives this actor.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._job: _Job | None = None
        self._closed = False
        self._evacuating = False
        self._left = False
        self._error: str | None = None
        self._nodes: tuple[str, ...] = ()
        self._count = 0

    # The Trainable's side

    async def submit(self, content: Any) -> int:
        """A new job; whatever ran before is to stop at its next report."""
        async with self._changed:
            self._job = _Job((self._job.id if self._job else 0) + 1, content)
            self._changed.notify_all()
            return self._job.id

    async def next_result(self, job_id: int, timeout_s: float) -> Result | None:
        """The next result of this job, or None after the timeout. Raises RuntimeError where the slot has died."""
        async with self._changed:
            job = self._current(job_id)
            job.may_go_on = not job.results
            self._changed.notify_all()
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: job.results or self._error), timeout_s)
            except TimeoutError:
                return None
            if not job.results:
                raise RuntimeError(self._error)
            return job.results.pop(0)

    async def leave(self, job_id: int) -> None:
        """The job's workers are to stop at their report and let go of the trial: another slot may go on with it."""
        async with self._changed:
            self._current(job_id).ended = True
            self._changed.notify_all()

    async def group_died(self, error: str) -> None:
        """The worker group cannot be kept alive."""
        async with self._changed:
            self._error = error
            self._changed.notify_all()

    async def nodes(self) -> tuple[str, ...]:
        """Ids of the nodes on which the workers are; empty before they have ever been there."""
        return self._nodes

    async def count_results(self) -> int:
        """How many results have ever come in."""
        return self._count

    async def evacuate(self) -> bool:
        """The workers are to save what they have and start again elsewhere; False where they know already."""
        async with self._changed:
            if self._evacuating:
                return False
            self._evacuating = True
            self._changed.notify_all()
            return True

    async def close(self) -> bool:
        """No further jobs: the workers return. Answers whether there are any to wait for."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()
            return bool(self._nodes)

    async def wait_until_left(self, timeout_s: float) -> bool:
        """Whether the workers have saved what they had and gone."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self._left), timeout_s)
            except TimeoutError:
                return False
            return True

    # The main worker's side

    async def hello(self, nodes: tuple[str, ...]) -> None:
        """The workers have started, on these nodes."""
        self._nodes, self._evacuating = nodes, False

    async def wants_pause(self) -> bool:
        """Whether the job is to be left where it is, with a checkpoint."""
        return self._closed or self._evacuating

    async def next_job(self, done_id: int, timeout_s: float) -> tuple[str, int, Any]:
        """("job", id, content), ("idle", 0, None) after the timeout, ("move", 0, None) or ("closed", 0, None)."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self._closed or self._evacuating or self._waiting(done_id)),
                    timeout_s,
                )
            except TimeoutError:
                return "idle", 0, None
            if self._closed:
                self._left = True
                self._changed.notify_all()
                return "closed", 0, None
            if self._evacuating:
                return "move", 0, None
            job = self._job
            assert job is not None
            return "job", job.id, job.content

    async def report(self, job_id: int, result: Result) -> bool:
        """Hand in one result; answers, when Tune has judged it, whether the job is to go on."""
        async with self._changed:
            if not self._is_wanted(job_id):
                return False
            job = self._current(job_id)
            if result["kimg"] <= job.last_kimg and not result["done"]:
                return True  # a restarted worker repeats what was judged before
            job.may_go_on = False
            self._put(job, result)
            if result["done"]:
                return False
            await self._changed.wait_for(lambda: not self._is_wanted(job_id) or job.may_go_on)
            return self._is_wanted(job_id)

    async def fail(self, job_id: int, result: Result) -> None:
        """The job cannot go on; this is its last result."""
        async with self._changed:
            if self._is_wanted(job_id):
                self._put(self._current(job_id), result)

    def _put(self, job: _Job, result: Result) -> None:
        job.ended = job.ended or bool(result["done"])
        job.last_kimg = max(job.last_kimg, result["kimg"])
        job.results.append(result)
        self._count += 1
        self._changed.notify_all()

    def _current(self, job_id: int) -> _Job:
        if self._job is None or self._job.id != job_id:
            raise RuntimeError(f"job {job_id} is not the slot's current job")
        return self._job

    def _waiting(self, done_id: int) -> bool:
        return self._job is not None and self._job.id > done_id and not self._job.ended

    def _is_wanted(self, job_id: int) -> bool:
        return not self._closed and self._job is not None and self._job.id == job_id and not self._job.ended
