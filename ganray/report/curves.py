"""The course of one trial as a picture: losses, logits, gradient norms, metric and diversity over kimg."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ganray.errors import StoreError
from ganray.report.cells import number
from ganray.report.diagnosis import Findings

Points = list[tuple[float, float]]

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
WIDTH_PX, PANEL_PX, LEFT_PX, RIGHT_PX, TOP_PX, GAP_PX, LINE_PX = 900, 190, 80, 20, 60, 44, 18
_SMALL, _LARGE = 13, 16


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis."""

    title: str
    lines: dict[str, Points]
    is_log: bool = False


def draw_curves(findings: Findings, path: Path) -> Path:
    """Write the picture as PNG and return its path. StoreError where there is nothing to draw, or no place for it."""
    panels = [panel for panel in _panels(findings) if panel.lines]
    if not panels:
        raise StoreError(f"trial {findings.trial.trial_id} has no readings and no evaluations; nothing to draw")
    troubles = in_lines([f"{d.name} from {number(d.since_kimg)}" for d in findings.diagnoses])
    above = TOP_PX + LINE_PX * max(0, len(troubles) - 1)
    page = Image.new("RGB", (WIDTH_PX, above + len(panels) * (PANEL_PX + GAP_PX) + 20), "white")
    draw = ImageDraw.Draw(page)
    trial = findings.trial
    draw.text((LEFT_PX, 12), f"{trial.experiment}  {trial.trial_id}  {trial.status}", "black", _font(_LARGE))
    for index, line in enumerate(troubles or ["nothing wrong was found"]):
        colour = "#b00000" if troubles else "#606060"
        draw.text((LEFT_PX, 34 + LINE_PX * index), line, colour, _font(_SMALL))
    last = max(x for panel in panels for points in panel.lines.values() for x, _ in points)
    for index, panel in enumerate(panels):
        top = above + 24 + index * (PANEL_PX + GAP_PX)
        _Axes(draw, top, max(last, 1e-9), panel).draw_all([d.since_kimg for d in findings.diagnoses])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        page.save(path, format="PNG")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}; choose another file") from error
    return path


def _panels(findings: Findings) -> list[Panel]:
    def read(*names: str) -> dict[str, Points]:
        lines = {name: _points([(row.kimg, getattr(row, name)) for row in findings.curves]) for name in names}
        return {name: points for name, points in lines.items() if points}

    scores = findings.evaluations
    metric = {scores[0].protocol: _points([(e.kimg, e.frechet) for e in scores])} if scores else {}
    health = {
        "diversity": _points([(e.kimg, e.diversity) for e in scores]),
        "overfit": _points([(e.kimg, e.overfit) for e in scores]),
    }
    return [
        Panel("adversarial losses", read("loss_d", "loss_g")),
        Panel("mean logits", read("logits_real", "logits_fake")),
        Panel("gradient norms", _positive(read("grad_norm_d", "grad_norm_g")), is_log=True),
        Panel("metric, lower is better", {name: points for name, points in metric.items() if points}),
        Panel(
            "diversity (1: as the reals) and overfit (0: none)",
            {name: points for name, points in health.items() if points},
        ),
    ]


def _points(pairs: Sequence[tuple[float, float | None]]) -> Points:
    return [(x, float(y)) for x, y in pairs if y is not None and math.isfinite(y)]


def _positive(lines: dict[str, Points]) -> dict[str, Points]:
    kept = {name: [(x, y) for x, y in points if y > 0] for name, points in lines.items()}
    return {name: points for name, points in kept.items() if points}


class _Axes:
    """One panel on the page: kimg to the right, values upwards."""

    def __init__(self, draw: ImageDraw.ImageDraw, top: int, last_kimg: float, panel: Panel) -> None:
        self.draw, self.top, self.last_kimg, self.panel = draw, top, last_kimg, panel
        values = [self._scaled(y) for points in panel.lines.values() for _, y in points]
        low, high = min(values), max(values)
        room = 0.05 * (high - low) or max(0.05 * abs(high), 0.5)
        self.low, self.high = low - room, high + room

    def draw_all(self, marks: Sequence[float]) -> None:
        """Frame, ticks, a dashed line where each trouble began, the curves, their names."""
        right, bottom = WIDTH_PX - RIGHT_PX, self.top + PANEL_PX
        for value in self._ticks():
            y = self._y(value)
            self.draw.line((LEFT_PX, y, right, y), "#e8e8e8")
            self.draw.text((LEFT_PX - 6, y), number(value), "#404040", _font(_SMALL), anchor="rm")
        for value in nice_ticks(0.0, self.last_kimg):
            x = self._x(value)
            if x > right - 50:
                continue  # the axis' name stands there
            self.draw.line((x, bottom, x, bottom + 4), "#404040")
            self.draw.text((x, bottom + 5), number(value), "#404040", _font(_SMALL), anchor="ma")
        self.draw.text((right, bottom + 5), "kimg", "#404040", _font(_SMALL), anchor="ra")
        for mark in marks:
            for y in range(self.top, bottom, 8):
                self.draw.line((self._x(mark), y, self._x(mark), y + 4), "#b00000")
        self.draw.rectangle((LEFT_PX, self.top, right, bottom), outline="#808080")
        self.draw.text((LEFT_PX, self.top - 18), self.panel.title, "black", _font(_SMALL))
        self._curves(right)

    def _curves(self, right: int) -> None:
        x = right
        for (name, points), colour in zip(self.panel.lines.items(), COLOURS):
            places = [(self._x(kimg), self._y(value)) for kimg, value in points]
            self.draw.line(places, colour, 2)
            for px, py in places if len(places) <= 50 else []:
                self.draw.ellipse((px - 2, py - 2, px + 2, py + 2), colour)
            self.draw.text((x, self.top - 18), name, colour, _font(_SMALL), anchor="ra")
            x -= int(self.draw.textlength(name, _font(_SMALL))) + 16

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.panel.is_log else value

    def _ticks(self) -> list[float]:
        if not self.panel.is_log:
            return nice_ticks(self.low, self.high)
        return log_ticks(10.0**self.low, 10.0**self.high)

    def _x(self, kimg: float) -> float:
        return LEFT_PX + (WIDTH_PX - RIGHT_PX - LEFT_PX) * kimg / self.last_kimg

    def _y(self, value: float) -> float:
        return self.top + PANEL_PX * (1 - (self._scaled(value) - self.low) / (self.high - self.low))


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between two values, about so many."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def log_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """The same for a logarithmic axis: powers of ten, and numbers between them where there are too few."""
    exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    if len(exponents) > 2:
        return [10.0**n for n in exponents[:: math.ceil(len(exponents) / about)]]
    around = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    found = [step * 10.0**n for n in around for step in (1, 2, 5) if low <= step * 10.0**n <= high]
    return found if len(found) > 2 else nice_ticks(low, high)


def in_lines(texts: Sequence[str], width_px: int = WIDTH_PX - LEFT_PX - RIGHT_PX) -> list[str]:
    """Texts side by side, on as many lines as they need."""
    lines: list[str] = []
    for text in texts:
        longer = f"{lines[-1]}   {text}" if lines else text
        if lines and _font(_SMALL).getlength(longer) <= width_px:
            lines[-1] = longer
        else:
            lines.append(text)
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
