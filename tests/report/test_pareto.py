"""The front against its definition, and the picture of it."""

import math
import random

import pytest
from PIL import Image

from ganray.errors import StoreError
from ganray.report.pareto import Panel, front, picture

BLUE = (0x0B, 0x5C, 0xAD)


def by_definition(points):
    def beaten(a, b):
        return all(x <= y for x, y in zip(b, a)) and b != a

    return {i for i, a in enumerate(points) if not any(beaten(a, b) for b in points)}


def test_the_front_is_what_the_definition_says():
    draw = random.Random(1)
    for _ in range(200):
        points = [(float(draw.randint(0, 6)), float(draw.randint(0, 6))) for _ in range(draw.randint(0, 12))]
        assert front(points) == by_definition(points)


def test_points_without_a_number_are_on_no_front():
    assert front([(1.0, None), (None, 1.0), (2.0, 2.0), (0.0, math.nan), (-math.inf, 0.0)]) == {2}


def blue_places(page, panel=0):
    part = page.crop((760 * panel, 0, 760 * (panel + 1), 560))
    return {(x, y) for x in range(part.width) for y in range(part.height) if part.getpixel((x, y)) == BLUE}


def test_the_picture_has_a_panel_per_pair_and_the_front_in_it(tmp_path):
    points = [(1.0, 100.0), (1000.0, 10.0), (900.0, 90.0), (None, 5.0)]
    panel = Panel("quality", "hours", "fid", points, ["#1", "#2", "#3", "#4"])
    path = picture([[panel, Panel("none", "hours", "fid", [(None, 1.0)], ["#1"])]], tmp_path / "new" / "fronts.png")
    with Image.open(path) as page:
        assert page.size == (2 * 760, 560)
        found = blue_places(page)
        assert not blue_places(page, panel=1)
    # Two dots and the step between them: from the upper left to the lower right.
    assert min(x for x, _ in found) < 140
    assert max(x for x, _ in found) > 670
    left_most, right_most = min(found), max(found)
    assert left_most[1] < 130
    assert right_most[1] > 440


@pytest.mark.parametrize("points", [[(0.0, 0.0)], [(5.0, 5.0), (5.0, 5.0)], [(1e-9, -3.0), (1e9, 1e12)]])
def test_any_numbers_can_be_drawn(tmp_path, points):
    path = picture([[Panel("t", "x", "y", points, ["#1"] * len(points))]], tmp_path / "a.png")
    with Image.open(path) as page:
        assert blue_places(page)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file"):
        picture([[Panel("t", "x", "y", [(1.0, 1.0)], ["#1"])]], tmp_path / "file" / "a.png")
