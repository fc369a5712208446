"""`ganray sample`: draw images from a checkpoint."""

import re
from pathlib import Path
from typing import Any

import click

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tiff")


class Grid(click.ParamType):
    """`8x8`: columns times rows."""

    name = "COLSxROWS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", str(value))
        if not match:
            self.fail(f"{value!r} is no grid; write it as 8x8, columns x rows", param, ctx)
        return int(match[1]), int(match[2])


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--grid", type=Grid(), default="8x8", show_default=True, help="Columns x rows of one picture.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same images.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default="samples.png", show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Write each image to a file of its own here instead.")
def command(checkpoint: Path, grid: tuple[int, int], seed: int, device: str, output: Path, folder: Path | None) -> None:
    """Draw images from a checkpoint (its EMA where there is one).

    \b
    Examples:
      ganray sample runs/quickstart/trials/0123456789ab/checkpoint.pt --grid 8x8 --seed 0 -o out.png
      ganray sample checkpoint.pt --grid 100x50 --folder fakes/
    """
    if folder is None and output.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"-o {output}: the suffix says how to write it; use one of {', '.join(SUFFIXES)}")
    from ganray.trial.samples import write_samples

    click.echo(write_samples(checkpoint, grid, seed, device, output, folder))
