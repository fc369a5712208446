"""`ganray export-generator`: a checkpoint's generator as safetensors, to share."""

from pathlib import Path

import click


@click.command("export-generator")
@click.argument("checkpoint")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="generator.safetensors",
              show_default=True, help="Where to write.")  # fmt: skip
def command(checkpoint: str, output: Path) -> None:
    """Write the generator that samples are drawn from (the EMA where there is one) as safetensors.

    The file can run no code on whoever opens it. It holds no discriminator, no optimizer and no image, but the whole
    recipe, with the name of its data set. CHECKPOINT is a path or an fsspec URI.

    \b
    Examples:
      ganray export-generator runs/faces/trials/0123456789ab/checkpoint.pt -o faces.safetensors
      ganray sample faces.safetensors --grid 8x8 -o faces.png
    """
    from ganray.trial.samples import share_generator

    click.echo(share_generator(checkpoint, output))
