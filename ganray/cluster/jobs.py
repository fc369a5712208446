"""A sweep as a job on a Ray cluster: handed in, followed, stopped, gone on with."""

import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from ganray.cluster.jobs_client import PREFIX, Head, Job, Jobs
from ganray.cluster.jobs_package import file_name, packed
from ganray.cluster.jobs_places import Places, find_places
from ganray.cluster.status import LINE
from ganray.errors import ClusterError
from ganray.recipe.experiment import Experiment
from ganray.version import COMMIT_VARIABLE, __version__, code_commit

Tell = Callable[[str], object]

STOP_S = 300
"""A job that was asked to end is killed after this long; Ray's own patience is 3 s."""

HIDDEN = re.compile(
    rf"{LINE} |Running entrypoint for job |[-\d]+ [\d:,]+\tINFO job_manager\.py"
    r"|(\x1b\[\d+m)*\(raylet\)(\x1b\[\d+m)* WARNING: \d+ PYTHON worker processes have been started"
)
"""Beginnings of the log's lines that are no news to a person; that slots have many processes that wait is none."""

NO_PYTHON = (126, 127)
"""A shell's exit codes where a command cannot be run."""

CODES = {"SUCCEEDED": 0, "STOPPED": 130}


@dataclass(frozen=True)
class Submission:
    """What is asked for beside the experiment."""

    arguments: tuple[str, ...] = ()
    """Options of `ganray sweep`, as they are typed; without paths."""
    until: str | None = None
    overrides: tuple[str, ...] = ()
    """What was given with --set."""
    fid_weights: str | None = None
    python: str = "python"
    resume: bool = False


def submit(experiment: Experiment, asked: Submission, jobs: Jobs, tell: Tell) -> Job:
    """Check what can be checked from here, send code and experiment, start the job.

    Raises ClusterError where versions differ or this experiment runs already, RecipeError where a path would not be
    there on the cluster.
    """
    from ganray.cluster.budget import Goal
    from ganray.cluster.status_writer import JOB_VARIABLE, LINES_VARIABLE

    if asked.until is not None:
        Goal.parse(asked.until, experiment.protocols)
    head = jobs.head()
    refuse_other_ray(head, jobs.address)
    head_is_here = head.is_here()
    places = find_places(experiment, asked.fid_weights, head_is_here)
    others = jobs.all()
    refuse_second(experiment.name, places, others, jobs.option)
    job_id = _new_id(experiment.name, {job.id for job in others})
    variables = {LINES_VARIABLE: "1", JOB_VARIABLE: job_id, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S)}
    if commit := code_commit():
        variables[COMMIT_VARIABLE] = commit
    metadata = {"experiment": experiment.name, "runs": places.runs, "store": places.store, "ganray": __version__}
    with packed(experiment, places) as folder:
        jobs.submit(
            job_id,
            entrypoint(experiment, asked, places),
            {"working_dir": str(folder), "env_vars": variables},
            metadata,
        )
    tell(f"{job_id}: {experiment.name} is handed in at {jobs.address}; results go to {places.store}")
    return jobs.get(job_id)


def entrypoint(experiment: Experiment, asked: Submission, places: Places) -> str:
    """The job's command line."""
    words = [asked.python, "-m", "ganray.cluster.jobs_driver", "sweep", file_name(experiment), "--address", "auto"]
    words += asked.arguments
    words += ["--until", asked.until] if asked.until is not None else []
    words += ["--resume"] if asked.resume else []
    words += ["--fid-weights", places.weights] if places.weights else []
    for override in (*asked.overrides, *places.overrides):
        words += ["--set", override]
    return shlex.join(words)


def refuse_other_ray(head: Head, address: str) -> None:
    """ClusterError where the cluster's Ray is another than the one that GANRay is installed with here."""
    import ray

    if head.ray_version != ray.__version__:
        raise ClusterError(
            f"the cluster at {address} runs Ray {head.ray_version}, and this machine has Ray {ray.__version__}; "
            f"bring them to one version: `pip install 'ray[default,train,tune]=={head.ray_version}'` here, or install "
            f"{ray.__version__} on every node and start the cluster again"
        )


