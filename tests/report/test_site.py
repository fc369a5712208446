"""What the pages are made from, and what they hold; how they behave is in site/test_in_browser.py."""

import json
import re
from html.parser import HTMLParser

import pytest

from ganray.errors import StoreError
from ganray.report.site import build_report
from ganray.report.site.analysis import choices
from ganray.report.site.collect import collect, slug_of
from ganray.report.site.tables import board_table
from ganray.report.site.trial_page import thinned
from ganray.store.store import Store
from tests.report.site.made_up import (
    FID,
    HOSTILE,
    LITE,
    fill,
    fill_hostile,
    png,
    put_curves,
    put_scores,
    put_trial,
    recipe,
)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def ranks(ranking):
    return [(each.rank, each.trial.row.trial_id) for each in ranking.ranked]


def test_trials_are_ranked_within_protocol_and_the_failed_come_last(store):
    fill(store)
    found = collect(store, [])
    assert [board.protocol for board in found.boards] == [LITE, FID]
    assert ranks(found.boards[0].rankings[0]) == [(1, "aaaa"), (2, "bbbb"), (3, "cccc"), (None, "eeee"), (None, "dddd")]
    assert ranks(found.boards[1].rankings[0]) == [(1, "ffff")]


def test_data_sets_and_weights_are_never_in_one_ranking(store):
    put_trial(store, "a1")
    put_trial(store, "a2", dataset_fingerprint="beef")
    put_trial(store, "a3", dataset="obama", dataset_fingerprint="face")
    put_scores(store, "a1", {4.0: 3.0})
    put_scores(store, "a2", {4.0: 2.0})
    put_scores(store, "a3", {4.0: 1.0})
    put_scores(store, "a1", {8.0: 0.5}, extractor_checksum="other")
    found = collect(store, [])
    assert [[ranks(each) for each in board.rankings] for board in found.boards] == [
        [[(1, "a1")], [(1, "a2")], [(1, "a3")]],
        [[(1, "a1")]],
    ]
    assert found.boards[0].rankings[0].ranked[0].score.best.frechet == 3.0
    assert any("3 data sets" in note for note in found.notes)
    assert any("other weights" in note for note in found.notes)


def test_experiments_share_a_ranking_and_equals_a_rank(store):
    for trial_id, experiment, value in (
        ("a1", "one", 5.0),
        ("b1", "two", 5.0),
        ("b2", "two", 7.0),
        ("c1", "three", 1.0),
    ):
        put_trial(store, trial_id, experiment=experiment)
        put_scores(store, trial_id, {4.0: value}, experiment=experiment)
    found = collect(store, ["one", "two", "one"])
    assert found.experiments == ("one", "two")
    assert ranks(found.boards[0].rankings[0]) == [(1, "a1"), (1, "b1"), (3, "b2")]


def test_what_a_reader_must_know_is_said(store):
    put_trial(store, "a1", budget_kimg=12.0)
    put_trial(store, "a2", recipe("lsgan"), budget_kimg=24.0)
    put_scores(store, "a1", {4.0: 3.0})
    notes = " ".join(collect(store, []).notes)
    assert "1 seed per recipe" in notes
    assert "budgets from 12 to 24 kimg" in notes
    assert "100 training images rewards" in notes
    put_scores(store, "a1", {4.0: 3.0}, memorised=0.0)
    put_trial(store, "a3", recipe(seed=1))
    notes = " ".join(collect(store, []).notes)
    assert "1 seed per recipe" not in notes
    assert "nobody looked" not in notes
    assert "memorised: new images of the same source" in notes


def test_an_unknown_experiment_is_answered_with_the_nearest(store, tmp_path):
    put_trial(store, "a1", experiment="losses")
    with pytest.raises(StoreError, match="did you mean 'losses'"):
        build_report(store, ["loses"], tmp_path / "site")
    assert not (tmp_path / "site").exists()
    with pytest.raises(StoreError, match="is empty"):
        build_report(Store(tmp_path / "none"), [], tmp_path / "site")


