"""What is printed and drawn, read back as text, records and pixels."""

import csv
import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from ganray.errors import StoreError
from ganray.report.cells import duration, number, plus_minus
from ganray.report.compare import compare
from ganray.report.leaderboard import leaderboard
from ganray.report.output import format_of, save, to_text
from ganray.report.pictures import comparison_picture, montage
from ganray.report.render import to_csv, to_json, to_markdown, to_rich
from ganray.report.render_comparison import comparison_to_rich


def text_of(renderable, width=100):
    console = Console(width=width, file=io.StringIO())
    console.print(renderable)
    return console.file.getvalue()


@pytest.fixture
def sweep(store, put_trial, put_scores, recipe, png):
    """Three trials: red wins, green was cut, blue failed."""
    flips = [{"name": "flips"}]
    for name, status, loss, color, values in (
        ("aaaa1111bbbb", "completed", "lsgan", "red", {4.0: 61.5, 12.0: 20.25}),
        ("aabb2222cccc", "pruned", "hinge", "lime", {4.0: 70.0}),
        ("dddd3333eeee", "failed", "minimax", "blue", {}),
    ):
        uri = store.put_artifact("demo", name, "grid.png", png(color))
        tricks = flips if loss == "lsgan" else []
        why = "loss_d is NaN at 3 kimg" if status == "failed" else None
        put_trial(name, status, recipe(loss, tricks=tricks), diagnosis=why, versions={"torch": loss})
        put_scores(name, values, grid_uri=uri)
    return store


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (12.0, "12"), (1000.0, "1000"), (20.3297, "20.33"), (20.3, "20.30"), (0.05, "0.05"),
     (123.456, "123.5"), (99_999.5, "100000"), (-3.25, "-3.25"), (1.5e-7, "1.5e-07"), (2e9, "2e+09"),
     (float("nan"), "nan"), (float("inf"), "inf")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_errors_and_durations():
    assert plus_minus(0.01667, 0.003) == "0.017 ± 0.003"
    assert plus_minus(12.3, 4.0) == "12 ± 4"
    assert plus_minus(0.5, None) == "0.5"
    assert plus_minus(None, None) == "–"
    assert plus_minus(float("nan"), 0.1) == "nan"
    assert [duration(s) for s in (None, 45, 192, 5400 * 2)] == ["–", "45s", "3.2m", "3.0h"]


def test_the_terminal_shows_ranks_reasons_and_recipes(sweep):
    text = text_of(to_rich(leaderboard(sweep, "demo"), 100))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "demo under fd_lite0_1k_train: lower is better, ranked by the best checkpoint"
    rows = [line.split() for line in lines if line.strip().startswith(("1", "2", "–"))]
    assert rows[0][:6] == ["1", "aaaa1111", "completed", "20.25", "12", "20.25"]
    assert rows[0][-2:] == ["lsgan", "yes"]
    assert rows[1][:3] == ["2", "aabb2222", "pruned"]
    assert rows[2][:3] == ["–", "dddd3333", "failed"]
    assert "dddd3333 failed: loss_d is NaN at 3 kimg" in text
    assert "1 seed per recipe" in text


def test_a_narrow_terminal_keeps_every_value(sweep):
    text = text_of(to_rich(leaderboard(sweep, "demo"), 76), 76)
    assert max(map(len, text.splitlines())) <= 76
    assert "…" not in text
    assert "pruned @12" in text
    for word in ("lsgan", "flips", "20.25", "0.020 ± 0.003"):
        assert word in text


def test_seeds_are_shown_with_their_number(store, put_trial, put_scores, recipe):
    for seed, value in enumerate((40.0, 44.0, 48.0)):
        put_trial(f"h{seed}", content=recipe(seed=seed))
        put_scores(f"h{seed}", {12.0: value})
    put_trial("l0", content=recipe("lsgan"))
    put_scores("l0", {12.0: 50.0})
    text = text_of(to_rich(leaderboard(store, "demo")))
    assert "34.06 to 53.94" in text
    assert "3 seeds" in text
    assert "1 seed " in text
    markdown = to_markdown(leaderboard(store, "demo"))
    assert "| 1 | 44 | 34.06 to 53.94 | 3 seeds | 4.5m | hinge |" in markdown


