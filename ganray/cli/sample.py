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
@click.argument("checkpoint")
@click.option("--grid", type=Grid(), default="8x8", show_default=True, help="Columns x rows of one picture.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same images.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default="samples.png", show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Write each image to a file of its own here instead.")
@click.option(
    "--truncation",
    type=click.FloatRange(min=0, min_open=True),
    metavar="PSI",
    help="Largest coordinate of the latents: 0.5 gives typical images that differ little, 2 nearly all there are. "
    "For generators with normal latents.",
)
@click.option(
    "--interpolate",
    type=click.IntRange(min=2),
    metavar="N",
    help="Each row leads in N images from one random latent to the next, along a great circle.",
)
@click.option("--class", "label", metavar="NAME|INDEX", help="Only this class, of a generator trained with classes.")
@click.pass_context
def command(
    context: click.Context,
    checkpoint: str,
    grid: tuple[int, int],
    seed: int,
    device: str,
    output: Path,
    folder: Path | None,
    truncation: float | None,
    interpolate: int | None,
    label: str | None,
) -> None:
    """Draw images from a checkpoint, a path or an fsspec URI (its EMA where there is one), or an exported generator.

    \b
    Examples:
      ganray sample runs/quickstart/trials/0123456789ab/checkpoint.pt --grid 8x8 --seed 0 -o out.png
      ganray sample s3://bucket/runs/faces/trials/0123456789ab/checkpoint.pt
      ganray sample checkpoint.pt --grid 100x50 --folder fakes/
      ganray sample checkpoint.pt --truncation 0.7
      ganray sample checkpoint.pt --interpolate 10 -o walk.png
      ganray sample generator.safetensors --seed 7
      ganray sample checkpoint.pt --class owl --grid 5x5 -o owls.png
    """
    if folder is None and output.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"-o {output}: the suffix says how to write it; use one of {', '.join(SUFFIXES)}")
    columns, rows = grid
    if interpolate is not None:
        given = context.get_parameter_source("grid") is click.core.ParameterSource.COMMANDLINE
        if given and columns != interpolate:
            raise click.UsageError(
                f"--interpolate {interpolate} makes rows of {interpolate} images, --grid {columns}x{rows} {columns}; "
                f"write --grid {interpolate}x{rows}"
            )
        columns = interpolate
    from ganray.trial.samples import Wanted, write_samples

    wanted = Wanted(columns, rows, seed, truncation, interpolate is not None, label)
    click.echo(write_samples(checkpoint, wanted, device, output, folder))
