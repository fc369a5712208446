"""`ganray table`: which recipe won, or a benchmark's table beside the published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ganray.cli.options import make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE

_OF_BENCHMARKS = ("latex", "html")
"""Formats that experiments do not have."""


@click.command("table")
@click.argument("name")
@click.option("--protocol", default=None, help="Rank under this one.  [default: the one with the most evaluations]")
@click.option("--show", type=click.Choice(["best", "final"]), default="best", show_default=True,
              help="Rank by the best checkpoint of each trial or by its last.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["rich", "md", "latex", "html", "csv", "json"]), default="rich",
              show_default=True, help="How the table comes out; latex and html: benchmarks only.")  # fmt: skip
@click.option("--pictures", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="PNG",
              help="Also draw the sample grids of the best trials into this file.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=4, show_default=True, help="Trials on the picture.")
@click.option("--with-published", is_flag=True, help="Benchmarks: also other papers' numbers, by protocol.")
@click.option("--experiment", "is_experiment", is_flag=True, help="NAME is an experiment, even if a benchmark has it.")
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="A folder or an fsspec URI such as s3://bucket/runs.")  # fmt: skip
def command(
    name: str,
    protocol: str | None,
    show: Literal["best", "final"],
    form: str,
    pictures: Path | None,
    top: int,
    with_published: bool,
    is_experiment: bool,
    store_uri: str,
) -> None:
    """Rank the trials of an experiment under one protocol, or show a benchmark's table.

    NAME is an experiment, its YAML file, or a benchmark (few-shot-256, few-shot-1024, large-1024, self-supervision,
    samples-64). An experiment's trials are ranked with what their recipes differ in; those that repeat a recipe with
    other seeds are also shown as a mean with its 95 % interval. A benchmark's cells show that mean beside the published
    number, and the command that fills what is missing.

    \b
    Examples:
      ganray table quickstart
      ganray table experiments/quickstart.yaml --show final --pictures best.png
      ganray table few-shot-256 --with-published
      ganray table few-shot-256 --format latex > table.tex
    """
    from ganray.report.benchmark_table import is_benchmark
    from ganray.report.lookup import experiment_name
    from ganray.store.store import Store

    store = Store(store_uri)
    found = experiment_name(name)
    if not is_experiment and found == name and is_benchmark(store, name):
        if protocol or pictures:
            raise click.UsageError(f"{name} is a benchmark: its protocol is given, and --pictures is for experiments")
        _benchmark(store_uri, name, show, form, with_published)
        return
    if with_published or form in _OF_BENCHMARKS:
        raise click.UsageError(f"--with-published, latex and html are for benchmarks, and {found} is an experiment")
    _experiment(store_uri, found, protocol, show, form, pictures, top)


def _benchmark(store_uri: str, name: str, show: Literal["best", "final"], form: str, with_published: bool) -> None:
    from ganray.report import render_benchmark as render
    from ganray.report.benchmark_table import benchmark_table
    from ganray.store.store import Store

    board = benchmark_table(Store(store_uri), name, show, with_published)
    if form == "rich":
        console = make_console()
        console.print(render.to_rich(board, console.width))
    else:
        click.echo(render.TEXTS[form](board), nl=False)


def _experiment(
    store_uri: str,
    name: str,
    protocol: str | None,
    show: Literal["best", "final"],
    form: str,
    pictures: Path | None,
    top: int,
) -> None:
    from ganray.report import render
    from ganray.report.leaderboard import leaderboard
    from ganray.store.store import Store

    store = Store(store_uri)
    board = leaderboard(store, name, protocol, show)
    if form == "rich":
        console = make_console()
        console.print(render.to_rich(board, console.width))
    else:
        texts = {"md": render.to_markdown, "csv": render.to_csv, "json": render.to_json}
        click.echo(texts[form](board), nl=False)
    if pictures is not None:
        from ganray.report.pictures import montage

        click.echo(f"pictures: {montage(store, board, pictures, top)}", err=form != "rich")