def test_a_table_leaves_out_what_says_nothing(store):
    put_trial(store, "a1", recipe("hinge"))
    put_trial(store, "a2", recipe("lsgan"))
    put_scores(store, "a1", {4.0: 3.0})
    board = collect(store, []).boards[0]
    names = [column.name for column in board_table(board, is_one_experiment=True).columns]
    assert "loss" in names
    assert not {"experiment", "seed", "memorised", "precision", "went wrong"} & set(names)
    assert "experiment" in [column.name for column in board_table(board, is_one_experiment=False).columns]


def test_cells_hold_what_they_are_sorted_by(store):
    put_trial(store, "a1", recipe("hinge"), device_s=7200.0)
    put_scores(store, "a1", {4.0: 3.25, 8.0: 4.5}, memorised=0.0213)
    table = board_table(collect(store, []).boards[0], is_one_experiment=True)
    cells = dict(zip([column.name for column in table.columns], table.sections[0].lines[0].cells))
    shown = {name: (cell.text, cell.value) for name, cell in cells.items()}
    assert shown["best"] == ("3.25", 3.25)
    assert shown["@ kimg"] == ("4", 4.0)
    assert shown["final"] == ("4.5", 4.5)
    assert shown["memorised"] == ("0.021", 0.0213)
    assert shown["time"] == ("2.0h", 7200.0)


