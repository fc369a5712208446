"""What is missing from a benchmark, in which order, at what cost."""

import pytest

from ganray.errors import RecipeError
from ganray.report.benchmark_plan import UNKNOWN, plan, select
from ganray.report.benchmarks import load_benchmark

NAME = "samples-64"


@pytest.fixture
def benchmark():
    return load_benchmark(NAME)


@pytest.fixture
def put(put_trial, put_scores, benchmark):
    cells = {cell.name: cell for cell in benchmark.cells}

    def put(trial_id, cell="dcgan:hubble", seed=0, status="completed", kimg=4.0, device_s=80.0,
            device="cpu (x, 1 threads)", scored=True, **changes):  # fmt: skip
        column = cells[cell].column
        content = {**cells[cell].tree(kimg), "seed": seed}
        put_trial(trial_id, status, content, dataset=column.name, resolution=64, generator="dcgan", budget_kimg=kimg,
                  kimg=kimg, seed=seed, device_s=device_s, device=device, n_images=100, **changes)  # fmt: skip
        if scored:
            put_scores(trial_id, {kimg: 200.0}, protocol="fd_lite0_200_train")

    return put


def of(found, name="dcgan:hubble"):
    return next((job for job in found.jobs if job.cell.name == name), None)


def test_without_any_trial_all_is_missing_at_unknown_cost(store, benchmark):
    found = plan(store, benchmark)
    assert len(found.jobs) == 12
    assert {job.seeds for job in found.jobs} == {(0, 1, 2)}
    assert {(job.device_hours, job.rate.basis) for job in found.jobs} == {(None, UNKNOWN)}


def test_only_seeds_that_completed_and_were_scored_are_there(store, benchmark, put):
    put("a", seed=0)
    put("b", seed=1, scored=False)
    put("c", seed=2, status="running", scored=False)
    assert of(plan(store, benchmark)).seeds == (1, 2)
    put("d", seed=1, experiment="other")
    put("e", seed=2, experiment="other")
    found = plan(store, benchmark)
    assert of(found) is None
    assert found.filled == ("dcgan:hubble",)
    assert of(plan(store, benchmark, seeds=5)).seeds == (3, 4)


def test_another_budget_is_other_work(store, benchmark, put):
    put("a", seed=0, kimg=1.0)
    assert of(plan(store, benchmark, seeds=1)).seeds == (0,)
    assert of(plan(store, benchmark, seeds=1, kimg=1.0)) is None


def test_failed_seeds_are_left_alone_until_asked(store, benchmark, put):
    put("a", seed=0, status="failed", diagnosis="NaN", scored=False)
    found = plan(store, benchmark, seeds=2)
    assert found.failed == (("dcgan:hubble", 0, "NaN"),)
    assert of(found).seeds == (1,)
    again = plan(store, benchmark, seeds=2, retry_failed=True)
    assert (again.failed, of(again).seeds, of(again).retried) == ((), (0, 1), (0,))
    put("b", seed=0, status="running", scored=False, experiment="retry")
    assert (of(plan(store, benchmark, seeds=2)).seeds, of(plan(store, benchmark, seeds=2)).retried) == ((0, 1), ())


def test_cost_is_the_measured_speed_of_the_recipe_or_of_its_like(store, benchmark, put):
    put("a", seed=0, device_s=80.0)  # 20 s per kimg
    put("b", seed=1, device_s=120.0)  # 30
    found = plan(store, benchmark, seeds=3)
    # The median is 25 s per kimg: one seed of 4 kimg takes 100 s.
    assert of(found).device_hours == pytest.approx(100 / 3600)
    assert of(found).rate.basis == "measured: 2 trials of this recipe on cpu"
    other = of(found, "patch:retina")
    assert other.device_hours == pytest.approx(300 / 3600)
    assert other.rate.basis == "measured: 2 trials of other dcgan recipes at this resolution on cpu"
    assert found.jobs[0].cell.name == "dcgan:hubble"


def test_the_device_at_hand_is_preferred_and_another_one_named(store, benchmark, put):
    put("a", seed=0, device_s=80.0)
    put("b", seed=1, device_s=4.0, device="NVIDIA H100")
    assert of(plan(store, benchmark, device="cpu")).device_hours == pytest.approx(80 / 3600)
    assert of(plan(store, benchmark, device="NVIDIA H100")).device_hours == pytest.approx(4 / 3600)
    elsewhere = of(plan(store, benchmark, device="NVIDIA T4"))
    assert elsewhere.rate.basis.endswith(", not on NVIDIA T4")


@pytest.mark.parametrize("kimg", [float("nan"), float("inf")])
def test_a_budget_must_be_a_number(store, benchmark, kimg):
    with pytest.raises(RecipeError, match=f"a budget of {kimg:g} kimg cannot be trained"):
        plan(store, benchmark, kimg=kimg)


def test_unknown_costs_come_last_and_cheap_cells_first(store, put):
    benchmark = load_benchmark("few-shot-256")
    found = plan(store, benchmark, ["*:obama", "fastgan:*"])
    assert [job.cell.column.n for job in found.jobs] == [100, 100, 100, 100, 100, 100, 160, 389]


def test_patterns_select_cells_and_are_answered(benchmark):
    assert [c.name for c in select(benchmark, ["*:hubble", "patch:ihc"])] == [
        "dcgan:hubble", "sn-dcgan:hubble", "patch:hubble", "patch:ihc",
    ]  # fmt: skip
    with pytest.raises(
        RecipeError, match="--cells dcgan:huble: samples-64 has no such cell; did you mean 'dcgan:hubble'"
    ):
        select(benchmark, ["dcgan:huble"])
    few = load_benchmark("few-shot-256")
    with pytest.raises(RecipeError, match="no recipe for this method, there are published numbers only"):
        select(few, ["stylegan2:*"])
    with pytest.raises(RecipeError, match="no such data set to fetch"):
        select(load_benchmark("few-shot-1024"), ["fastgan:flower"])
