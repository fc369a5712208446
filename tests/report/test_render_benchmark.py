"""Benchmark tables in all formats: nothing lost, nothing injected, protocols kept apart."""

import csv
import io
import json
from html.parser import HTMLParser

import pytest
from rich.console import Console

from ganray.report.benchmark_published import Published
from ganray.report.benchmark_table import BenchmarkTable, Ours, TableCell, benchmark_table
from ganray.report.benchmarks import read_benchmark
from ganray.report.render_benchmark import TEXTS, escape_latex, to_csv, to_html, to_json, to_latex, to_markdown, to_rich
from ganray.store.store import Store

FILE = """
title: "A & B <script>alert(1)</script> 100 %"
source: a_test
protocol: fid_5k_train
budget_kimg: 400
every_kimg: 40
recipe: {generator: {name: dcgan, width: 4}, discriminator: {name: dcgan, width: 4}}
columns:
  - {dataset: "sample:hubble", n: 100, resolution: 64, label: "<b>One</b>"}
  - {dataset: "sample:ihc", n: 60, resolution: 64, label: Two}
methods:
  - {key: first, label: "m_1 & <i>more</i>", recipe: {}}
  - {key: second, label: Second, recipe: {}}
  - {key: quoted, label: Quoted, recipe: null}
"""


def ours(values, kimg=(400.0,), half=None, **changes):
    mean = sum(values) / len(values)
    given = {
        "trial_ids": tuple("abc"[: len(values)]), "seeds": tuple(range(len(values))), "values": values, "kimg": kimg,
        "n_evaluations": (10,) * len(values), "mean": mean, "low": None if half is None else mean - half,
        "high": None if half is None else mean + half, "half": half, "budget_kimg": 400.0, "is_full": True,
        "device_s": 7200.0, "devices": ("cpu",), "memorised": None,
    }  # fmt: skip
    return Ours(**(given | changes))


def read(value, status="secondary"):
    return Published(
        value=value, status=status, paper="P", method="M", variant="v", train_budget=None, note="n", source_url="u"
    )


@pytest.fixture
def board(tmp_path):
    (tmp_path / "tiny.yaml").write_text(FILE)
    benchmark = read_benchmark(tmp_path / "tiny.yaml")
    mine = {
        "first:hubble": ours((40.0, 44.0), (360.0, 400.0), half=25.4),
        "first:ihc": ours((30.5,), (400.0,), memorised=0.25),
        "second:hubble": ours((60.0,), (40.0,), is_full=False, budget_kimg=40.0),
    }
    published = {"first:hubble": read(41.05), "first:ihc": read(33.0, "primary"), "quoted:hubble": read(80.2)}
    cells = tuple(
        TableCell(
            method=c.method, column=c.column, ours=mine.get(c.name), published=published.get(c.name),
            command=None if c.name in ("first:hubble", "first:ihc") or not c.is_runnable else c.command,
        )
        for c in benchmark.cells
    )  # fmt: skip
    return BenchmarkTable(
        benchmark=benchmark, show="best", extractor="inception", extractor_checksum="c0de", cells=cells, others=(),
        n_others=0, elsewhere="s3://bucket/a b", notes=("a note & more",),
    )  # fmt: skip


