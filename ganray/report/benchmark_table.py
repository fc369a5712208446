"""A benchmark's table: our mean over seeds, the published number beside it, and what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pyarrow.dataset as pads

from ganray.errors import StoreError
from ganray.recipe.messages import nearest
from ganray.report.benchmark_match import Matches, Run, match, per_seed
from ganray.report.benchmark_published import Published, PublishedRow, other_rows, own_values
from ganray.report.benchmarks import Benchmark, Cell, Column, Method, benchmark_names, load_benchmark
from ganray.report.leaderboard import Show, half_width
from ganray.report.lookup import Score, scores, some
from ganray.store.location import DEFAULT_STORE
from ganray.store.schema import EvaluationRow
from ganray.store.store import Store

_READ = ("trial_id", "experiment", "kimg", "protocol", "extractor", "extractor_checksum", "n_fake", "n_real",
         "frechet", "memorised")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ours:
    """What the store has for a cell: completed trials of one budget on the same images, one per seed.

    `low` to `high` is Student's interval at 95 % for the mean, cut at 0; None with a single seed. `kimg` is where each
    seed's number was reached, `device_s` what these trials took in all. `is_full`: they had the benchmark's budget.
    """

    trial_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    kimg: tuple[float, ...]
    n_evaluations: tuple[int, ...]
    mean: float
    low: float | None
    high: float | None
    half: float | None
    budget_kimg: float
    is_full: bool
    device_s: float
    devices: tuple[str, ...]
    memorised: float | None


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """One method on one data set. `command` fills it where there are no trials of the whole budget."""

    method: Method
    column: Column
    ours: Ours | None
    published: Published | None
    command: str | None

    @property
    def difference(self) -> float | None:
        """Ours minus the published number; below 0 is better. None where either is missing or the budget is another."""
        if self.ours is None or self.published is None or not self.ours.is_full:
            return None
        return self.ours.mean - self.published.value


@dataclass(frozen=True, kw_only=True)
class BenchmarkTable:
    """All cells in the table's order. `others`: other papers' rows, one protocol after the other; never to be mixed."""

    benchmark: Benchmark
    show: Show
    extractor: str | None
    extractor_checksum: str | None
    cells: tuple[TableCell, ...]
    others: tuple[PublishedRow, ...]
    n_others: int
    elsewhere: str | None
    """The store, where commands do not find it by themselves because it is not the default one."""
    notes: tuple[str, ...]

    def row(self, method: Method) -> tuple[TableCell, ...]:
        """The cells of one method, in the order of the columns."""
        return tuple(cell for cell in self.cells if cell.method.key == method.key)


def is_benchmark(store: Store, name: str) -> bool:
    """Whether the name is a benchmark's; False where it is an experiment's. A benchmark comes first where it is both.

    StoreError, with what is there, where it is neither.
    """
    if name in benchmark_names():
        return True
    experiments = store.experiments()
    if name in experiments:
        return False
    there = (
        f"it holds {some(experiments)}" if experiments else "it is empty; run a sweep first, or name another --store"
    )
    near, question, _ = nearest(name, [*benchmark_names(), *experiments]).partition("?")
    raise StoreError(
        f"no benchmark or experiment {name!r}: {near + '? ' if question else ''}"
        f"The benchmarks are {', '.join(benchmark_names())}; of the store {store.uri}: {there}"
    )


def benchmark_table(
    store: Store, benchmark: Benchmark | str, show: Show = "best", with_published: bool = False
) -> BenchmarkTable:
    """The table of a benchmark, from the store and the published numbers.

    Only completed trials under the benchmark's protocol and by one extractor count. Trials of another budget stand in
    only where there are none of the benchmark's own, and are marked. RecipeError where there is no such benchmark.
    """
    declared = load_benchmark(benchmark) if isinstance(benchmark, str) else benchmark
    matches = match(store, declared)
    best, extractor, extractor_notes = reached(store, declared, matches)
    published = own_values(declared)
    cells = []
    for cell in declared.cells:
        ours = _ours(matches.runs.get(cell.name, []), best, declared.budget_kimg, show)
        filled = ours is not None and ours.is_full
        cells.append(
            TableCell(
                method=cell.method,
                column=cell.column,
                ours=ours,
                published=published.get(cell.name),
                command=cell.command if cell.is_runnable and not filled else None,
            )
        )
    others = other_rows(declared)
    return BenchmarkTable(
        benchmark=declared,
        show=show,
        extractor=extractor[0] if extractor else None,
        extractor_checksum=extractor[1] if extractor else None,
        cells=tuple(cells),
        others=others if with_published else (),
        n_others=sum(len(row.values) for row in others),
        elsewhere=None if store.uri == str(Path(DEFAULT_STORE).absolute()) else store.uri,
        notes=(*matches.notes, *extractor_notes, *_run_notes(declared, matches, cells)),
    )


def reached(
    store: Store, benchmark: Benchmark, matches: Matches
) -> tuple[dict[str, Score], tuple[str, str] | None, tuple[str, ...]]:
    """Trial id to its score by the extractor of most evaluations, that extractor, and a note on what others are out."""
    ids = sorted({run.trial_id for found in matches.runs.values() for run in found})
    if not ids:
        return {}, None, ()
    condition = (pads.field("protocol") == benchmark.protocol) & pads.field("trial_id").isin(ids)
    rows = [EvaluationRow(**row) for row in store.evaluations(columns=_READ, where=condition).to_pylist()]
    counts = Counter((row.extractor, row.extractor_checksum) for row in rows)
    if not counts:
        return {}, None, ()
    kept = min(counts, key=lambda extractor: (-counts[extractor], extractor))
    left = len(rows) - counts[kept]
    note = (
        f"{left} of {len(rows)} evaluations are left out: their extractor's weights differ from those of most "
        f"({kept[0]}, {kept[1][:12]}), so their numbers do not compare"
    )
    under = [row for row in rows if (row.extractor, row.extractor_checksum) == kept]
    return {trial: score for (trial, _), score in scores(under).items()}, kept, (note,) if left else ()


def _ours(found: Sequence[Run], reached: Mapping[str, Score], kimg: float, show: Show) -> Ours | None:
    done = [run for run in found if run.status == "completed" and run.trial_id in reached]
    full = [run for run in done if run.has_budget(kimg)]
    if not full and done:
        largest = max(run.budget_kimg for run in done)
        done = [run for run in done if run.has_budget(largest)]
    counted = per_seed(_same_images(full or done))
    if not counted:
        return None
    shown = [getattr(reached[run.trial_id], show) for run in counted]
    values = tuple(row.frechet for row in shown)
    mean, half = fmean(values), half_width(values)
    copied = [row.memorised for row in shown if row.memorised is not None]
    return Ours(
        trial_ids=tuple(run.trial_id for run in counted),
        seeds=tuple(run.seed for run in counted),
        values=values,
        kimg=tuple(row.kimg for row in shown),
        n_evaluations=tuple(reached[run.trial_id].n_evaluations for run in counted),
        mean=mean,
        low=None if half is None else max(0.0, mean - half),
        high=None if half is None else mean + half,
        half=half,
        budget_kimg=counted[0].budget_kimg,
        is_full=bool(full),
        device_s=sum(run.device_s for run in counted),
        devices=tuple(sorted({run.device for run in counted})),
        memorised=fmean(copied) if len(copied) == len(shown) else None,
    )


def _same_images(found: Sequence[Run]) -> list[Run]:
    """Those on the images that most seeds learnt, the oldest trial's among equals: other images, other distances."""
    seeds: dict[str, set[int]] = {}
    for run in found:
        seeds.setdefault(run.dataset_fingerprint, set()).add(run.seed)
    most = max(seeds, key=lambda name: len(seeds[name]), default="")
    return [run for run in found if run.dataset_fingerprint == most]