def test_the_choice_that_matters_is_the_important_one(store):
    for index in range(12):
        loss, lr = ("hinge", "lsgan")[index % 2], (0.0001, 0.0002, 0.0003)[index % 3]
        put_trial(store, f"a{index:02d}", recipe(loss, seed=index // 6, lr=lr))
        put_scores(store, f"a{index:02d}", {4.0: 100.0 + 50 * (index % 2) + index / 100})
    found = choices(collect(store, []).boards[0].rankings[0])
    assert (found.n_trials, found.importances[0]["choice"]) == (12, "loss")
    assert found.shares[0] > 90
    effect = next(row for row in found.effects if row["choice"] == "loss")
    assert (effect["value"], effect["adjusted"]) == ("lsgan against hinge", "+50.01")  # odd less even: 50 + 1 / 100


def test_few_trials_or_stopped_ones_say_nothing_about_choices(store):
    for index in range(12):
        status = "completed" if index < 9 else "pruned"
        put_trial(store, f"a{index:02d}", recipe(("hinge", "lsgan")[index % 2]), status=status)
        put_scores(store, f"a{index:02d}", {4.0: 100.0 + index})
    assert choices(collect(store, []).boards[0].rankings[0]) is None


def test_thinning_keeps_ends_and_spikes():
    points = [(float(x), 0.0) for x in range(10_000)]
    points[4321] = (4321.0, 99.0)
    points[8765] = (8765.0, -99.0)
    kept = thinned(points, 400)
    assert len(kept) <= 400
    assert (4321.0, 99.0) in kept
    assert (8765.0, -99.0) in kept
    assert kept == sorted(kept)


def test_slugs_are_safe_and_differ():
    assert slug_of("3f2a") == "3f2a"
    odd = {slug_of(text) for text in ("../../etc", "a/b", "A", "", HOSTILE, "é", "con.js")}
    assert len(odd) == 7
    assert all(re.fullmatch(r"x-[0-9a-f]{16}", slug) for slug in odd)


def test_the_same_store_gives_every_file_and_counts_trials(store, tmp_path):
    fill(store)
    seen = []
    index = build_report(store, ["demo"], tmp_path / "site", progress=lambda done, total: seen.append((done, total)))
    assert index == tmp_path / "site" / "index.html"
    assert seen == [(n, 6) for n in range(7)]
    names = {str(path.relative_to(index.parent)) for path in index.parent.rglob("*") if path.is_file()}
    assert {f"trials/{i}.html" for i in ("aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff")} <= names
    assert {f"pictures/aaaa/grid-{n}.png" for n in range(3)} <= names
    assert (index.parent / "pictures/aaaa/grid-1.png").read_bytes() == png("green")


@pytest.mark.parametrize(("which", "count"), [("all", 3), ("best", 1), ("none", 0)])
def test_as_many_pictures_are_copied_as_asked_for(store, tmp_path, which, count):
    fill(store)
    index = build_report(store, [], tmp_path / "site", pictures=which)
    assert len(list(index.parent.glob("pictures/aaaa/grid-*"))) == count


def test_a_file_that_is_no_picture_is_not_copied(store, tmp_path):
    put_trial(store, "a1")
    uri = store.put_artifact("demo", "a1", "grid.png", b"<script>window.__pwned=1</script>")
    put_scores(store, "a1", {4.0: 3.0}, grid_uri=uri)
    index = build_report(store, [], tmp_path / "site")
    assert not list(index.parent.rglob("pictures/**/*.*"))
    assert "is no picture" in (index.parent / "data/a1.js").read_text()


class Tags(HTMLParser):
    """All tags, attributes and texts of a page as a browser takes them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.texts.append(data)


def test_hostile_names_are_text_on_every_page(store, tmp_path):
    fill_hostile(store)
    index = build_report(store, [], tmp_path / "site")
    for path in index.parent.rglob("*.html"):
        page = Tags(path.read_text(encoding="utf-8"))
        assert not [name for name in page.attributes if name.startswith("on")], path
        assert "<img src=x" in "".join(page.texts) or path.name == "compare.html"
    for path in index.parent.glob("data/*.js"):
        assert not set("<>\u2028") & set(path.read_text(encoding="utf-8")), path


def test_no_place_and_no_credentials_are_on_a_page(store, tmp_path):
    content = recipe(data={"source": "/home/ada/secret/cats", "resolution": 64})
    put_trial(
        store, "a1", content, dataset="s3://key:hunter2@bucket/cats?token=hunter3", status="failed",
        diagnosis="DataError: cannot read /home/ada/secret/cats/1.png", checkpoint_uri=f"{store.uri}/../c.pt",
    )  # fmt: skip
    put_scores(store, "a1", {4.0: 3.0}, grid_uri=f"{store.uri}/artifacts/experiment=demo/a1/grid.png")
    index = build_report(store, [], tmp_path / "site")
    texts = {
        path: path.read_text(encoding="utf-8") for path in index.parent.rglob("*") if path.suffix in (".html", ".js")
    }
    for path, text in texts.items():
        for secret in ("hunter2", "hunter3", "/home/ada", str(tmp_path)):
            assert secret not in text, path
    assert "…/cats" in texts[index.parent / "trials/a1.html"]
    assert "…/1.png" in texts[index.parent / "trials/a1.html"]


def test_a_trial_s_data_are_what_was_stored(store, tmp_path):
    fill(store)
    index = build_report(store, [], tmp_path / "site")
    script = (index.parent / "data/bbbb.js").read_text()
    page = json.loads(script.removeprefix("GanrayReport.receive(").removesuffix(");\n"))
    rows = {row[0]: row[1:] for row in page["metrics"][0]["rows"]}
    assert rows["best Fréchet distance"] == ["20 at 8 kimg", 20.0, -1]
    assert rows["memorised at the best"] == ["0.020", 0.02, 0]
    losses = page["panels"][0]["lines"][0]
    assert (losses["name"], losses["points"][0], len(losses["points"])) == ("loss_d", [0.6, 1.0], 20)
    assert [grid["kimg"] for grid in page["grids"]] == [4.0, 8.0, 12.0]
    html = (index.parent / "trials/bbbb.html").read_text()
    rows = re.findall(r"<tr><th scope=\"row\" title=\"([^\"]+)\">[^<]+</th><td>([^<]*)</td><td>([^<]*)</td></tr>", html)
    assert ("objective.loss.name", "lsgan", "hinge") in rows
    assert ("optimizers.generator.lr", "0.0002", "0.0001") in rows


def test_a_diagnosis_comes_with_its_remedies(store, tmp_path):
    fill(store)
    html = (build_report(store, [], tmp_path / "site").parent / "trials/dddd.html").read_text()
    assert "<h3>non-finite" in html
    assert "optimizers.generator.lr × 0.1" in html
    assert "ganray diagnose dddd --snippet" in html


def test_a_trial_with_nothing_but_its_row_has_a_page(store, tmp_path):
    put_trial(store, "a1", status="running", kimg=0.0, diagnoses=None, versions={}, git_commit=None)
    put_curves(store, "a2")
    index = build_report(store, [], tmp_path / "site")
    assert "Not evaluated yet" in index.read_text()
    assert (index.parent / "trials/a1.html").exists()
    assert not (index.parent / "trials/a2.html").exists()
