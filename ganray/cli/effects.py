"""`ganray effects`: what each switch is worth."""

from __future__ import annotations

from typing import Literal

import click

from ganray.cli.options import make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE


@click.command("effects")
@click.argument("experiment")
@click.option("--baseline", metavar="TRIAL", default=None,
              help="A trial of the recipe to compare with.  [default: the one most like the others]")  # fmt: skip
@click.option("--protocol", default=None, help="Compare under this one.  [default: the one with the most evaluations]")
@click.option("--show", type=click.Choice(["final", "best"]), default="final", show_default=True,
              help="Compare the last checkpoints, or the best of each trial.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["rich", "md", "csv", "json"]), default="rich",
              show_default=True, help="How the table comes out.")  # fmt: skip
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="A folder or an fsspec URI such as s3://bucket/runs.")  # fmt: skip
def command(
    experiment: str,
    baseline: str | None,
    protocol: str | None,
    show: Literal["best", "final"],
    form: str,
    store_uri: str,
) -> None:
    """Compare every recipe of an experiment with its baseline, seed by seed.

    EXPERIMENT is a name or the experiment's YAML file. Made for `search.sampler: one_at_a_time`, where each recipe
    differs from the baseline by one switch; works for any experiment with a recipe that the others resemble.

    \b
    Examples:
      ganray sweep experiments/hacks.yaml && ganray effects hacks
      ganray effects losses --show best --format md > losses.md
      ganray effects quickstart --baseline 3f2a
    """
    from ganray.report import render_effects as render
    from ganray.report.effects import effects
    from ganray.report.lookup import experiment_name
    from ganray.store.store import Store

    found = effects(Store(store_uri), experiment_name(experiment), protocol, show, baseline)
    if form == "rich":
        console = make_console()
        console.print(render.effects_to_rich(found, console.width))
    else:
        texts = {"md": render.effects_to_markdown, "csv": render.effects_to_csv, "json": render.effects_to_json}
        click.echo(texts[form](found), nl=False)
