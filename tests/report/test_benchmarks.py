"""The benchmarks in the package, and what a faulty benchmark file is answered with."""

import pytest

from ganray.errors import RecipeError
from ganray.recipe.recipe import Recipe
from ganray.report.benchmark_published import other_rows, own_values
from ganray.report.benchmarks import benchmark_names, load_benchmark, read_benchmark
from ganray.store.published import published

FILE = """
title: Tiny
source: a test
protocol: fd_lite0_200_train
budget_kimg: 4
every_kimg: 2
recipe:
  generator: {name: dcgan, width: 4}
columns:
  - {dataset: "sample:hubble", n: 100, resolution: 64, label: Hubble}
methods:
  - {key: dcgan, label: DCGAN, recipe: {discriminator: {name: dcgan, width: 4}}}
"""


@pytest.fixture
def read(tmp_path):
    def read(old="", new="", more=""):
        assert old in FILE
        path = tmp_path / "tiny.yaml"
        path.write_text(FILE.replace(old, new) + more)
        return read_benchmark(path)

    return read


def test_the_four_tables_of_the_paper_and_a_small_one_are_there():
    assert set(benchmark_names()) == {"few-shot-256", "few-shot-1024", "large-1024", "self-supervision", "samples-64"}


@pytest.mark.parametrize("name", benchmark_names())
def test_every_cell_has_a_valid_recipe(name):
    benchmark = load_benchmark(name)
    assert benchmark.runnable
    for cell in benchmark.runnable:
        recipe = Recipe.model_validate(cell.tree())
        assert recipe.data.source == cell.column.dataset
        assert recipe.data.resolution == cell.column.resolution
        assert recipe.budget.kimg == benchmark.budget_kimg
        assert recipe.evaluation.protocols == (benchmark.protocol,)
        assert len(cell.experiment) <= 50  # an experiment's name has 80 characters, and more is added to it


def test_the_methods_are_the_rows_of_the_papers_ablation():
    cells = {cell.name: cell.recipe() for cell in load_benchmark("few-shot-256").runnable}
    switches = {
        key: (cells[f"{key}:obama"].generator.skip, cells[f"{key}:obama"].discriminator.decode is not None)
        for key in ("baseline", "skip", "decode", "fastgan")
    }
    assert switches == {
        "baseline": (False, False), "skip": (True, False), "decode": (False, True), "fastgan": (True, True),
    }  # fmt: skip
    tasks = {c.method.key: c.recipe() for c in load_benchmark("self-supervision").runnable if c.column.id == "art-10k"}
    found = {
        key: ([t.name for t in r.objective.self_supervision], r.discriminator.decode is not None)
        for key, r in tasks.items()
    }
    assert found == {
        "contrastive": (["contrastive"], False),
        "aspect-ratio": (["aspect_ratio"], False),
        "decode": ([], True),
        "contrastive-aspect": (["contrastive", "aspect_ratio"], False),
        "all": (["contrastive", "aspect_ratio"], True),
    }


def test_every_number_of_the_papers_four_tables_has_its_cell():
    values = [own_values(load_benchmark(name)) for name in benchmark_names()]
    tables = [
        row for row in published().to_pylist() if row["paper"] == "FastGAN" and (row["variant"] or "").endswith("table")
    ]
    assert len(tables) == 92
    assert sum(map(len, values)) == 92
    found = sorted(value.value for table in values for value in table.values())
    assert found == sorted(row["value"] for row in tables)
    assert own_values(load_benchmark("few-shot-256"))["fastgan:obama"].value == 41.05
    assert own_values(load_benchmark("few-shot-1024"))["fastgan:pokemon"].value == 57.19
    assert own_values(load_benchmark("large-1024"))["fastgan:ffhq-70k"].value == 12.38


def test_other_papers_rows_never_mix_protocols():
    benchmark = load_benchmark("few-shot-256")
    rows = other_rows(benchmark)
    assert rows[0].protocol == "fid_5k_train"
    protocols = [row.protocol for row in rows]
    assert protocols == sorted(protocols, key=lambda p: (p != "fid_5k_train", p))
    by_key = {(r["paper"], r["method"], r["variant"], r["protocol"], r["value"]) for r in published().to_pylist()}
    for row in rows:
        for value in row.values.values():
            assert (row.paper, row.method, row.variant, row.protocol, value.value) in by_key
    # 256 px data sets of the same name at another size do not count.
    assert {id for row in rows for id in row.values} <= {column.id for column in benchmark.columns}


def test_a_shorter_budget_is_scored_as_often():
    cell = load_benchmark("few-shot-256").runnable[0]
    assert cell.tree(40)["evaluation"]["every_kimg"] == 4
    assert cell.tree(800)["evaluation"]["every_kimg"] == 40
    assert cell.tree(40)["budget"] == {"kimg": 40, "batch_size": 8}


def test_faults_are_named_with_place_and_remedy(read):
    assert read().cells[0].name == "dcgan:hubble"
    with pytest.raises(RecipeError, match=r"tiny.yaml:\d+: .*unknown key 'titel'; did you mean 'title'"):
        read("title: Tiny", "titel: Tiny")
    with pytest.raises(RecipeError, match=r"tiny.yaml:\d+: .*there is no protocol 'fd_lite0_20_train'; did you mean"):
        read("fd_lite0_200_train", "fd_lite0_20_train")
    with pytest.raises(RecipeError, match="more: unknown preset 'fastgam'; did you mean 'fastgan'"):
        read(more="  - {key: more, label: More, recipe: fastgam}\n")
    with pytest.raises(RecipeError, match="more: unknown preset 'fastgam'; did you mean 'fastgan'"):
        read(more="  - {key: more, label: More, recipe: {preset: fastgam}}\n")
    with pytest.raises(RecipeError, match=r"dcgan:hubble: generator.wide: unknown key 'wide'.*'width'"):
        read("name: dcgan, width: 4}\ncol", "name: dcgan, wide: 4}\ncol")
    with pytest.raises(RecipeError, match="methods: dcgan is there twice"):
        read(more="  - {key: dcgan, label: More, recipe: fastgan}\n")
    with pytest.raises(RecipeError, match="the benchmark itself gives seed"):
        read("recipe:\n  gen", "recipe:\n  seed: 3\n  gen")
    with pytest.raises(RecipeError, match=r"the benchmark itself gives budget\.kimg"):
        read("recipe:\n  gen", "recipe:\n  budget: {kimg: 3}\n  gen")
    with pytest.raises(RecipeError, match="has 50 images, and n is 100"):
        read('"sample:hubble"', '"sample:hubble:50"')


def test_an_unknown_benchmark_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match="no benchmark 'few-shot-265'; did you mean 'few-shot-256'"):
        load_benchmark("few-shot-265")


def test_a_method_without_a_recipe_has_published_numbers_only():
    cell = next(c for c in load_benchmark("few-shot-256").cells if c.method.key == "stylegan2")
    assert not cell.is_runnable
    with pytest.raises(RecipeError, match="there is no recipe for StyleGAN2, only published numbers"):
        cell.recipe()
    flower = next(c for c in load_benchmark("few-shot-1024").cells if c.name == "fastgan:flower")
    with pytest.raises(RecipeError, match="there is no data set for Flower"):
        flower.recipe()
