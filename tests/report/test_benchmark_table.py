"""Which trials count in which cell of a benchmark, and what the cell says of them."""

import math
from datetime import timedelta

import pytest

from ganray.errors import StoreError
from ganray.report.benchmark_table import benchmark_table, is_benchmark
from ganray.report.benchmarks import load_benchmark
from ganray.store.schema import TrialRow
from tests.report.conftest import START

FEW = "few-shot-256"


def cell_of(name="fastgan:obama", benchmark=FEW):
    return next(cell for cell in load_benchmark(benchmark).cells if cell.name == name)


@pytest.fixture
def put(put_trial, put_scores):
    """put(id, {kimg: fid}, ...) writes a completed trial of a cell, with its evaluations."""

    def put(trial_id, values, cell=None, seed=0, kimg=400.0, recipe=(), protocol="fid_5k_train", checksum="c0de",
            dataset=None, **changes):  # fmt: skip
        cell = cell or cell_of()
        content = {**cell.tree(kimg), "seed": seed, **dict(recipe)}
        row = {
            "dataset": cell.column.name if dataset is None else dataset, "resolution": cell.column.resolution,
            "n_images": cell.column.n, "generator": content["generator"]["name"], "budget_kimg": kimg, "kimg": kimg,
            "seed": seed, "device_s": 3600.0, "device": "NVIDIA H100", **changes,
        }  # fmt: skip
        status = row.pop("status", "completed")
        put_trial(trial_id, status, content, **row)
        put_scores(trial_id, values, protocol=protocol, extractor="inception", extractor_checksum=checksum)

    return put


@pytest.fixture
def table(store):
    def table(show="best", **options):
        board = benchmark_table(store, FEW, show, **options)
        return board, {f"{cell.method.key}:{cell.column.id}": cell for cell in board.cells}

    return table


def test_mean_interval_difference_and_cost_over_seeds(put, table):
    put("a", {200.0: 40.0, 400.0: 44.0}, seed=0)
    put("b", {200.0: 47.0, 400.0: 42.0}, seed=1)
    put("c", {200.0: 50.0, 400.0: 44.0}, seed=2)
    _, cells = table()
    ours = cells["fastgan:obama"].ours
    assert ours.values == (40.0, 42.0, 44.0)
    assert ours.mean == 42.0
    # Student's t of 2 degrees of freedom at 97.5 % is 4.3027, the deviation is 2.
    assert ours.half == pytest.approx(4.302653 * 2 / math.sqrt(3), rel=1e-5)
    assert (ours.low, ours.high) == (pytest.approx(42 - ours.half), pytest.approx(42 + ours.half))
    assert ours.kimg == (200.0, 400.0, 400.0)
    assert ours.device_s == 3 * 3600
    assert ours.is_full
    assert cells["fastgan:obama"].difference == pytest.approx(42 - 41.05)
    assert cells["fastgan:obama"].command is None
    _, final = table("final")
    assert final["fastgan:obama"].ours.values == (44.0, 42.0, 44.0)


def test_a_missing_cell_says_what_fills_it(table):
    board, cells = table()
    assert cells["fastgan:obama"].command == "ganray reproduce few-shot-256 --cells fastgan:obama"
    assert cells["stylegan2:obama"].command is None
    assert sum(cell.command is not None for cell in board.cells) == 20
    assert all(cell.published is not None for cell in board.cells)


def test_runtime_seed_cadence_and_source_may_differ(put, table):
    put("a", {400.0: 40.0}, recipe={"runtime": {"device": "cpu"}})
    path = {"source": "/data/obama", "resolution": 256, "min_images": 50, "on_corrupt": "skip"}
    judged = {"protocols": ["fid_5k_train", "fid_768_1k_train"], "every_kimg": 10}
    put("b", {400.0: 42.0}, seed=5, recipe={"data": path, "evaluation": judged})
    assert table()[1]["fastgan:obama"].ours.seeds == (0, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"tricks": [{"name": "flips"}]}},
        {"recipe": {"data": {"source": "catalog:obama", "resolution": 256, "fit": "resize"}}},
        {"recipe": {"budget": {"kimg": 400, "batch_size": 16}}},
        {"dataset": "somebody"},
        {"protocol": "fid_768_1k_train"},
        {"status": "pruned"},
        {"status": "running"},
        {"status": "failed"},
    ],
    ids=str,
)
def test_anything_else_does_not_count(put, table, change):
    put("a", {400.0: 40.0}, **change)
    assert table()[1]["fastgan:obama"].ours is None


def test_trials_that_did_not_complete_are_named(put, table):
    put("a", {400.0: 40.0}, status="failed", diagnosis="loss is NaN")
    board, _ = table()
    assert any("fastgan:obama: a (seed 0) is failed" in note and "loss is NaN" in note for note in board.notes)


def test_another_number_of_images_is_noted_and_not_used(put, table):
    put("a", {400.0: 40.0}, n_images=95)
    board, cells = table()
    assert cells["fastgan:obama"].ours is None
    assert "fastgan:obama: 1 trial learnt 95 images, not 100, and is left out" in board.notes