def refuse_second(name: str, places: Places, others: Sequence[Job], option: str) -> None:
    """ClusterError where a job of this experiment, with the same runs, has not ended yet."""
    for job in others:
        if job.experiment == name and job.metadata.get("runs") == places.runs and not job.has_ended:
            raise ClusterError(
                f"{name} runs already on this cluster, as {job.id} ({job.status.lower()}); `ganray logs {job.id} "
                f"--follow{option}` shows it, `ganray stop {job.id}{option}` ends it, --set name=OTHER is another"
            )


def follow(job: Job, jobs: Jobs, tell: Tell, file: str | None = None) -> int:
    """Pass on what the job prints until it ends; return the exit code of the sweep. Ctrl-C leaves the job alone."""
    try:
        ended = jobs.follow(job.id, lambda line: None if HIDDEN.match(line) else tell(line))
    except KeyboardInterrupt:
        tell(
            f"\ndetached; the job goes on. `ganray logs {job.id} --follow{jobs.option}` looks again, "
            f"`ganray stop {job.id}{jobs.option}` ends it"
        )
        return 0
    for line in last_words(ended, f"ganray resume {file or 'EXPERIMENT'}{jobs.option}"):
        tell(line)
    return exit_code(ended)


def last_words(job: Job, resume: str) -> list[str]:
    """What is to be said of a job that ended otherwise than well, beside what it printed itself."""
    if job.status == "SUCCEEDED":
        return []
    if job.status == "STOPPED":
        return [f"{job.id} was stopped; `{resume}` goes on with it"]
    if job.exit_code in NO_PYTHON:
        return [
            f"ganray: the head has no such Python; name one that has GANRay's dependencies, by its absolute path: "
            f"--python /path/to/venv/bin/python ({job.id})"
        ]
    if job.exit_code == 2:  # the job has said what is wrong
        return []
    if job.exit_code is None:  # it was not even started, or its head went away
        return [f"ganray: {job.id} failed: {job.message.strip() or 'Ray gives no reason'}"]
    return [f"{job.id} ended with exit code {job.exit_code}; `{resume}` goes on with it"]


def exit_code(job: Job) -> int:
    """What `ganray sweep` itself would have ended with."""
    return 2 if job.exit_code in NO_PYTHON else CODES.get(job.status, job.exit_code or 1)


def stop(job: Job, jobs: Jobs, tell: Tell) -> Job:
    """Ask the job to end and wait until it has. ClusterError where it had ended before."""
    if job.has_ended or not jobs.stop(job.id):
        raise ClusterError(f"{job.id} has ended already ({jobs.get(job.id).status.lower()}); there is nothing to stop")
    tell(f"{job.id}: asked to end; its trials keep their checkpoints (Ctrl-C leaves it to itself)")
    deadline = time.monotonic() + STOP_S + 60
    while not (now := jobs.get(job.id)).has_ended:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{job.id} has not ended after {STOP_S + 60} s; `ray job delete` and the head's log help"
            )
        time.sleep(0.5)
    return now


def shown(log: str) -> list[str]:
    """The lines of a log that are for people."""
    return [line for line in log.splitlines() if not HIDDEN.match(line)]


def is_readable(address: str) -> bool:
    """Whether others on the way may read what is sent there, the token among it."""
    parts = urlsplit(address)
    return parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def _new_id(name: str, known: set[str]) -> str:
    """ganray-EXPERIMENT-YYYYmmdd-HHMMSS, of this moment or the next second that is free."""
    moment = time.time()
    while (job_id := f"{PREFIX}{name}-{datetime.fromtimestamp(moment):%Y%m%d-%H%M%S}") in known:
        moment += 1
    return job_id
