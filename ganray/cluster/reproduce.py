"""Fill a benchmark's missing cells: one sweep over seeds per cell, each resumed where it was begun."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from ganray.cluster.sweep import SweepOptions, run_sweep
from ganray.data.sources import open_source
from ganray.errors import DataError, GanrayError
from ganray.recipe.experiment import Experiment, load_experiment
from ganray.report.after_sweep import SweepResult
from ganray.report.benchmark_plan import Job, Plan, plan
from ganray.report.benchmarks import Benchmark
from ganray.store.store import Store

USUAL_SEEDS = (0, 1, 2)
"""An experiment with these needs no word on its seeds in its name."""

_NAME_ROOM = 24
_ENDED = ("completed", "pruned", "failed")


@dataclass(frozen=True)
class Options:
    """What the command line says of where and how cells run."""

    runs: Path
    store: Store
    address: str | None = None
    num_cpus: int | None = None
    verbose: bool = False
    fid_weights: Path | None = None


@dataclass(frozen=True)
class Submission:
    """One experiment file that is to be swept, and whether its sweep was begun before."""

    file: Path
    seeds: tuple[int, ...]
    resume: bool


@dataclass(frozen=True)
class Outcome:
    """How a cell went: its sweeps' results, or why it could not run."""

    job: Job
    results: tuple[SweepResult, ...] = ()
    error: str | None = None

    @property
    def is_unfinished(self) -> bool:
        """Somebody stopped it."""
        return any(result.is_unfinished for result in self.results)


def make_plan(
    benchmark: Benchmark,
    options: Options,
    patterns: Sequence[str] = (),
    seeds: int = 3,
    kimg: float | None = None,
    retry_failed: bool = False,
) -> tuple[Plan, dict[str, str]]:
    """What is missing, and the cells among it whose data is not here, with the reason and the command that helps."""
    device = None if options.address else _device(benchmark)
    found = plan(options.store, benchmark, patterns, seeds, kimg, retry_failed, device)
    return found, _absent(found)


def check_before_start(found: Plan, absent: Mapping[str, str], options: Options) -> None:
    """Whatever would stop every cell alike.

    Raises DataError where no cell has its data, WeightsError where the protocol needs the FID Inception and it is not
    to be had.
    """
    if len(absent) == len(found.jobs):
        names = ", ".join(absent)
        raise DataError(f"{found.benchmark.name}: nothing can run, for the data of {names} is not on this machine")
    if found.benchmark.metric.extractor == "inception":
        from ganray.evaluation.weights import find_inception_weights

        find_inception_weights(options.fid_weights)


def reproduce(found: Plan, absent: Mapping[str, str], options: Options, console: Console) -> list[Outcome]:
    """Run the plan's cells one after the other; a cell that cannot run does not stop the others, Ctrl-C does."""
    jobs = [job for job in found.jobs if job.cell.name not in absent]
    outcomes: list[Outcome] = []
    for k, job in enumerate(jobs, start=1):
        hours = "unknown cost" if job.device_hours is None else f"about {job.device_hours:.3g} device-hours"
        seeds = ", ".join(map(str, job.seeds))
        console.print(f"\n[bold]cell {k} of {len(jobs)}[/]: {job.cell.name}, seeds {seeds}, {hours}", highlight=False)
        outcomes.append(_run(job, options, console))
        if outcomes[-1].is_unfinished:
            break
    return outcomes


def _run(job: Job, options: Options, console: Console) -> Outcome:
    results: list[SweepResult] = []
    try:
        for submission in submissions(job, options):
            experiment = _load(submission.file, options)
            sweep = SweepOptions(
                address=options.address,
                num_cpus=options.num_cpus,
                resume=submission.resume,
                verbose=options.verbose,
                fid_weights=options.fid_weights,
            )
            results.append(run_sweep(experiment, sweep, console))
            if results[-1].is_unfinished:
                break
    except GanrayError as error:
        console.print(f"{job.cell.name} could not run: {error}", markup=False, highlight=False, soft_wrap=True)
        return Outcome(job, tuple(results), str(error))
    return Outcome(job, tuple(results))


def submissions(job: Job, options: Options) -> list[Submission]:
    """The experiments that together have the job's seeds: those begun before first, then a new one for the rest.

    Writes the new ones' files to `runs/EXPERIMENT.yaml`, from where `ganray sweep FILE` runs them too.
    """
    # A seed that ended there and is wanted all the same: it failed, or was scored by another extractor's weights.
    ended = {(run.experiment, run.seed) for run in job.runs if run.status in _ENDED}
    rest = set(job.seeds)
    found: list[Submission] = []
    for file in _earlier(job, options):
        experiment = _load(file, options)
        seeds = _seeds_of(experiment)
        left = {seed for seed in seeds if (experiment.name, seed) not in ended}
        # A sweep runs all of its seeds: one with more than was asked for would cost more than was said.
        if left & rest and left <= set(job.seeds):
            found.append(Submission(file, seeds, _was_begun(job, experiment.name, options)))
            rest -= left
    again = rest & {seed for _, seed in ended}
    for chosen, retry in ((rest - again, 0), (again, _next_retry(job, options))):
        if chosen:
            seeds = tuple(sorted(chosen))
            name = experiment_name(job, seeds, retry)
            found.append(Submission(_write(job, seeds, name, options), seeds, _was_begun(job, name, options)))
    return found