def test_a_subset_goes_to_the_column_of_its_size(store, put):
    columns = {c.name: c for c in load_benchmark("large-1024").cells}
    put("a", {400.0: 20.0}, cell=columns["fastgan:ffhq-2k"], dataset="ffhq:2000")  # as trials on a part are written
    put("b", {400.0: 10.0}, cell=columns["fastgan:ffhq-70k"])
    put("c", {400.0: 30.0}, cell=columns["fastgan:art-5k"])  # somebody's own 5,000 under the set's name
    board = benchmark_table(store, "large-1024")
    found = {cell.column.id: cell.ours.mean for cell in board.cells if cell.ours}
    assert found == {"ffhq-2k": 20.0, "ffhq-70k": 10.0, "art-5k": 30.0}
    assert board.notes == ()
    put("d", {400.0: 15.0}, cell=columns["fastgan:ffhq-2k"], dataset="ffhq:3000", n_images=3000)
    assert any("1 trial learnt 3000 images" in note for note in benchmark_table(store, "large-1024").notes)


def test_a_part_that_failed_before_its_images_came_is_named_in_its_own_column(store, put):
    cell = cell_of("fastgan:ffhq-10k", "large-1024")
    put("a", {}, cell=cell, dataset="catalog:ffhq:10000", n_images=0, status="failed", diagnosis="no such folder")
    (note,) = benchmark_table(store, "large-1024").notes
    assert note.startswith("fastgan:ffhq-10k: a (seed 0) is failed")


def test_sizes_that_sources_disagree_about_count_and_are_noted(store, put):
    cell = cell_of("fastgan:skulls", "few-shot-1024")
    put("a", {400.0: 20.0}, cell=cell, n_images=97)
    board = benchmark_table(store, "few-shot-1024")
    assert [c.ours.mean for c in board.cells if c.ours] == [20.0]
    assert any("trained on 97 images; other sources say 100" in note for note in board.notes)


def test_budgets_do_not_mix(put, table):
    put("a", {20.0: 90.0}, kimg=20.0, seed=0)
    put("b", {40.0: 80.0}, kimg=40.0, seed=1)
    partial = table()[1]["fastgan:obama"]
    assert (partial.ours.values, partial.ours.budget_kimg, partial.ours.is_full) == ((80.0,), 40.0, False)
    assert partial.difference is None
    assert partial.command is not None
    put("c", {400.0: 50.0}, seed=2)
    full = table()[1]["fastgan:obama"]
    assert (full.ours.values, full.ours.is_full, full.command) == ((50.0,), True, None)


def test_different_images_of_one_name_never_share_a_mean(put, table):
    put("z", {400.0: 10.0}, seed=0, dataset_fingerprint="beef")
    put("a", {400.0: 40.0}, seed=1)
    put("b", {400.0: 42.0}, seed=2)
    board, cells = table()
    assert cells["fastgan:obama"].ours.values == (40.0, 42.0)
    assert any("2 different sets of images" in note and "of most seeds count" in note for note in board.notes)


def test_a_single_seed_has_no_interval(put, table):
    put("a", {400.0: 40.0})
    ours = table()[1]["fastgan:obama"].ours
    assert (ours.mean, ours.low, ours.high, ours.half) == (40.0, None, None, None)


def test_the_same_seed_again_is_no_second_seed(put, table):
    put("later", {400.0: 30.0}, created_at=START + timedelta(hours=1), experiment="other")
    put("first", {400.0: 40.0})
    ours = table()[1]["fastgan:obama"].ours
    assert (ours.trial_ids, ours.values) == (("first",), (40.0,))


def test_extractors_do_not_mix(put, table):
    put("a", {200.0: 40.0, 400.0: 41.0}, seed=0)
    put("b", {400.0: 10.0}, seed=1, checksum="other")
    board, cells = table()
    assert cells["fastgan:obama"].ours.values == (40.0,)
    assert board.extractor_checksum == "c0de"
    assert any("1 of 3 evaluations are left out" in note for note in board.notes)


def test_unequal_numbers_of_checkpoints_are_noted(put, table):
    put("a", {200.0: 40.0, 400.0: 41.0}, seed=0)
    put("b", {400.0: 40.0}, seed=1)
    assert any("scored at 1 to 2 checkpoints" in note for note in table()[0].notes)


def test_a_damaged_recipe_costs_a_note_only(put, table, store):
    put("a", {400.0: 40.0})
    store.put_trial(
        TrialRow(
            trial_id="bad", experiment="demo", status="completed", recipe_json="{", recipe_hash="h", dataset="obama",
            dataset_fingerprint="f", n_images=100, resolution=256, generator="fastgan", discriminator="fastgan",
            loss="hinge", budget_kimg=400.0, batch_size=8,
        )
    )  # fmt: skip
    board, cells = table()
    assert cells["fastgan:obama"].ours.values == (40.0,)
    assert any("the recipe of trial bad is no valid JSON" in note for note in board.notes)


def test_other_papers_come_on_request(table):
    assert table()[0].others == ()
    board, _ = table(with_published=True)
    assert {row.protocol for row in board.others} > {"fid_5k_train", "fid_50k_full"}
    assert board.n_others == sum(len(row.values) for row in board.others)


def test_names_are_benchmarks_then_experiments(store, put):
    assert is_benchmark(store, FEW)
    put("a", {400.0: 40.0})
    assert not is_benchmark(store, "demo")
    with pytest.raises(StoreError, match=r"no benchmark or experiment 'dema': did you mean 'demo'\? The benchmarks"):
        is_benchmark(store, "dema")
    with pytest.raises(StoreError, match="did you mean 'few-shot-256'"):
        is_benchmark(store, "fewshot-256")
