"""Writes the site: one page per trial, an index, a comparison, and the data and pictures beside them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

from ganray.report.benchmark_grid import commands, grids, header, notes
from ganray.report.benchmark_table import benchmark_table
from ganray.report.benchmarks import benchmark_names
from ganray.report.cells import number
from ganray.report.site.clean import clean, script_json, store_name
from ganray.report.site.collect import Collected, Ranked, Trial, collect
from ganray.report.site.folder import replaced
from ganray.report.site.pages import Pages
from ganray.report.site.pictures import THREADS, Which, copy_pictures
from ganray.report.site.tables import board_table, seeds_table
from ganray.report.site.trial_page import comparable, trial_page
from ganray.store.schema import now
from ganray.store.store import Store
from ganray.version import __version__

Progress = Callable[[int, int], None]
"""Called with the trials written so far and all of them."""


def build_report(
    store: Store,
    experiments: Sequence[str],
    folder: Path,
    *,
    pictures: Which = "all",
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write the report of these experiments, or of all, and return the path of its index.html.

    An earlier report at that place is replaced once the new one is whole. StoreError where there is no such
    experiment; GanrayError where the folder holds anything else than a report, or cannot be written.
    """
    found = collect(store, experiments)
    with replaced(folder) as root:
        _copy_assets(root)
        pages = Pages(root, _about(found))
        thumbnails = _write_trials(store, found, pages, pictures, progress)
        _write_index(store, found, pages, thumbnails)
        pages.write("compare.html", "compare.html", title="Compare two trials")
    return folder / "index.html"


def _copy_assets(root: Path) -> None:
    source = resources.files("ganray.report.site") / "assets"
    with resources.as_file(source) as assets:
        shutil.copytree(assets, root / "assets")


def _about(found: Collected) -> dict[str, Any]:
    """What every page says of the report."""
    names = clean(list(found.experiments))
    return {
        "experiments": names,
        "name": names[0] if len(names) == 1 else f"{len(names)} experiments",
        "store": store_name(found.store),
        "written": f"{now():%Y-%m-%d %H:%M} UTC",
        "version": __version__,
    }


def _write_trials(
    store: Store, found: Collected, pages: Pages, which: Which, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Write pages, data and pictures of all trials; the best checkpoint's picture of each, by slug."""
    places = _places(found)
    thumbnails = {}
    progress(0, len(found.trials))
    with ThreadPoolExecutor(THREADS) as pool:
        for done, trial in enumerate(found.trials.values(), start=1):
            place, best = places.get(trial.slug, (None, None))
            copied = copy_pictures(store, trial, pages.root, which, pool)
            page = trial_page(trial, place, best, copied)
            pages.write("trial.html", f"trials/{trial.slug}.html", depth=1, title=f"Trial {page['id']}", page=page)
            pages.write_script(f"data/{trial.slug}.js", f"GanrayReport.receive({script_json(comparable(page))});\n")
            if page["grids"]:
                thumbnails[trial.slug] = _nearest(page["grids"], page["start"])
            progress(done, len(found.trials))
    pages.write_script("data/all-trials.js", f"GanrayReport.receiveAll({script_json(_listed(found, places))});\n")
    return thumbnails


def _places(found: Collected) -> dict[str, tuple[Ranked, Trial | None]]:
    """Slug to where a trial stands in its largest ranking, and who is first there."""
    result: dict[str, tuple[Ranked, Trial | None]] = {}
    for board in found.boards:
        for ranking in board.rankings:
            for each in ranking.ranked:
                result.setdefault(each.trial.slug, (each, ranking.best.trial if ranking.best else None))
    return result


def _nearest(grids: list[dict[str, Any]], kimg: float | None) -> dict[str, Any]:
    return min(grids, key=lambda grid: abs(grid["kimg"] - kimg)) if kimg is not None else grids[-1]


def _listed(found: Collected, places: dict[str, tuple[Ranked, Trial | None]]) -> Any:
    """What the comparison lets one choose from."""
    rows = []
    for trial in found.trials.values():
        place = places[trial.slug][0]
        distance = number(place.score.best.frechet) if place.score else trial.row.status
        rank = f"#{place.rank}  " if place.rank else ""
        text = f"{rank}{trial.row.trial_id[:12]}  {distance}  {trial.row.loss}"
        rows.append({"slug": trial.slug, "experiment": trial.row.experiment, "text": text, "rank": place.rank or 1e9})
    return clean(sorted(rows, key=lambda row: (row["experiment"], row["rank"])))


def _write_index(store: Store, found: Collected, pages: Pages, thumbnails: dict[str, dict[str, Any]]) -> None:
    is_one = len(found.experiments) == 1
    rows = [trial.row for trial in found.trials.values()]
    pages.write(
        "index.html",
        "index.html",
        title=pages.about["name"],
        n_trials=len(rows),
        counts=Counter(row.status for row in rows),
        device_s=sum(row.device_s or 0.0 for row in rows),
        boards=[board_table(board, is_one) for board in found.boards],
        seeds=[seeds_table(each) for each in found.seeds],
        notes=clean(list(found.notes)),
        losses=sorted({row.loss for row in rows}),
        statuses=sorted({row.status for row in rows}),
        thumbnails=thumbnails,
        benchmarks=[_benchmark(store, name) for name in benchmark_names()],
    )


def _benchmark(store: Store, name: str) -> dict[str, Any]:
    """A table of a paper: the grids, the notes and what fills the missing cells, as texts."""
    table = benchmark_table(store, name, with_published=True)
    return {
        "name": table.benchmark.name,
        "title": table.benchmark.title,
        "n_ours": sum(cell.ours is not None for cell in table.cells),
        "n_cells": len(table.cells),
        "grids": [{"grid": grid, "columns": [header(column) for column in grid.columns]} for grid in grids(table)],
        "notes": notes(table),
        "commands": commands(table),
    }
