"""`ganray advise`: a first experiment file for a set of images."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

import click

from ganray.cli.options import fid_weights_option, make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE

_RESOLUTIONS = ("32", "64", "128", "256", "512", "1024")


@click.command("advise")
@click.argument("dataset")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
              help="Where the experiment file goes.  [default: NAME.yaml here]")  # fmt: skip
@click.option("--resolution", type=click.Choice(_RESOLUTIONS), default=None,
              help="Side of the training images in pixels.  [default: by the images and the machine]")  # fmt: skip
@click.option("--budget", "kimg", type=click.FloatRange(0, min_open=True), default=None, metavar="KIMG",
              help="Thousands of images shown to each trial.  [default: by the machine]")  # fmt: skip
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="Where earlier trials are looked for.")  # fmt: skip
@fid_weights_option
def command(
    dataset: str,
    output: Path | None,
    resolution: str | None,
    kimg: float | None,
    store_uri: str,
    fid_weights: Path | None,
) -> None:
    """Look at the images and at earlier trials, and write an experiment file to begin with.

    DATASET is a folder (nested or flat), a zip, sample:NAME or catalog:NAME. The file is complete: a space to search,
    a budget, a protocol, and the best recipe known so far to begin with, each with the reason beside it.

    \b
    Examples:
      ganray advise my_images/
      ganray advise cats.zip -o cats.yaml --resolution 256 --budget 100
      ganray advise sample:hubble --store s3://bucket/runs
    """
    if kimg is not None and not math.isfinite(kimg):
        raise click.BadParameter(f"{kimg} is no number of images", param_hint="--budget")
    console = make_console()
    from ganray.report.advise import advise, name_for, write_new
    from ganray.store.store import Store
    from ganray.trial.advice import look_at

    facts, warnings = look_at(dataset, int(resolution) if resolution else None, fid_weights, console.is_terminal)
    name = output.stem if output else Path(dataset.removeprefix("sample:").removeprefix("catalog:")).stem
    advice = advise(facts, Store(store_uri), name_for(name), kimg)
    path = write_new(advice, output or Path(f"{advice.name}.yaml"))
    for warning in warnings:
        click.echo(f"warning: {warning}")
    for reason in advice.reasons:
        click.echo(f"- {reason}")
    typed = shlex.quote(str(path))
    click.echo(f"\nwritten: {path}\nNext:\n  ganray validate {typed}\n  ganray sweep {typed}")
