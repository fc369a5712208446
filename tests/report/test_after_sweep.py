"""What a sweep prints when it ends."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from ganray.report.after_sweep import SweepResult, print_result


@pytest.fixture
def printed(store, put_trial, put_scores, png, tmp_path):
    """The text after a sweep of two trials, one of which failed; keywords change the result."""

    def make(**changes):
        put_trial("aaaa1111bbbb")
        uri = store.put_artifact("demo", "aaaa1111bbbb", "grid.png", png("red"))
        put_scores("aaaa1111bbbb", {12.0: 20.0}, grid_uri=uri)
        put_trial("cccc2222dddd")
        put_scores("cccc2222dddd", {12.0: 30.0})
        put_trial("dddd3333eeee", "failed", diagnosis="non-finite: loss_d = nan")
        values = {"experiment": "demo", "file": Path("demo.yaml"), "store": store, "metric": "fd_lite0_1k_train",
                  "trials": 3, "ended": 2, "failed": 1, "seconds": 12.0}  # fmt: skip
        console = Console(file=io.StringIO(), width=300)
        print_result(SweepResult(**{**values, **changes}), tmp_path / "best.png", console)
        return console.file.getvalue()

    return make


def test_the_table_and_what_to_type_next(printed, tmp_path):
    text = printed()
    assert "2 of 3 trials ended, 1 failed in 12 s" in text
    assert text.index("aaaa1111") < text.index("cccc2222") < text.index("dddd3333")
    assert f"samples: {tmp_path / 'best.png'}" in text
    assert "ganray compare aaaa1111bbbb cccc2222dddd -o compare.png --store" in text
    assert "ganray diagnose dddd3333eeee --snippet remedies.yaml --store" in text
    assert "--resume" not in text
    assert "ganray effects" not in text


def test_an_unfinished_sweep_goes_on_with_resume(printed):
    assert "ganray sweep demo.yaml --resume" in printed(trials=5)


def test_a_file_with_a_blank_in_its_name_can_be_pasted(printed):
    assert "ganray sweep 'my cats.yaml' --resume" in printed(trials=5, file=Path("my cats.yaml"))


def test_a_design_offers_its_effects(printed):
    assert "ganray effects demo --store" in printed(is_design=True)
