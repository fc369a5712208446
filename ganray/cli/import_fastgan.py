"""`ganray import-fastgan`: convert a checkpoint of the FastGAN authors' code."""

from pathlib import Path

import click


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write; left out: beside the original.")
def command(checkpoint: Path, output: Path | None) -> None:
    """Convert a checkpoint of the FastGAN authors' code, so that `ganray sample` can draw from it.

    \b
    Example:
      ganray import-fastgan all_50000.pth -o obama.pt
      ganray sample obama.pt --grid 8x8 -o obama.png
    """
    from ganray.trial.imports import convert_fastgan

    click.echo(convert_fastgan(checkpoint, output or checkpoint.with_suffix(".ganray.pt")))
