"""The Jobs API of a Ray cluster, with errors that say what to do. Ray's client does the talking."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ganray.cluster.jobs_token import authorization
from ganray.errors import ClusterError
from ganray.recipe.messages import nearest

ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
DEFAULT_ADDRESS = "http://127.0.0.1:8265"
PREFIX = "ganray-"
"""Job ids of GANRay: ganray-EXPERIMENT-YYYYmmdd-HHMMSS."""

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")

_OTHER_ADDRESSES = (ADDRESS_VARIABLE, "RAY_ADDRESS")
_TALKATIVE = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers of Ray that tell of every upload and every closed connection."""

_PATIENCE_S = 120.0
_PAUSE_S = 2.0


@dataclass(frozen=True)
class Job:
    """A job as the cluster knows it."""

    id: str
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    metadata: Mapping[str, str]
    started_s: float | None
    """Unix time."""
    ended_s: float | None
    exit_code: int | None
    message: str

    @property
    def experiment(self) -> str:
        return self.metadata.get("experiment", "")

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True)
class Head:
    """The head node, as its dashboard describes it."""

    ray_version: str
    session: str

    def is_here(self) -> bool:
        """Whether it runs on this machine: the name of its session is in the command line of a process here.

        The address does not tell, since a tunnel to another machine begins at localhost, too.
        """
        import psutil
        import ray  # noqa: F401  # brings psutil along

        found = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
        return bool(self.session) and any(self.session in argument for line in found for argument in line)