def _was_begun(job: Job, experiment: str, options: Options) -> bool:
    """Whether there is something to resume: a folder here, or rows of another machine."""
    here = (options.runs / experiment / "experiment.json").exists()
    return here or any(run.experiment == experiment for run in job.runs)


def experiment_name(job: Job, seeds: tuple[int, ...], retry: int = 0) -> str:
    """The same for the same work anywhere: the cell, and what of budget, seeds and retries is not as usual."""
    name = job.cell.experiment
    if job.kimg != job.cell.benchmark.budget_kimg:
        name += f".{job.kimg:g}kimg"
    if seeds != USUAL_SEEDS:
        text = "-".join(map(str, seeds))
        if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
            text = f"{seeds[0]}-to-{seeds[-1]}"
        name += f".seeds-{text if len(text) < _NAME_ROOM else hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name + (f".retry-{retry}" if retry else "")


def _earlier(job: Job, options: Options) -> list[Path]:
    """Files of this very cell and budget that were written before; others of a like name have another space."""
    result = []
    for file in sorted(options.runs.glob(f"{job.cell.experiment}*.yaml")):
        same = _meaning(_load(file, options).space) == _meaning(job.cell.tree(job.kimg))
        if same and file.stem.removeprefix(job.cell.experiment)[:1] in ("", "."):
            result.append(file)
    return result


def _write(job: Job, seeds: tuple[int, ...], name: str, options: Options) -> Path:
    cell = job.cell
    tree = {
        "name": name,
        **cell.tree(job.kimg),
        "seed": {"choice": list(seeds)},
        "search": {"sampler": "grid", "metric": cell.benchmark.protocol},
        "resources": cell.benchmark.resources.model_dump(mode="json", exclude_defaults=True),
        "runs": str(options.runs),
        "store": options.store.uri,
    }
    options.runs.mkdir(parents=True, exist_ok=True)
    file = options.runs / f"{name}.yaml"
    head = f"# Written by `{cell.command}`. By hand: ganray sweep {file} --resume\n"
    file.write_text(head + yaml.safe_dump(tree, sort_keys=False, width=120), encoding="utf-8")
    return file


def _load(file: Path, options: Options) -> Experiment:
    """The file's experiment, its results going where this call's go, wherever they went before."""
    places = {"runs": str(options.runs), "store": options.store.uri}
    return load_experiment(file, [f"{key}={json.dumps(value)}" for key, value in places.items()])


def _meaning(space: Mapping[str, Any]) -> str:
    """A space without seed and runtime, as a text."""
    return json.dumps({k: v for k, v in space.items() if k not in ("seed", "runtime")}, sort_keys=True)


def _seeds_of(experiment: Experiment) -> tuple[int, ...]:
    seed = experiment.space.get("seed", 0)
    return tuple(seed["choice"]) if isinstance(seed, Mapping) else (int(seed),)


def _next_retry(job: Job, options: Options) -> int:
    """One more than the retries that this cell has had, here or elsewhere."""
    names = {run.experiment for run in job.runs} | {file.stem for file in _earlier(job, options)}
    return 1 + max((int(tail) for name in names if (tail := name.rpartition(".retry-")[2]).isdigit()), default=0)


def _absent(found: Plan) -> dict[str, str]:
    """Cells whose data is not here, with the reason; each source is looked for once."""
    faults: dict[str, str | None] = {}
    for job in found.jobs:
        source = job.cell.column.dataset or ""
        if source not in faults:
            try:
                open_source(source)
                faults[source] = None
            except DataError as error:
                faults[source] = _with_command(source, str(error))
    return {job.cell.name: fault for job in found.jobs if (fault := faults[job.cell.column.dataset or ""])}


def _with_command(source: str, fault: str) -> str:
    kind, _, name = source.partition(":")
    command = f"ganray data fetch {name.partition(':')[0]}"
    return fault if kind != "catalog" or command in fault else f"{fault}; get it with `{command}`"


def _device(benchmark: Benchmark) -> str:
    """The kind of device that a trial here would run on: `cpu` or a GPU's name."""
    import torch

    wanted = benchmark.runnable[0].recipe().runtime.device
    return torch.cuda.get_device_name() if wanted != "cpu" and torch.cuda.is_available() else "cpu"
