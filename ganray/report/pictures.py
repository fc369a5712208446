"""Stored sample grids beside one another, with captions that say what they are."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ganray.errors import StoreError
from ganray.report.cells import number
from ganray.report.compare import Comparison
from ganray.report.leaderboard import Leaderboard
from ganray.report.lookup import Score
from ganray.report.render import ID_LENGTH, recipe_words, words
from ganray.store.schema import TrialRow
from ganray.store.store import Store

_TILE_PX = 512
_MARGIN_PX = 16
_FONT_PX = 16
_LINE_PX = 21
_CHARACTERS = 58
"""Characters that fit under a tile at this font size."""


@dataclass(frozen=True)
class Tile:
    """A picture, or why there is none, and its caption."""

    picture: Image.Image | str
    caption: str


def montage(store: Store, board: Leaderboard, path: str | Path, top: int = 4) -> Path:
    """Write the grids of the best trials, two in a row, as one PNG and return its path.

    StoreError where no trial has a picture, or where the file cannot be written.
    """
    ranked = [entry for entry in board.entries if entry.rank is not None][:top]
    if not any(entry.grid_uri for entry in ranked):
        raise StoreError(f"no ranked trial of {board.experiment!r} has a sample grid; nothing to draw")
    tiles = []
    for entry in ranked:
        kimg = entry.best_kimg if board.show == "best" else entry.final_kimg
        head = f"#{entry.rank}  {entry.trial_id[:ID_LENGTH]}  {number(board.value(entry))} at {number(kimg)} kimg"
        tiles.append(Tile(_picture(store, entry.grid_uri), f"{head}\n{recipe_words(board, entry.recipe)}"))
    heading = f"{board.experiment} under {board.protocol} (lower is better)"
    return _save(sheet(tiles, heading), path)


def comparison_picture(store: Store, comparison: Comparison, path: str | Path) -> Path:
    """Write the grids of both trials side by side as one PNG and return its path.

    StoreError where neither has a picture, or where the file cannot be written.
    """
    if not (comparison.grid_a or comparison.grid_b):
        raise StoreError("neither trial has a sample grid; nothing to draw")
    shared = next((m for m in comparison.metrics if m.a and m.b), None)
    shown = [(d.path, d.label, d.a) for d in comparison.recipe], [(d.path, d.label, d.b) for d in comparison.recipe]
    tiles = [
        _side(store, comparison.a, comparison.grid_a, shared.a if shared else None, words(shown[0])),
        _side(store, comparison.b, comparison.grid_b, shared.b if shared else None, words(shown[1])),
    ]
    return _save(sheet(tiles, f"{shared.protocol} (lower is better)" if shared else ""), path)


def _side(store: Store, trial: TrialRow, grid: str | None, score: Score | None, recipe: str) -> Tile:
    reached = f"{number(score.best.frechet)} at {number(score.best.kimg)} kimg" if score else ""
    return Tile(_picture(store, grid), f"{trial.experiment}  {trial.trial_id[:ID_LENGTH]}  {reached}\n{recipe}")


def sheet(tiles: Sequence[Tile], heading: str = "") -> Image.Image:
    """Tiles two in a row on white, each scaled to the same width, its caption below."""
    font = ImageFont.load_default(size=_FONT_PX)
    captions = ["\n".join(_wrap(tile.caption)) for tile in tiles]
    scaled = [_scaled(tile.picture) for tile in tiles]
    columns = min(2, len(tiles))
    top = _MARGIN_PX + (_LINE_PX + _MARGIN_PX // 2 if heading else 0)
    rows = [range(i, min(i + columns, len(tiles))) for i in range(0, len(tiles), columns)]
    heights = [max(scaled[i].height + _LINE_PX * (1 + captions[i].count("\n")) + 8 for i in row) for row in rows]
    size = (columns * (_TILE_PX + _MARGIN_PX) + _MARGIN_PX, top + sum(heights) + _MARGIN_PX * len(rows))
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN_PX, _MARGIN_PX), heading, "black", font)
    y = top
    for row, height in zip(rows, heights):
        for column, i in enumerate(row):
            x = _MARGIN_PX + column * (_TILE_PX + _MARGIN_PX)
            page.paste(scaled[i], (x, y))
            draw.multiline_text((x, y + scaled[i].height + 6), captions[i], "black", font, spacing=4)
        y += height + _MARGIN_PX
    return page


def _wrap(caption: str) -> list[str]:
    return [line for text in caption.split("\n") for line in textwrap.wrap(text, _CHARACTERS, max_lines=3)]


def _scaled(picture: Image.Image | str) -> Image.Image:
    if isinstance(picture, str):
        blank = Image.new("RGB", (_TILE_PX, _TILE_PX // 2), "#e8e8e8")
        text = "\n".join(textwrap.wrap(picture, _CHARACTERS - 4))
        ImageDraw.Draw(blank).multiline_text((12, 12), text, "#606060", ImageFont.load_default(size=_FONT_PX))
        return blank
    factor = _TILE_PX / picture.width
    size = (_TILE_PX, max(1, round(picture.height * factor)))
    # Enlarged pixels stay pixels, so that nobody takes the resampling for the generator's work.
    return picture.convert("RGB").resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS)


def _picture(store: Store, uri: str | None) -> Image.Image | str:
    if uri is None:
        return "no sample grid was saved"
    try:
        picture = Image.open(io.BytesIO(store.read_artifact(uri)))
        picture.load()
    except (StoreError, OSError) as error:
        return str(error)
    return picture


def _save(page: Image.Image, path: str | Path) -> Path:
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        page.save(target, format="PNG")
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}; choose another file") from error
    return target
