"""What is missing from a benchmark's table, in the order to run it, and what it will cost by measured speed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median

from ganray.errors import RecipeError
from ganray.recipe.messages import nearest
from ganray.report.benchmark_match import Run, match, meaning_of, runs
from ganray.report.benchmark_table import reached
from ganray.report.benchmarks import Benchmark, Cell
from ganray.store.store import Store

HOUR_S = 3600.0

UNKNOWN = "unknown: no measurement yet"


@dataclass(frozen=True)
class Rate:
    """Device seconds per kimg, and whence they are known; None where nothing was measured."""

    s_per_kimg: float | None
    basis: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One cell's missing seeds. `retried`: those of them that failed before. `runs`: all trials of the cell so far."""

    cell: Cell
    seeds: tuple[int, ...]
    retried: tuple[int, ...]
    kimg: float
    rate: Rate
    runs: tuple[Run, ...]

    @property
    def device_hours(self) -> float | None:
        """What all of its seeds will take; a trial that was interrupted is counted from its beginning."""
        per_kimg = self.rate.s_per_kimg
        return None if per_kimg is None else per_kimg * self.kimg * len(self.seeds) / HOUR_S


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run, cheapest first. `filled`: cells with all seeds. `failed`: (cell, seed, diagnosis) left alone."""

    benchmark: Benchmark
    kimg: float
    jobs: tuple[Job, ...]
    filled: tuple[str, ...]
    failed: tuple[tuple[str, int, str], ...]


def plan(
    store: Store,
    benchmark: Benchmark,
    patterns: Sequence[str] = (),
    seeds: int = 3,
    kimg: float | None = None,
    retry_failed: bool = False,
    device: str | None = None,
) -> Plan:
    """The missing seeds 0 to `seeds` - 1 of the cells that match, cheapest first, unknown costs last.

    A seed is there once a trial completed that budget and was scored under the benchmark's protocol. One that failed
    is left alone unless `retry_failed`. `device`: the kind of device to run on, `cpu` or a GPU's name, whose measured
    speed is preferred. Raises RecipeError for a pattern that no cell matches, and for a budget that is no number.
    """
    if kimg is not None and not math.isfinite(kimg):
        raise RecipeError(f"a budget of {kimg:g} kimg cannot be trained; give a number, such as --budget 40")
    budget = kimg or benchmark.budget_kimg
    cells = select(benchmark, patterns)
    matches = match(store, benchmark)
    scored, _, _ = reached(store, benchmark, matches)
    measured, _ = runs(store, benchmark)
    jobs, filled, failed = [], [], []
    for cell in cells:
        found = [run for run in matches.runs.get(cell.name, []) if run.has_budget(budget)]
        missing, bad = _missing(found, set(scored), range(seeds))
        failed += [] if retry_failed else [(cell.name, seed, why) for seed, why in bad.items()]
        retried = tuple(bad) if retry_failed else ()
        if wanted := tuple(sorted((*missing, *retried))):
            rate = rate_of(cell, measured, device)
            jobs.append(Job(cell=cell, seeds=wanted, retried=retried, kimg=budget, rate=rate, runs=tuple(found)))
        elif not bad:
            filled.append(cell.name)
    return Plan(
        benchmark=benchmark,
        kimg=budget,
        jobs=tuple(sorted(jobs, key=_cost)),
        filled=tuple(filled),
        failed=tuple(failed),
    )


def select(benchmark: Benchmark, patterns: Sequence[str]) -> tuple[Cell, ...]:
    """The runnable cells that match any of the shell-like patterns; all of them without a pattern.

    Raises RecipeError where a pattern matches nothing, or only cells that GANRay cannot run.
    """
    for pattern in patterns:
        same = [cell for cell in benchmark.cells if fnmatchcase(cell.name, pattern)]
        if not same:
            known = [cell.name for cell in benchmark.runnable]
            raise RecipeError(f"--cells {pattern}: {benchmark.name} has no such cell; {nearest(pattern, known)}")
        if not any(cell.is_runnable for cell in same):
            what = "no recipe for this method" if same[0].method.recipe is None else "no such data set to fetch"
            raise RecipeError(f"--cells {pattern}: {what}, there are published numbers only")
    wanted = patterns or ["*"]
    return tuple(cell for cell in benchmark.runnable if any(fnmatchcase(cell.name, pattern) for pattern in wanted))


def rate_of(cell: Cell, measured: Sequence[Run], device: str | None) -> Rate:
    """The median speed of the cell's recipe, else of others with its generator, resolution and batch size."""
    timed = [run for run in measured if run.kimg > 0 and run.device_s > 0]
    recipe, meaning = cell.recipe(), meaning_of(cell)
    same = [run for run in timed if run.meaning == meaning]
    near = [
        run
        for run in timed
        if (run.generator, run.resolution, run.batch_size)
        == (recipe.generator.name, recipe.data.resolution, recipe.budget.batch_size)
    ]
    for found, words in ((same, "this recipe"), (near, f"other {recipe.generator.name} recipes at this resolution")):
        if found:
            kind = device if device in {kind_of(run.device) for run in found} else kind_of(found[-1].device)
            those = [run for run in found if kind_of(run.device) == kind]
            plural = "s" * (len(those) > 1)
            where = kind if device in (None, kind) else f"{kind}, not on {device}"
            basis = f"measured: {len(those)} trial{plural} of {words} on {where}"
            return Rate(median(run.device_s / run.kimg for run in those), basis)
    return Rate(None, UNKNOWN)


def kind_of(device: str) -> str:
    """`cpu (x86_64, 2 threads)` is a cpu."""
    return device.partition(" (")[0]


def _missing(found: Sequence[Run], scored: set[str], seeds: Iterable[int]) -> tuple[list[int], dict[int, str]]:
    """The seeds to run, and those that failed with their diagnosis and are not being trained again."""
    missing: list[int] = []
    failed: dict[int, str] = {}
    for seed in seeds:
        of_seed = [run for run in found if run.seed == seed]
        if any(run.status == "completed" and run.trial_id in scored for run in of_seed):
            continue
        bad = [run for run in of_seed if run.status == "failed"]
        if bad and not any(run.status == "running" for run in of_seed):
            failed[seed] = bad[-1].diagnosis or "no diagnosis"
        else:
            missing.append(seed)
    return missing, failed


def _cost(job: Job) -> tuple[float, int, int]:
    hours = job.device_hours
    return math.inf if hours is None else hours, job.cell.column.resolution, job.cell.column.n
