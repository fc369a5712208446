"""`ganray reproduce`: run what is missing from a benchmark's table."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ganray.cli.options import fid_weights_option, make_console
from ganray.store.location import STORE_VARIABLE


@click.command("reproduce")
@click.argument("benchmark")
@click.option("--cells", default=None, metavar="METHOD:DATASET,...",
              help="Only these cells; shell patterns are allowed, as in 'fastgan:*'.  [default: all]")  # fmt: skip
@click.option(
    "--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Seeds 0, 1, ... of each cell."
)
@click.option("--budget", type=click.FloatRange(0, min_open=True), metavar="KIMG",
              help="Train for this long instead of the benchmark's kimg; the table marks such cells.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Start without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan and what it costs; run nothing.")
@click.option("--retry-failed", is_flag=True, help="Train failed seeds again, from the beginning.")
@click.option("--address", help="A running Ray cluster (auto, or HOST:PORT); left out: Ray starts on this machine.")
@click.option("--cpus", type=click.IntRange(min=1), help="CPUs that Ray may use on this machine; left out: all.")
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), default=Path("runs"), show_default=True,
              help="Folder of checkpoints and sweep state.")  # fmt: skip
@click.option("--store", "store_place", envvar=STORE_VARIABLE, show_envvar=True, metavar="URI",
              help="A folder or an fsspec URI such as s3://bucket/runs.  [default: store under --runs]")  # fmt: skip
@click.option("--verbose", is_flag=True, help="Show Ray's own log.")
@fid_weights_option
def command(
    benchmark: str,
    cells: str | None,
    seeds: int,
    budget: float | None,
    yes: bool,
    dry_run: bool,
    retry_failed: bool,
    address: str | None,
    cpus: int | None,
    runs: Path,
    store_place: str | None,
    verbose: bool,
    fid_weights: Path | None,
) -> None:
    """Run what is missing from a benchmark's table: seeds that no trial of the store has completed.

    Shows the plan first, cheapest cell first, with the device-hours that earlier trials lead one to expect, and asks.
    A second call runs only what is still missing, and goes on with what was interrupted.

    \b
    Examples:
      ganray reproduce samples-64 --cells dcgan:hubble --seeds 2
      ganray reproduce few-shot-256 --dry-run
      ganray reproduce few-shot-256 --cells 'fastgan:*,skip:obama' --address auto --yes
      ganray reproduce few-shot-256 --cells fastgan:obama --budget 40
    """
    from ganray.cluster.reproduce import Options, check_before_start, make_plan, reproduce
    from ganray.report.benchmark_table import benchmark_table
    from ganray.report.benchmarks import load_benchmark
    from ganray.report.render_benchmark import to_rich
    from ganray.report.render_plan import plan_to_rich
    from ganray.store.location import store_uri
    from ganray.store.store import Store

    declared = load_benchmark(benchmark)
    runs = runs.absolute()
    options = Options(runs, Store(store_uri(store_place, runs)), address, cpus, verbose, fid_weights)
    console = make_console()
    patterns = [part.strip() for part in (cells or "").split(",") if part.strip()]
    if cells is not None and not patterns:
        raise click.UsageError("--cells names no cell; leave it out for all of them")
    plan, absent = make_plan(declared, options, patterns, seeds, budget, retry_failed)
    console.print(plan_to_rich(plan, absent))
    if dry_run or not plan.jobs:
        return
    check_before_start(plan, absent, options)
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for your consent: give --yes to start, or --dry-run")
    if not yes:
        click.confirm("Start?", abort=True)
    outcomes = reproduce(plan, absent, options, console)
    console.print()
    console.print(to_rich(benchmark_table(options.store, declared), console.width))
    if any(outcome.is_unfinished for outcome in outcomes):
        raise SystemExit(130)
    if any(outcome.error for outcome in outcomes):
        raise SystemExit(2)
    if any(result.failed for outcome in outcomes for result in outcome.results):
        raise SystemExit(1)
