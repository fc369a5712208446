"""`ganray leaderboard`: the best recipes of all experiments on one data set."""

from __future__ import annotations

from pathlib import Path

import click

from ganray.cli.options import make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE

LIST = "-"
"""What --pareto without a file stands for."""


@click.command("leaderboard")
@click.option(
    "--dataset", default=None, metavar="NAME", help="As the recipes name it.  [default: the store's only one]"
)
@click.option("--protocol", default=None, help="Rank under this one.  [default: the one with the most evaluations]")
@click.option("--experiment", default=None, metavar="GLOB", help="Only experiments whose name fits, such as 'loss*'.")
@click.option("--resolution", type=click.IntRange(1), default=None, help="Only trials of this side in pixels.")
@click.option("--at-kimg", type=click.FloatRange(0, min_open=True), default=None, metavar="K",
              help="Equal budget: each trial's best checkpoint up to K kimg; trials that did not get there are left "
              "out.")  # fmt: skip
@click.option("--at-device-hours", type=click.FloatRange(0, min_open=True), default=None, metavar="H",
              help="The same by device-hours.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Recipes that are shown.")
@click.option("--pareto", is_flag=False, flag_value=LIST, default=None, metavar="[PNG]",
              help="List the recipes that none beats on quality and cost, or on quality and copying at once; with a "
              "file's name also draw them.")  # fmt: skip
@click.option("--importance", is_flag=True, help="How much each choice matters: fANOVA and PED-ANOVA.")
@click.option("--effects", is_flag=True, help="What each value of each choice is worth, with intervals.")
@click.option("--format", "form", type=click.Choice(["rich", "md", "csv", "json"]), default="rich",
              show_default=True, help="How the table comes out. csv holds the ranking alone.")  # fmt: skip
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="A folder or an fsspec URI such as s3://bucket/runs.")  # fmt: skip
def command(
    dataset: str | None,
    protocol: str | None,
    experiment: str | None,
    resolution: int | None,
    at_kimg: float | None,
    at_device_hours: float | None,
    top: int,
    pareto: str | None,
    importance: bool,
    effects: bool,
    form: str,
    store_uri: str,
) -> None:
    """Rank the recipes of all experiments on one data set, under one protocol.

    Trials that differ by their seed only are one row: the mean of their best checkpoints, with its 95 % interval.
    Numbers of different protocols, extractors or images are never in one ranking.

    \b
    Examples:
      ganray leaderboard --dataset obama
      ganray leaderboard --dataset obama --protocol fid_5k_train --at-kimg 400 --pareto fronts.png
      ganray leaderboard --dataset my_images/ --importance --effects
      ganray leaderboard --experiment 'loss*' --top 50 --format csv > losses.csv
    """
    if at_kimg is not None and at_device_hours is not None:
        raise click.UsageError("--at-kimg and --at-device-hours are two budgets: give one of them")

    from ganray.report import render_across as render
    from ganray.report.across import across
    from ganray.report.across_analysis import fronts_picture, view
    from ganray.report.across_rows import Filter
    from ganray.store.store import Store

    wanted = Filter(
        dataset=dataset,
        protocol=protocol,
        experiment=experiment,
        resolution=resolution,
        at_kimg=at_kimg,
        at_device_hours=at_device_hours,
    )
    board = across(Store(store_uri), wanted)
    shown = view(board, top=top, lists_fronts=pareto is not None, importance=importance, effects=effects)
    if form == "rich":
        console = make_console()
        console.print(render.to_rich(shown, console.width))
    else:
        texts = {"md": render.to_markdown, "csv": render.to_csv, "json": render.to_json}
        click.echo(texts[form](shown), nl=False)
    if pareto not in (None, LIST):
        click.echo(f"picture: {fronts_picture(board, Path(pareto))}", err=form != "rich")