class Table(HTMLParser):
    """The tags, and the texts of each row of cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.scopes, self.inside = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th")
        if self.inside:
            self.rows[-1].append("")
            self.scopes.append(dict(attributes).get("scope") if tag == "th" else "cell")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self.inside = False


def test_markdown_holds_ours_beside_the_published_number(board):
    lines = to_markdown(board).splitlines()
    assert "| m_1 & <i>more</i> | paper | 41.05† | 33 |" in lines
    assert "|  | ours | 42 ± 25 | 30.50¹ |" in lines
    assert "|  | difference | +0.95 | −2.5 |" in lines
    assert "|  | seeds | 2 | 1 |" in lines
    assert "|  | at kimg | 360 to 400 | 400 |" in lines
    assert "|  | device-h | 2 | 2 |" in lines
    assert "|  | memorised | – | 25 % |" in lines
    assert "| Second | ours | 60¹‡ | – |" in lines
    assert "|  | at kimg | 40 of 40 | – |" in lines
    assert "| Quoted | paper | 80.2† | – |" in lines
    assert "ganray reproduce tiny --cells second:hubble" in lines
    assert "ganray reproduce tiny --cells first:hubble" not in lines


def test_marks_are_explained_where_they_are_used(board):
    text = to_markdown(board)
    for mark in ("† read at second hand", "¹ a single seed", "‡ another budget than the benchmark's 400 kimg"):
        assert f"- {mark}" in text
    assert "- a note & more" in text


def test_the_terminals_commands_fill_the_store_that_was_asked(board, store, monkeypatch, tmp_path):
    def printed(board):
        console = Console(width=100, file=io.StringIO())
        console.print(to_rich(board, 100))
        return console.file.getvalue()

    assert "  export GANRAY_STORE='s3://bucket/a b'\n  ganray reproduce tiny\n" in printed(board)
    for write in (to_markdown, to_html, to_latex, to_csv, to_json):
        assert "s3://bucket" not in write(board)
    assert benchmark_table(store, "samples-64").elsewhere == store.uri
    monkeypatch.chdir(tmp_path)
    assert "export" not in printed(benchmark_table(Store("runs/store"), "samples-64"))


def test_html_escapes_and_tells_its_scopes(board):
    text = to_html(board)
    parsed = Table(text)
    assert {"script", "b", "i"}.isdisjoint(parsed.tags)
    assert parsed.tags.count("caption") == 1
    assert text.isascii()
    assert parsed.rows[0] == ["method", "number", "<b>One</b> (100)", "Two (60)"]
    assert parsed.rows[1] == ["m_1 & <i>more</i>", "paper", "41.05†", "33"]
    assert parsed.rows[2] == ["ours", "42 ± 25", "30.50¹"]
    assert parsed.scopes[:8] == ["col", "col", "col", "col", "rowgroup", "row", "cell", "cell"]
    assert set(parsed.scopes) == {"col", "rowgroup", "row", "cell"}


def test_latex_is_booktabs_and_escaped(board):
    text = to_latex(board)
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 3, 1]
    assert (
        r"m\_1 \& \textless{}i\textgreater{}more\textless{}/i\textgreater{} & paper & 41.05\textsuperscript{\dag}"
        in text
    )
    assert r" & ours & 42 $\pm$ 25 & 30.50\textsuperscript{1} \\" in text
    assert r"100 \%" in text
    body = text.split(r"\midrule")[1:]
    assert all(line.count(" & ") == 3 for part in body for line in part.splitlines() if line.endswith(r"\\"))
    assert escape_latex("--with-published") == "-{}-with-published"  # two hyphens would be set as a dash
    assert escape_latex(r"50 % of \x_{1}^2 #~$") == (
        r"50 \% of \textbackslash{}x\_\{1\}\textasciicircum{}2 \#\textasciitilde{}\$"
    )


def test_csv_and_json_hold_every_cell_at_full_precision(board):
    rows = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert len(rows) == 6
    assert (rows[0]["method"], rows[0]["mean"], rows[0]["values"]) == ("first", "42.0", "40.0 44.0")
    content = json.loads(to_json(board))
    assert content["cells"][0]["difference"] == pytest.approx(0.95)
    assert content["cells"][2]["command"] == "ganray reproduce tiny --cells second:hubble"
    assert (content["protocol"], content["budget_kimg"]) == ("fid_5k_train", 400.0)


def test_a_narrow_terminal_gets_the_columns_in_parts(board):
    for width in (40, 100):
        console = Console(width=width, file=io.StringIO())
        console.print(to_rich(board, width))
        text = console.file.getvalue()
        assert max(map(len, text.splitlines())) <= width
        assert text.count("device-h") == {40: 4, 100: 2}[width]
        for number in ("42 ± 25", "30.50¹", "60¹‡", "80.2†"):
            assert number in text


def test_other_protocols_stand_in_tables_of_their_own(store):
    board = benchmark_table(store, "few-shot-256", with_published=True)
    text = to_markdown(board)
    titles = [line for line in text.splitlines() if line.startswith("### Other papers")]
    assert titles[0] == "### Other papers, FID_5k_vs_train (the same protocol)"
    assert all("NOT comparable" in title for title in titles[1:])
    assert len(titles) == len({row.protocol for row in board.others})
    parts = text.split("### ")
    full = next(part for part in parts if part.startswith("Other papers, FID_50k_vs_full"))
    assert "42.13" in full
    assert "42.13 " not in parts[2]  # ANDA's number under 50,000 fakes is not among those under 5,000
    rows = [r for r in csv.DictReader(io.StringIO(to_csv(board))) if r["kind"] == "other paper"]
    assert len(rows) == board.n_others
    assert {row["protocol"] for row in rows} == {row.protocol for row in board.others}


def test_every_format_works_on_an_empty_store(store):
    board = benchmark_table(store, "samples-64")
    for write in TEXTS.values():
        assert "samples-64" in write(board)