def test_markdown_is_a_table(sweep):
    lines = to_markdown(leaderboard(sweep, "demo")).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {table[0].count("|")}
    assert table[0].startswith("| # | trial | status | best |")
    assert table[0].endswith("| loss | flips |")
    assert lines[-1] == "- dddd3333 failed: loss_d is NaN at 3 kimg"


def test_csv_and_json_hold_full_values(sweep):
    board = leaderboard(sweep, "demo")
    first, _, failed = csv.DictReader(io.StringIO(to_csv(board)))
    assert (first["trial_id"], first["best"], first["objective.loss.name"]) == ("aaaa1111bbbb", "20.25", "lsgan")
    assert (failed["rank"], failed["best"], failed["diagnosis"]) == ("", "", "loss_d is NaN at 3 kimg")
    content = json.loads(to_json(board))
    assert content["trials"][0]["best_kimg"] == 12.0
    assert content["by_recipe"][0]["values"] == [20.25]


def test_the_montage_shows_the_best_first(sweep, tmp_path):
    path = montage(sweep, leaderboard(sweep, "demo"), tmp_path / "new" / "top.png", top=2)
    with Image.open(path) as page:
        assert page.width == 2 * 512 + 3 * 16
        assert page.getpixel((100, 300)) == (255, 0, 0)
        assert page.getpixel((700, 300)) == (0, 255, 0)


