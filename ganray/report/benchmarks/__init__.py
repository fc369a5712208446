"""Benchmarks: the tables that GANRay knows how to fill, one YAML file each."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from ganray.errors import RecipeError
from ganray.recipe.messages import explain, nearest
from ganray.recipe.source import read_yaml
from ganray.report.benchmarks.spec import Benchmark, Cell, Column, Method

__all__ = ["Benchmark", "Cell", "Column", "Method", "benchmark_names", "load_benchmark", "read_benchmark"]


@lru_cache(maxsize=1)
def benchmark_names() -> tuple[str, ...]:
    """The benchmarks in the package, sorted."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.yaml")))


@lru_cache
def load_benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises RecipeError with the nearest name where there is none."""
    if name not in benchmark_names():
        raise RecipeError(f"no benchmark {name!r}; {nearest(name, benchmark_names())}")
    return read_benchmark(Path(__file__).with_name(f"{name}.yaml"))


def read_benchmark(path: Path) -> Benchmark:
    """The benchmark that a YAML file declares; its name is the file's stem.

    Raises RecipeError with one line per fault: unknown key, preset or protocol, a recipe that makes no sense.
    """
    source = read_yaml(path)
    try:
        return Benchmark.model_validate({"name": path.stem, **source.tree})
    except ValidationError as error:
        raise RecipeError("\n".join(explain(error, Benchmark, source.at))) from None
