"""Which trials of the store belong to which cell of a benchmark: by what they learnt and by what their recipe means."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as pads

from ganray.errors import StoreError
from ganray.report.benchmarks import Benchmark, Cell
from ganray.report.recipes import Flat, flatten
from ganray.store.store import Store

APART = ("seed", "runtime", "evaluation", "budget.kimg", "data.source", "data.min_images", "data.on_corrupt")
"""Paths of a recipe that may differ within a cell: repeats, the machine's affairs, the budget, and how it is judged."""

_DATA_SET = re.compile(r"(?:(?:catalog|sample):)?([^:]*)(?::\d+)?")
"""The column `dataset`: `ffhq`, or `ffhq:2000` of a part; `catalog:ffhq:2000` where the images never came."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What of a trial's row tells where it belongs and what it cost. `meaning`: its recipe without `APART`."""

    trial_id: str
    experiment: str
    dataset: str
    dataset_fingerprint: str
    n_images: int
    resolution: int
    generator: str
    seed: int
    budget_kimg: float
    batch_size: int
    device: str
    status: str
    diagnosis: str | None
    kimg: float
    device_s: float
    created_at: datetime
    meaning: str = field(repr=False)

    def has_budget(self, kimg: float) -> bool:
        """Whether it was to train for that many kimg."""
        return math.isclose(self.budget_kimg, kimg, rel_tol=1e-9)


@dataclass(frozen=True)
class Matches:
    """The trials of each cell by `Cell.name`, and what was left out and why."""

    runs: dict[str, list[Run]]
    notes: tuple[str, ...]


def match(store: Store, benchmark: Benchmark) -> Matches:
    """The trials of every cell, of any status and budget, oldest first.

    A trial of a cell has its data set, its number of images, its resolution, and its recipe apart from `APART`. Those
    that have all but the number of images are named in the notes, unless another column has that number.
    """
    names = "|".join(sorted({re.escape(c.name) for c in benchmark.columns if c.name}))
    wanted = pc.match_substring_regex(pads.field("dataset"), rf"^((catalog|sample):)?({names})(:\d+)?$")
    found, notes = runs(store, benchmark, wanted)
    cells = [(cell, meaning_of(cell)) for cell in benchmark.runnable]
    result: dict[str, list[Run]] = {}
    other_numbers: dict[tuple[str, int], int] = {}
    for run in found:
        same = [c for c, meaning in cells if run.meaning == meaning and _learnt(run, c)]
        exact = [c for c in same if _has_size(run, c)]
        if exact:
            result.setdefault(exact[0].name, []).append(run)
        elif same:
            key = same[0].name, run.n_images
            other_numbers[key] = other_numbers.get(key, 0) + 1
    return Matches(result, (*notes, *_other_numbers(benchmark, other_numbers)))


def runs(store: Store, benchmark: Benchmark, wanted: pads.Expression | None = None) -> tuple[list[Run], list[str]]:
    """All trials with a generator and a resolution of the benchmark, oldest first, and notes on damaged recipes."""
    recipes = [cell.recipe() for cell in benchmark.runnable]
    condition = pads.field("resolution").isin(sorted({recipe.data.resolution for recipe in recipes}))
    condition &= pads.field("generator").isin(sorted({recipe.generator.name for recipe in recipes}))
    if wanted is not None:
        condition &= wanted
    columns = [name for name in Run.__dataclass_fields__ if name != "meaning"]
    found, damaged = [], []
    for row in store.trials(columns=[*columns, "recipe_json", "lineage"], where=condition).to_pylist():
        if row.pop("lineage"):
            continue  # it took over another's weights: its recipe is only how it began
        try:
            flat = flatten(row.pop("recipe_json"), row["trial_id"])
        except StoreError as error:
            damaged.append(f"{error}; it is left out")
            continue
        found.append(Run(**row, meaning=meaning(flat)))
    return found, damaged


def meaning(flat: Flat) -> str:
    """What a flat recipe is apart from `APART`: the same text for all trials of a cell."""
    kept = {path: value for path, value in flat.items() if not _is_apart(path)}
    return json.dumps(kept, sort_keys=True)


def meaning_of(cell: Cell) -> str:
    """The `meaning` of a cell's own recipe."""
    return meaning(flatten(cell.recipe().model_dump_json(), cell.name))


def per_seed(found: Iterable[Run]) -> list[Run]:
    """One trial per seed, the oldest: the same recipe and seed again is no further evidence."""
    result: dict[int, Run] = {}
    for run in found:
        result.setdefault(run.seed, run)
    return [result[seed] for seed in sorted(result)]


def _is_apart(path: str) -> bool:
    return any(path == apart or path.startswith(f"{apart}.") for apart in APART)


def _learnt(run: Run, cell: Cell) -> bool:
    named = _DATA_SET.fullmatch(run.dataset)
    return named is not None and named[1] == cell.column.name


def _has_size(run: Run, cell: Cell) -> bool:
    early = run.status == "failed" and not run.n_images  # before its images were there: the source tells how many
    return run.dataset == cell.column.dataset if early else run.n_images in cell.column.counts


def _other_numbers(benchmark: Benchmark, counts: dict[tuple[str, int], int]) -> list[str]:
    by_name: dict[str, Any] = {cell.name: cell for cell in benchmark.cells}
    return [
        f"{name}: {count} trial{'s' * (count > 1)} learnt {n} images, not {by_name[name].column.n}, and "
        f"{'are' if count > 1 else 'is'} left out"
        for (name, n), count in sorted(counts.items())
    ]
