"""What no other beats on two counts at once, and a picture of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ganray.errors import StoreError
from ganray.report.cells import number

Point = tuple[float | None, float | None]


def front(points: Sequence[Point]) -> set[int]:
    """Indices of the points that no other is at most equal to on both counts and below on one. Lower is better.

    Points without a finite value on either count are on no front; equal points are on it together.
    """
    known = [(a, b, i) for i, (a, b) in enumerate(points) if a is not None and b is not None and _finite(a, b)]
    result: set[int] = set()
    lowest, first = math.inf, math.inf
    for a, b, i in sorted(known):
        if b < lowest:
            lowest, first = b, a
        if (a, b) == (first, lowest):
            result.add(i)
    return result


def _finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


@dataclass(frozen=True)
class Panel:
    """One scatter: (across, up) per recipe, in the order of the ranks; lower is better on both axes.

    `labels` are written beside the points of the front.
    """

    title: str
    x_name: str
    y_name: str
    points: Sequence[Point]
    labels: Sequence[str]


_WIDTH_PX, _HEIGHT_PX = 760, 560
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 84, 28, 56, 64
_FONT_PX = 15
_INK, _MUTED, _GRID, _DOT, _FRONT = "#1b1f24", "#57606a", "#e4e7eb", "#9aa4b0", "#0b5cad"
_TICKS = 5
_LOG_FROM = 20.0
"""From such a ratio of the largest to the smallest on, an axis is logarithmic: cost spans orders of magnitude."""


def picture(rows: Sequence[Sequence[Panel]], path: str | Path) -> Path:
    """Write rows of scatters as one PNG and return its path. StoreError where it cannot be written."""
    page = Image.new("RGB", (_WIDTH_PX * max(map(len, rows)), _HEIGHT_PX * len(rows)), "white")
    for y, panels in enumerate(rows):
        for x, panel in enumerate(panels):
            page.paste(_scatter(panel), (x * _WIDTH_PX, y * _HEIGHT_PX))
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        page.save(target, "PNG")
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}; name another file") from error
    return target


class _Axis:
    """Values to pixels along one direction, linear or logarithmic."""

    def __init__(self, values: Sequence[float], start_px: float, end_px: float) -> None:
        low, high = min(values), max(values)
        self.is_log = low > 0 and high / low >= _LOG_FROM
        low, high = (self._scaled(low), self._scaled(high))
        margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
        self.low, self.high = low - margin, high + margin
        if not self.is_log and min(values) >= 0:
            self.low = max(self.low, -margin / 3)
        self.start_px, self.end_px = start_px, end_px

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.is_log else value

    def at(self, value: float) -> float:
        share = (self._scaled(value) - self.low) / (self.high - self.low)
        return self.start_px + share * (self.end_px - self.start_px)

    def ticks(self) -> list[float]:
        """Round values within the axis: 1, 2 and 5 of each power of ten."""
        if self.is_log:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            steps = (1, 2, 5) if self.high - self.low < 2 else (1,)
            values = [m * 10.0**p for p in powers for m in steps]
            return [v for v in values if self.low <= math.log10(v) <= self.high]
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


def _scatter(panel: Panel) -> Image.Image:
    image = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_FONT_PX)
    draw.text((_LEFT_PX, 16), panel.title, fill=_INK, font=ImageFont.load_default(_FONT_PX + 3))
    known = [(a, b, label) for (a, b), label in zip(panel.points, panel.labels) if a is not None and b is not None]
    if not known:
        draw.text((_LEFT_PX, _HEIGHT_PX / 2), "no recipe has both numbers", fill=_MUTED, font=font)
        return image
    x = _Axis([a for a, _, _ in known], _LEFT_PX, _WIDTH_PX - _RIGHT_PX)
    y = _Axis([b for _, b, _ in known], _HEIGHT_PX - _BOTTOM_PX, _TOP_PX)
    _frame(draw, font, panel, x, y)
    on_front = front([(a, b) for a, b, _ in known])
    for i, (a, b, _) in enumerate(known):
        if i not in on_front:
            _dot(draw, x.at(a), y.at(b), 4, _DOT)
    line = sorted((known[i] for i in on_front), key=lambda point: point[:2])
    corners = [corner for before, after in pairwise(line) for corner in (before[:2], (after[0], before[1]))]
    steps = [(x.at(a), y.at(b)) for a, b in [*corners, *(point[:2] for point in line[-1:])]]
    if len(steps) > 1:
        draw.line(steps, fill=_FRONT, width=2)
    _labelled(draw, font, [(x.at(a), y.at(b), label) for a, b, label in line])
    return image


def _frame(
    draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, panel: Panel, x: _Axis, y: _Axis
) -> None:
    bottom, right = _HEIGHT_PX - _BOTTOM_PX, _WIDTH_PX - _RIGHT_PX
    for value in x.ticks():
        draw.line([(x.at(value), _TOP_PX), (x.at(value), bottom)], fill=_GRID)
        draw.text((x.at(value), bottom + 8), number(value), fill=_MUTED, font=font, anchor="ma")
    for value in y.ticks():
        draw.line([(_LEFT_PX, y.at(value)), (right, y.at(value))], fill=_GRID)
        draw.text((_LEFT_PX - 10, y.at(value)), number(value), fill=_MUTED, font=font, anchor="rm")
    draw.line([(_LEFT_PX, _TOP_PX), (_LEFT_PX, bottom), (right, bottom)], fill=_MUTED)
    log = [" (log)" if axis.is_log else "" for axis in (x, y)]
    draw.text(((_LEFT_PX + right) / 2, _HEIGHT_PX - 26), panel.x_name + log[0], fill=_INK, font=font, anchor="ma")
    draw.text((10, _TOP_PX - 20), panel.y_name + log[1], fill=_INK, font=font)


def _labelled(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    points: Sequence[tuple[float, float, str]],
) -> None:
    """The front's dots, each label to the right and above unless another label or the edge is in its way."""
    taken: list[tuple[float, float, float, float]] = []
    for px, py, label in points:
        _dot(draw, px, py, 6, _FRONT)
        for anchor, dx, dy in (("lb", 8, -5), ("lt", 8, 5), ("rb", -8, -5), ("rt", -8, 5)):
            box = draw.textbbox((px + dx, py + dy), label, font=font, anchor=anchor)
            inside = box[0] >= _LEFT_PX and box[2] <= _WIDTH_PX - 4 and box[1] >= _TOP_PX
            if inside and not any(_overlap(box, other) for other in taken):
                draw.text((px + dx, py + dy), label, fill=_INK, font=font, anchor=anchor)
                taken.append(box)
                break


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _dot(draw: ImageDraw.ImageDraw, px: float, py: float, radius: float, color: str) -> None:
    draw.ellipse([px - radius, py - radius, px + radius, py + radius], fill=color, outline="white")