class Jobs:
    """The jobs of one cluster."""

    def __init__(self, address: str) -> None:
        """Raises ClusterError where the head cannot be reached, or refuses the token."""
        self.address = http_address(address)
        with _explained(self.address), _only_this_address():
            headers = authorization(self.address)
            from ray.job_submission import JobSubmissionClient

            for name in _TALKATIVE:
                logging.getLogger(name).setLevel(logging.WARNING)
            self.client = JobSubmissionClient(self.address, headers=headers)

    @property
    def option(self) -> str:
        """What a further command line needs to reach this cluster."""
        return "" if self.address == DEFAULT_ADDRESS else f" --address {self.address}"

    def head(self) -> Head:
        """Versions and session of the head."""
        with _explained(self.address):
            said = self.client._do_request("GET", "/api/version").json()
        return Head(said.get("ray_version", ""), said.get("session_name", ""))

    def submit(self, job_id: str, entrypoint: str, runtime_env: dict[str, Any], metadata: dict[str, str]) -> None:
        """Upload what the runtime environment names by local paths, and start the job."""
        with _explained(self.address):
            self.client.submit_job(
                entrypoint=entrypoint, runtime_env=runtime_env, metadata=metadata, submission_id=job_id
            )

    def all(self) -> list[Job]:
        """GANRay's jobs, the newest first."""
        with _explained(self.address):
            found = [_job(details) for details in self.client.list_jobs() if _is_ours(details)]
        return sorted(found, key=lambda job: job.started_s or 0.0, reverse=True)

    def get(self, job_id: str) -> Job:
        """The present state of a job."""
        with _explained(self.address):
            return _job(self.client.get_job_info(job_id))

    def find(self, text: str) -> Job:
        """The job of this id, of an id that begins so, or the newest job of this experiment. ClusterError."""
        jobs = self.all()
        exact = [job for job in jobs if job.id == text] or [job for job in jobs if job.experiment == text][:1]
        found = exact or [job for job in jobs if text and job.id.startswith(text)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ClusterError(f"{text!r} begins the id of {len(found)} jobs: {', '.join(j.id for j in found)}")
        known = [job.id for job in jobs]
        there = nearest(text, known) if known else "no sweep has been submitted to it; `ganray submit` does that"
        raise ClusterError(f"the cluster at {self.address} has no job {text!r}; {there}")

    def logs(self, job_id: str) -> str:
        """Everything that the job has printed."""
        with _explained(self.address):
            return self.client.get_job_logs(job_id)

    def stop(self, job_id: str) -> bool:
        """Ask the job to end (SIGTERM); False where it had ended."""
        with _explained(self.address):
            return self.client.stop_job(job_id)

    def follow(self, job_id: str, tell: Callable[[str], object]) -> Job:
        """Pass on each line that the job prints, from its first, until it has ended; return its last state.

        A connection that breaks is made again. ClusterError where that fails for two minutes.
        """
        lines = _Lines(tell)
        lost_s: float | None = None
        broken: tuple[type[Exception], ...] = (ClusterError, OSError, RuntimeError, *_aiohttp_errors())
        while True:
            try:
                job = self.get(job_id)
                asyncio.run(lines.read(self.client.tail_job_logs(job_id)))
                job = self.get(job_id)
                lost_s = None
            except broken as error:
                lost_s = lost_s or time.monotonic()
                if time.monotonic() - lost_s > _PATIENCE_S:
                    raise ClusterError(
                        f"the connection to {self.address} was lost: {error}. The job goes on without it: "
                        f"`ganray logs {job_id} --follow` looks again"
                    ) from None
            else:
                if job.has_ended:
                    lines.rest(self.logs(job_id))
                    return job
            time.sleep(_PAUSE_S if lost_s else 0.5)


class _Lines:
    """Splits a stream into lines; a stream that begins again is passed on from where the last one broke."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._done = 0
        """Characters of the log that were passed on, as whole lines."""

    async def read(self, chunks: AsyncIterator[str]) -> None:
        """Pass on the lines of a stream that starts at the log's first character."""
        known, begun = self._done, ""
        async for chunk in chunks:
            fresh, known = chunk[known:], max(0, known - len(chunk))
            begun = self._pass_on(begun + fresh)

    def rest(self, log: str) -> None:
        """Pass on what no stream has brought of the whole log."""
        left = self._pass_on(log[self._done :])
        if left:
            self._tell(left)

    def _pass_on(self, text: str) -> str:
        *lines, begun = text.split("\n")
        for line in lines:
            self._tell(line)
            self._done += len(line) + 1
        return begun


def http_address(address: str) -> str:
    """`http://HOST:PORT` of what the user wrote. ClusterError where it is no such address."""
    text = address if "://" in address else f"http://{address}"
    parts = urlsplit(text)
    try:
        is_address = parts.scheme in ("http", "https") and parts.hostname and not parts.username and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.hostname == "auto":
        raise ClusterError(
            f"{address!r} is not the address of a cluster's dashboard; write it as http://HOST:8265 (jobs are handed "
            f"in there, not at Ray's own port 6379 or 10001)"
        )
    return text.rstrip("/")


@contextmanager
def _only_this_address() -> Iterator[None]:
    """Ray lets these variables win over the address that its client is given."""
    kept = {name: os.environ.pop(name) for name in _OTHER_ADDRESSES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Ray's errors as a paragraph with the remedy."""
    import requests
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        raise ClusterError(refused(address, missing="required" in str(error))) from None
    except (ConnectionError, requests.RequestException) as error:
        raise ClusterError(unreachable(address, error)) from None
    except RuntimeError as error:
        raise ClusterError(f"the cluster at {address} refused: {str(error).strip()}") from None


def refused(address: str, *, missing: bool) -> str:
    """What to do about a token that is not there, or not the cluster's."""
    what = "wants a token, and none was sent" if missing else "does not know this token"
    return (
        f"the cluster at {address} {what}. Put the cluster's token (`ray get-auth-token` on its head prints it) into "
        f"~/.ray/auth_token on this machine, or name its file with RAY_AUTH_TOKEN_PATH; RAY_AUTH_TOKEN goes before both"
    )


def unreachable(address: str, error: Exception) -> str:
    """What to do where nothing answers."""
    port = urlsplit(address).port or 8265
    reason = "it did not answer in time" if "imeout" in type(error).__name__ else "nothing answers there"
    return (
        f"cannot reach a Ray cluster at {address}: {reason}. The dashboard listens on its head's localhost alone, as "
        f"it should, so open a tunnel first: `ssh -N -L {port}:localhost:8265 USER@HEAD`, on Kubernetes `kubectl "
        f"port-forward service/NAME-head-svc {port}:8265`, or `ray dashboard cluster.yaml`; then use --address "
        f"http://localhost:{port}. Check on the head that it was started with the dashboard (ray[default])"
    )


def _aiohttp_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, asyncio.TimeoutError)


def _is_ours(details: Any) -> bool:
    return (
        bool(details.submission_id)
        and details.submission_id.startswith(PREFIX)
        and "ganray" in (details.metadata or {})
    )


def _job(details: Any) -> Job:
    return Job(
        id=details.submission_id,
        status=str(getattr(details.status, "value", details.status)),
        metadata=dict(details.metadata or {}),
        started_s=details.start_time / 1000 if details.start_time else None,
        ended_s=details.end_time / 1000 if details.end_time else None,
        exit_code=details.driver_exit_code,
        message=details.message or "",
    )
