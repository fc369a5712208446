"""`ganray report`: the store as pages that open in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE


@click.command("report")
@click.argument("experiments", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("report"), show_default=True,
              metavar="FOLDER", help="Where the pages go; an earlier report there is replaced.")  # fmt: skip
@click.option("--pictures", type=click.Choice(["all", "best", "none"]), default="all", show_default=True,
              help="Which checkpoints' samples are copied beside the pages.")  # fmt: skip
@click.option("--open", "is_opened", is_flag=True, help="Open it in the browser.")
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="A folder or an fsspec URI such as s3://bucket/runs.")  # fmt: skip
def command(
    experiments: tuple[str, ...],
    output: Path,
    pictures: Literal["all", "best", "none"],
    is_opened: bool,
    store_uri: str,
) -> None:
    """Write a site of the store's trials: leaderboard, each trial's page, comparison of any two.

    EXPERIMENT is a name or the experiment's YAML file; left out: all of the store. The site needs no network and no
    server: open index.html, or copy the folder anywhere.

    \b
    Examples:
      ganray report quickstart --open
      ganray report losses discriminators -o pages/
      ganray report --store s3://bucket/runs --pictures best
    """
    from rich.progress import Progress

    from ganray.cli.options import make_console
    from ganray.report.lookup import experiment_name
    from ganray.report.site import build_report
    from ganray.store.store import Store

    names = [experiment_name(text) for text in experiments]
    console = make_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("trials", total=None)
        index = build_report(
            Store(store_uri), names, output, pictures=pictures,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
        total = int(bar.tasks[0].total or 0)
    click.echo(f"{index}: {total} trial{'' if total == 1 else 's'}")
    if is_opened:
        click.launch(str(index))
