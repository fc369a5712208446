"""`ganray compare`: two trials side by side."""

from __future__ import annotations

from pathlib import Path

import click

from ganray.cli.options import make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE


@click.command("compare")
@click.argument("trial_a", metavar="TRIAL")
@click.argument("trial_b", metavar="TRIAL")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="PNG",
              help="Draw both sample grids side by side into this file.")  # fmt: skip
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="A folder or an fsspec URI such as s3://bucket/runs.")  # fmt: skip
def command(trial_a: str, trial_b: str, output: Path | None, store_uri: str) -> None:
    """What the recipes of two trials differ in, and what came of it.

    TRIAL is a trial's id or a beginning of it that no other trial has.

    \b
    Examples:
      ganray compare 3f2a9c1b 77d0
      ganray compare 3f2a 77d0 -o compare.png
    """
    from ganray.report.compare import compare
    from ganray.report.render_comparison import comparison_to_rich
    from ganray.store.store import Store

    store = Store(store_uri)
    comparison = compare(store, trial_a, trial_b)
    console = make_console()
    console.print(comparison_to_rich(comparison))
    if output is not None:
        from ganray.report.pictures import comparison_picture

        click.echo(f"pictures: {comparison_picture(store, comparison, output)}")