def test_a_lost_picture_is_said_on_the_page_and_none_at_all_is_an_error(sweep, tmp_path, put_trial, put_scores):
    put_trial("ffff", content=None)
    put_scores("ffff", {12.0: 1.0}, grid_uri="/gone.png")
    path = montage(sweep, leaderboard(sweep, "demo"), tmp_path / "top.png", top=3)
    with Image.open(path) as page:
        assert page.getpixel((300, 200)) == (0xE8, 0xE8, 0xE8)
        assert page.getpixel((700, 300)) == (255, 0, 0)
    put_trial("x", experiment="bare")
    with pytest.raises(StoreError, match="no ranked trial of 'bare' has a sample grid"):
        montage(sweep, leaderboard(sweep, "bare"), tmp_path / "bare.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        montage(sweep, leaderboard(sweep, "demo"), tmp_path / "file" / "top.png")


def test_compare_says_what_differs_and_what_came_of_it(sweep, tmp_path):
    found = compare(sweep, "aaaa", "aab")
    differences = [(d.label, d.a, d.b) for d in found.recipe]
    assert differences[0] == ("loss", "lsgan", "hinge")
    assert differences[-1] == ("flips", True, None)
    assert [name for name, _, _ in differences[1:-1]] == ["loss.a", "loss.b", "loss.c"]  # the targets of lsgan
    assert [(d.path, d.a, d.b) for d in found.circumstances] == [("versions.torch", "lsgan", "hinge")]
    (metrics,) = found.metrics
    assert (metrics.a.best.frechet, metrics.a.best.kimg, metrics.b.final.frechet) == (20.25, 12.0, 70.0)
    text = text_of(comparison_to_rich(found))
    for word in ("aaaa1111", "aabb2222", "lsgan", "20.25 @ 12 kimg", "0.020 ± 0.003", "completed", "pruned"):
        assert word in text
    with Image.open(comparison_picture(sweep, found, tmp_path / "c.png")) as page:
        assert page.getpixel((100, 300)) == (255, 0, 0)
        assert page.getpixel((700, 300)) == (0, 255, 0)


def test_compare_shows_what_stands_beside_the_best_distance(sweep, put_scores):
    beside = {"precision": 0.625, "recall": 0.5, "density": 1.25, "coverage": 0.75, "memorised": 0.0}
    put_scores("aaaa1111bbbb", {8.0: 10.0}, **beside)
    put_scores("aaaa1111bbbb", {12.0: 20.25}, **dict.fromkeys(beside, 0.9))
    found = compare(sweep, "aaaa", "aab")
    lines = [" ".join(line.split()) for line in text_of(comparison_to_rich(found)).splitlines()]
    for name, value in {**beside, "memorised": "0"}.items():
        assert f"fd_lite0_1k_train {name} at best {value} –" in lines
    assert any("new images of the same source" in note for note in found.notes)
    assert not compare(sweep, "aabb", "aabb").notes


def test_compare_warns_where_numbers_do_not_compare(sweep, put_trial, put_scores):
    put_trial("9999", dataset_fingerprint="other")
    put_scores("9999", {4.0: 1.0}, extractor_checksum="bad")
    assert len(compare(sweep, "aaaa", "9999").notes) == 2
    assert compare(sweep, "aaaa", "dddd").notes == ("no protocol scored both trials",)
    assert compare(sweep, "aaaa", "aaaa").recipe == ()
    assert "the same" in text_of(comparison_to_rich(compare(sweep, "aaaa", "aaaa")))


def test_abbreviated_ids_must_be_unique(sweep, put_trial):
    with pytest.raises(StoreError, match=r"'aa' begins the id of 2 trials: aaaa1111bbbb \(demo\), aabb2222cccc"):
        compare(sweep, "aa", "dddd")
    with pytest.raises(StoreError, match=r"no trial 'zz' .* it holds aaaa1111bbbb"):
        compare(sweep, "zz", "dddd")
    with pytest.raises(StoreError, match="no trial ''"):
        compare(sweep, "", "dddd")
    put_trial("aaaa1111bbbbcccc")
    assert compare(sweep, "aaaa1111bbbb", "dddd").a.trial_id == "aaaa1111bbbb"


ROWS = pa.table(
    {
        "name": ["a,b", "[red]x[/red]"],
        "value": [1.5, float("nan")],
        "tricks": pa.array([["ema", "flips"], None], pa.list_(pa.string())),
        "at": pa.array([datetime(2026, 11, 1, 12, 0, 5, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
    }
)


def test_query_rows_as_csv_json_and_parquet(tmp_path):
    assert list(csv.reader(io.StringIO(to_text(ROWS, "csv"))))[1:] == [
        ["a,b", "1.5", "ema,flips", "2026-11-01T12:00:05+00:00"],
        ["[red]x[/red]", "nan", "", ""],
    ]
    records = json.loads(to_text(ROWS, "json"))
    assert records[0] == {"name": "a,b", "value": 1.5, "tricks": ["ema", "flips"], "at": "2026-11-01T12:00:05+00:00"}
    assert records[1]["value"] is None
    save(ROWS, "parquet", tmp_path / "new" / "rows.parquet")
    assert pq.read_table(tmp_path / "new" / "rows.parquet").num_rows == 2
    with pytest.raises(StoreError, match="cannot write"):
        save(ROWS, "csv", tmp_path / "new")


def test_query_rows_on_the_terminal():
    text = to_text(ROWS, "table")
    assert text.splitlines()[0].split() == ["name", "value", "tricks", "at"]
    assert "[red]x[/red]" in text
    many = pa.table({f"column_{i}": ["x" * 60] for i in range(9)})
    lines = to_text(many, "table").splitlines()
    assert len(lines) == 10
    assert max(map(len, lines)) <= 100
    assert to_text(ROWS.slice(0, 0), "table") == "no rows; the columns are name, value, tricks, at\n"
    assert "… and 100 more rows" in to_text(pa.table({"n": list(range(300))}), "table")


def test_the_format_follows_the_file(tmp_path):
    assert format_of(None, None) == "table"
    assert format_of(None, tmp_path / "a.csv") == "csv"
    assert format_of("json", tmp_path / "a.csv") == "json"
    assert format_of(None, tmp_path / "a.txt") == "table"
    with pytest.raises(StoreError, match="parquet is binary"):
        format_of("parquet", None)
