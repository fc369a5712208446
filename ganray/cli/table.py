"""`ganray table`: which recipe won."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ganray.cli.options import make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE


@click.command("table")
@click.argument("experiment")
@click.option("--protocol", default=None, help="Rank under this one.  [default: the one with the most evaluations]")
@click.option("--show", type=click.Choice(["best", "final"]), default="best", show_default=True,
              help="Rank by the best checkpoint of each trial or by its last.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["rich", "md", "csv", "json"]), default="rich",
              show_default=True, help="How the table comes out.")  # fmt: skip
@click.option("--pictures", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="PNG",
              help="Also draw the sample grids of the best trials into this file.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=4, show_default=True, help="Trials on the picture.")
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="A folder or an fsspec URI such as s3://bucket/runs.")  # fmt: skip
def command(
    experiment: str,
    protocol: str | None,
    show: Literal["best", "final"],
    form: str,
    pictures: Path | None,
    top: int,
    store_uri: str,
) -> None:
    """Rank the trials of an experiment under one protocol, with what their recipes differ in.

    EXPERIMENT is a name or the experiment's YAML file. Trials that repeat a recipe with other seeds are also
    shown as a mean with its 95 % interval.

    \b
    Examples:
      ganray table quickstart
      ganray table experiments/quickstart.yaml --show final --pictures best.png
      ganray table few_shot_256 --protocol fid_5k_train --format md > table.md
    """
    from ganray.report import render
    from ganray.report.leaderboard import leaderboard
    from ganray.report.lookup import experiment_name
    from ganray.store.store import Store

    store = Store(store_uri)
    board = leaderboard(store, experiment_name(experiment), protocol, show)
    if form == "rich":
        console = make_console()
        console.print(render.to_rich(board, console.width))
    else:
        texts = {"md": render.to_markdown, "csv": render.to_csv, "json": render.to_json}
        click.echo(texts[form](board), nl=False)
    if pictures is not None:
        from ganray.report.pictures import montage

        click.echo(f"pictures: {montage(store, board, pictures, top)}", err=form != "rich")
