"""The store from Python; the numbers are those of the rows that the test wrote."""

import subprocess
import sys

import pytest

import ganray
from ganray.errors import StoreError

LITE = "fd_lite0_1k_train"


@pytest.fixture
def opened(store, put_trial, put_scores, recipe):
    put_trial("a", content=recipe("hinge"))
    put_trial("b", content=recipe("lsgan"))
    put_trial("c", content=recipe("lsgan", seed=1), status="failed", experiment="other")
    put_scores("a", {4.0: 100.0, 8.0: 90.0})
    put_scores("b", {4.0: 80.0, 8.0: 85.0})
    put_scores("b", {8.0: 300.0}, protocol="fid_5k_train")
    return ganray.open_store(store.uri)


def test_conditions_columns_order_and_limits(opened):
    rows = opened.evaluations().where("frechet < 95", protocol=LITE).select("trial_id", "kimg", "frechet")
    assert rows.order_by("frechet").to_pylist() == [
        {"trial_id": "b", "kimg": 4.0, "frechet": 80.0},
        {"trial_id": "b", "kimg": 8.0, "frechet": 85.0},
        {"trial_id": "a", "kimg": 8.0, "frechet": 90.0},
    ]
    assert [row["frechet"] for row in rows.order_by("frechet", descending=True).limit(1)] == [90.0]
    assert len(rows) == 3
    assert len(rows.limit(2)) == 2
    assert len(opened.evaluations()) == 5


def test_equal_to_one_to_any_of_some_and_to_nothing(opened):
    assert len(opened.trials().where(trial_id=["a", "b", "x"])) == 2
    assert len(opened.trials().where(trial_id=[])) == 0
    assert len(opened.trials().where(status="failed", experiment="other")) == 1
    assert len(opened.results().where(best=None)) == 1
    assert len(opened.trials().where(trial_id="a' OR '1'='1")) == 0  # a value is never SQL


def test_a_step_leaves_the_rows_before_it_alone(opened):
    every = opened.trials()
    every.where(status="failed")
    assert len(every) == 3


def test_nothing_is_read_before_it_is_asked_for(opened, monkeypatch):
    reads = []
    scan = opened.store.reader.scan
    monkeypatch.setattr(opened.store.reader, "scan", lambda *args: reads.append(args) or scan(*args))
    rows = opened.results().where(protocol=LITE, dataset=None).select("trial_id", "best").order_by("best").limit(3)
    assert "best_kimg" in rows.names
    assert not reads
    rows.to_arrow()
    assert reads


def test_frames_and_sql(opened):
    frame = opened.results().where(protocol=LITE).order_by("best").to_pandas()
    assert frame[["trial_id", "best", "best_kimg", "final"]].values.tolist() == [
        ["b", 80.0, 4.0, 85.0],
        ["a", 90.0, 8.0, 90.0],
    ]
    assert opened.sql("SELECT max(frechet) AS m FROM evaluations WHERE trial_id = ?", ("a",)).to_pylist() == [
        {"m": 100.0}
    ]
    assert "<table" in opened.trials()._repr_html_()
    assert opened.published().where(paper="FastGAN").to_arrow().num_rows > 90


def test_tables_are_those_of_the_command_line(opened):
    ranked = opened.table("demo")
    assert [entry.trial_id for entry in ranked.content.entries] == ["b", "a"]
    assert str(ranked).startswith("### demo")
    benchmark = opened.table("few-shot-256")
    assert benchmark.content.benchmark.name == "few-shot-256"
    assert "41.05" in str(benchmark)  # FastGAN on Obama, as published
    assert "<table" in benchmark._repr_html_()
    board = opened.leaderboard("sample:hubble")
    assert str(board)


def test_mistakes_are_answered_with_what_there_is(opened, tmp_path):
    with pytest.raises(StoreError, match=r"evaluations has no column 'frechett'; did you mean .*frechet"):
        opened.evaluations().select("frechett")
    with pytest.raises(StoreError, match="trials has no column 'x'"):
        opened.trials().where(x=1)
    with pytest.raises(StoreError, match=r"===="):
        opened.trials().where("status ==== 3").to_arrow()
    with pytest.raises(StoreError, match="'dem'"):
        opened.table("dem")
    with pytest.raises(StoreError, match="there is no store at"):
        ganray.open_store(tmp_path / "nothing")


def test_the_store_is_found_as_the_command_line_finds_it(opened, monkeypatch):
    monkeypatch.setenv("GANRAY_STORE", opened.store.uri)
    assert ganray.open_store().experiments() == ["demo", "other"]


def test_importing_ganray_is_light():
    code = "import sys, ganray; print([m for m in ('pyarrow', 'duckdb', 'torch', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
