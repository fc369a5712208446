"""Durations and grids as people type them."""

import click
import pytest

from ganray.cli.options import Duration
from ganray.cli.sample import Grid


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1d 2h 3m 4s", 93784), ("1.5h", 5400),
     ("45", 45), ("0.5", 0.5), (45, 45), (7.5, 7.5), (" 10 m ", 600)],
)  # fmt: skip
def test_durations(text, seconds):
    assert Duration().convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "30min", "-5m", "1h30", "h", "5m!", "1e3", "0", "0s", "1,5h", "s5"])
def test_what_is_no_duration(text):
    with pytest.raises(click.BadParameter, match="is no duration; write it as 90s, 30m, 2h or 1h30m"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(("text", "grid"), [("8x8", (8, 8)), ("100x5", (100, 5)), ("1x10", (1, 10)), ((3, 4), (3, 4))])
def test_grids(text, grid):
    assert Grid().convert(text, None, None) == grid


@pytest.mark.parametrize("text", ["", "8", "8x", "x8", "0x8", "8x0", "00x8", "-1x8", "8x8x8", "8*8", "a8x8"])
def test_what_is_no_grid(text):
    with pytest.raises(click.BadParameter, match="is no grid; write it as 8x8"):
        Grid().convert(text, None, None)
