"""`ganray data`: look at images before training on them, and fetch the benchmark data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from rich.table import Table

    from ganray.data.inspect import Inspection
    from ganray.data.listing import Listed


@click.group("data")
def command() -> None:
    """Look at images before training on them; fetch the benchmark data sets.

    \b
    Examples:
      ganray data inspect ~/photos/cats
      ganray data inspect sample:hubble -o hubble.png
      ganray data samples
      ganray data catalog
      ganray data fetch obama
    """


@command.command("inspect")
@click.argument("path")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Where the contact sheet goes.  [default: NAME_contact.png here]")  # fmt: skip
@click.option("--resolution", type=click.IntRange(8, 1024), default=128, show_default=True,
              help="Side of each picture on the contact sheet, in pixels.")  # fmt: skip
@click.option("--columns", type=click.IntRange(1), default=10, show_default=True,
              help="Pictures per row.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True,
              help="Pictures on the sheet at most, evenly spaced over the source.")  # fmt: skip
def inspect_command(path: str, output: Path | None, resolution: int, columns: int, limit: int) -> None:
    """Count, sizes, modes, duplicates, class folders, unreadable files; and a contact sheet.

    PATH is a folder (nested or flat), a zip, sample:NAME or catalog:NAME.

    \b
    Examples:
      ganray data inspect ~/photos/cats
      ganray data inspect cats.zip -o sheet.png --resolution 64 --columns 20
      ganray data inspect sample:hubble
      ganray data inspect catalog:art-paintings:2000
    """
    from rich.console import Console

    from ganray.data.inspect import contact_sheet, inspect

    console = Console()
    found = inspect(path, resolution=resolution, limit=limit, progress=console.is_terminal)
    console.print(_table(found))
    for warning in found.warnings:
        console.print(f"[yellow]warning:[/] {_escape(warning)}", highlight=False, soft_wrap=True)
    if len(found.thumbnails):
        output = output or Path(f"{found.name.replace(':', '-')}_contact.png")
        _save(contact_sheet(found.thumbnails, columns), output)
        console.print(f"contact sheet: {_escape(str(output))}", highlight=False, soft_wrap=True)


@command.command("samples")
def samples_command() -> None:
    """The sample sets that need no network, and where they come from.

    \b
    Examples:
      ganray data samples
      ganray data inspect sample:ihc
    """
    from ganray.data.samples import SAMPLES

    width = max(len(name) for name in SAMPLES) + len("sample:") + 2
    for sample in SAMPLES.values():
        click.echo(
            f"{f'sample:{sample.name}':<{width}}{len(sample.corners)} images of {sample.crop_px} px: {sample.title}"
        )
        click.echo(f"{'':<{width}}{sample.licence}; {sample.credit}")
        click.echo(f"{'':<{width}}cut from {sample.file} of scikit-image")


@command.command("catalog")
@click.option("--format", "form", type=click.Choice(["rich", "json"]), default="rich", show_default=True,
              help="How the list comes out.")  # fmt: skip
def catalog_command(form: str) -> None:
    """The benchmark data sets: how many images, where they come from, and which are here.

    A recipe uses one as `data.source: catalog:NAME`, or its first N files as `catalog:NAME:N`.

    \b
    Examples:
      ganray data catalog
      ganray data catalog --format json
    """
    import json

    from ganray.data.listing import listing

    rows = listing()
    if form == "json":
        click.echo(json.dumps([row.to_json() for row in rows], indent=2))
        return
    from ganray.cli.options import make_console

    console = make_console()
    console.print(_catalog_table(rows))
    homes = dict.fromkeys((row.entry.origin, row.entry.home) for row in rows)
    for origin, home in homes:
        console.print(_escape(f"{origin}: {home}"), highlight=False, soft_wrap=True)


@command.command("fetch")
@click.argument("name")
@click.option("--from", "source", default=None, metavar="PATH_OR_URL",
              help="A local folder (used where it is), a local zip, or a mirror's address.")  # fmt: skip
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=None, metavar="DIR",
              help="Where the data sets lie.  [default: GANRAY_DATA_DIR, or the user's data folder]")  # fmt: skip
@click.option("--accept-count", is_flag=True, help="Take the set although its number of images is another one.")
def fetch_command(name: str, source: str | None, folder: Path | None, accept_count: bool) -> None:
    """Bring a benchmark data set here; a download that was cut off goes on where it stopped.

    NAME is one of `ganray data catalog`.

    \b
    Examples:
      ganray data fetch obama
      ganray data fetch obama --from https://mirror.example/100-shot-obama.zip
      ganray data fetch skulls --from ~/Downloads/few-shot-images.zip
      ganray data fetch ffhq --from /datasets/ffhq/images1024x1024
    """
    from rich.console import Console

    from ganray.data.fetch import fetch

    def say(text: str) -> None:
        click.echo(text, err=True)

    bar = Console(stderr=True).is_terminal
    got = fetch(name, source=source, folder=folder, accept_count=accept_count, progress=bar, say=say)
    state = "is here already" if got.was_here else "is here now"
    click.echo(f"{name} {state}: {got.n_images:,} images in {got.place}")
    if got.sha256:
        click.echo(f"SHA-256 of the zip: {got.sha256}")
    if got.n_images not in got.entry.counts:
        click.echo(
            f"warning: the catalogue expects {got.entry.images} images; published numbers do not compare", err=True
        )
    click.echo(f"licence: {got.entry.licence}\nuse it as data.source: catalog:{name}")


def _catalog_table(rows: Sequence[Listed]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("px", justify="right")
    for heading in ("here", "licence", "origin"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        entry = row.entry
        cells = (_escape(text) for text in (row.state, entry.licence, entry.origin))
        table.add_row(entry.name, entry.images, str(entry.resolution), *cells)
    return table


def _table(found: Inspection) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False, title=_escape(found.place), title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    repeats = sum(len(group) - 1 for group in found.duplicates)
    rows = {
        "images": f"{found.n_images} of {found.n_files} files, {found.total_bytes / 1e6:.1f} MB",
        "width": _spread(found.side_px("width")),
        "height": _spread(found.side_px("height")),
        "sizes": _counts({f"{w} x {h}": n for (w, h), n in found.sizes.items()}),
        "formats": _counts(found.formats),
        "modes": _counts(found.modes),
        "class folders": _counts(found.class_folders) or "none",
        "duplicates": f"{repeats} repeated files, {len(found.same_pixels)} groups of different files with equal pixels",
        "unreadable": str(len(found.unreadable)),
        "largest resolution": f"{found.largest_resolution} px" if found.largest_resolution else "none",
    }
    for name, value in rows.items():
        table.add_row(name, _escape(value))
    return table


def _spread(px: tuple[int, int, int]) -> str:
    low, median, high = px
    return f"{low} to {high} px, median {median}"


def _counts(counts: dict[str, int], limit: int = 6) -> str:
    shown = [f"{name}: {n}" for name, n in list(counts.items())[:limit]]
    more = [f"{len(counts) - limit} more"] if len(counts) > limit else []
    return ", ".join(shown + more)


def _save(sheet: Image, output: Path) -> None:
    from ganray.errors import GanrayError

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(output)
    except (OSError, ValueError) as error:
        raise GanrayError(f"the contact sheet cannot be written to {output}: {error}; choose another -o") from error


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