def _run_notes(benchmark: Benchmark, matches: Matches, cells: Sequence[TableCell]) -> list[str]:
    """Per cell: trials that do not count, and images that differ. Over all: unequal numbers of checkpoints."""
    notes = []
    for cell in benchmark.runnable:
        found = matches.runs.get(cell.name, [])
        notes += [*_states(cell, found), *_data(cell, found)]
    counts = {n for cell in cells if cell.ours and cell.ours.is_full for n in cell.ours.n_evaluations}
    if len(counts) > 1:
        notes.append(
            f"trials were scored at {min(counts)} to {max(counts)} checkpoints: the best of more is lower by chance "
            f"alone; --show final does not depend on it"
        )
    return notes


def _states(cell: Cell, found: Sequence[Run]) -> list[str]:
    """What did not complete, unless another trial of that seed did."""
    completed = {run.seed for run in found if run.status == "completed"}
    left = [run for run in found if run.status != "completed" and run.seed not in completed]
    return [
        f"{cell.name}: {run.trial_id} (seed {run.seed}) is {run.status} at {run.kimg:g} kimg and does not count"
        + (f": {run.diagnosis}" if run.diagnosis else "")
        for run in left
    ]


def _data(cell: Cell, found: Sequence[Run]) -> list[str]:
    done = [run for run in found if run.status == "completed"]
    notes = []
    if (sets := len({run.dataset_fingerprint for run in done})) > 1:
        notes.append(
            f"{cell.name}: its trials learnt {sets} different sets of images of that name and size; those on the "
            f"images of most seeds count"
        )
    if other := sorted({run.n_images for run in done} - {cell.column.n}):
        numbers = " or ".join(str(n) for n in other)
        notes.append(f"{cell.name}: trained on {numbers} images; other sources say {cell.column.n}")
    return notes
