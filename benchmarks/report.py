"""How long the report of many trials takes to write, and to open in headless Chromium from disk.

    flock /tmp/heavy.lock python benchmarks/report.py        # 1,000 trials; writes benchmarks/results/report.json
    python benchmarks/report.py --trials 40 --pictures --keep /tmp/report    # only a site to look at

The trials are made up: valid recipes, distances that depend on them, curves of 60 readings, four evaluations. With
`--pictures` there are sample grids and pairs, too. Chromium loads the page --repeats times, each in a new process
with an empty cache; `load_s` is the time from navigation to the load event, `shown_s` to the first contentful paint.
"""

import argparse
import io
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

from ganray.recipe.recipe import Recipe
from ganray.report.site import build_report
from ganray.store.schema import TABLES, CurveRow, EvaluationRow, Row, TrialRow
from ganray.store.store import Store

RESULT = Path(__file__).parent / "results" / "report.json"
AIM_S = 2.0
BEGAN = datetime(2026, 11, 1, 9, tzinfo=UTC)
KIMG = 20.0
LOSSES = {"hinge": 0.0, "lsgan": 12.0, "non_saturating": 4.0, "ragan": -6.0, "rahinge": -9.0}
DISCRIMINATORS = {"dcgan": 0.0, "patch": -30.0, "unet": 18.0}
POLICIES: dict[str | None, float] = {None: 25.0, "color,translation": 0.0, "translation,cutout": 6.0}


def make_store(place: Path, n_trials: int, with_pictures: bool = False, seeds: int = 2) -> Store:
    """A store of made-up trials of one experiment, `search`: one parquet file per table."""
    draw = random.Random(0)
    store, rows = Store(place), {"trials": [], "evaluations": [], "curves": []}  # type: ignore[var-annotated]
    for index in range(n_trials):
        if index % seeds == 0:
            parts, level = _recipe(draw)
        recipe = Recipe.model_validate({**parts, "seed": index % seeds})
        reached = draw.gauss(level, 8.0)
        status = draw.choices(["completed", "pruned", "failed"], [75, 20, 5])[0]
        trial = _trial(index, recipe, status)
        rows["trials"].append(trial)
        rows["curves"] += _curves(trial, draw)
        rows["evaluations"] += _evaluations(store if with_pictures else None, trial, reached, draw)
    for table, own in rows.items():
        _write(place, table, own)
    return store


def _recipe(draw: random.Random) -> tuple[dict[str, Any], float]:
    loss, policy = draw.choice(list(LOSSES)), draw.choice(list(POLICIES))
    discriminator, rate = draw.choice(list(DISCRIMINATORS)), 10 ** draw.uniform(-4, -3)
    tricks: list[dict[str, Any]] = [{"name": "ema", "decay": draw.choice([0.99, 0.999])}, {"name": "flips"}]
    tricks += [{"name": "diffaugment", "policy": policy.split(",")}] if policy else []
    level = 190 + LOSSES[loss] + POLICIES[policy] + DISCRIMINATORS[discriminator] + 40 * abs(np.log10(rate) + 3.5)
    parts = {
        "data": {"source": "sample:hubble", "resolution": 64},
        "generator": {"name": "dcgan", "width": 16},
        "discriminator": {"name": discriminator, "width": 16},
        "objective": {"loss": {"name": loss}},
        "tricks": tricks,
        "optimizers": {"generator": {"lr": float(f"{rate:.3g}")}},
        "budget": {"kimg": KIMG, "batch_size": 8},
        "evaluation": {"protocols": ["fd_lite0_1k_train"], "every_kimg": KIMG / 4},
    }
    return parts, float(level)


def _trial(index: int, recipe: Recipe, status: str) -> TrialRow:
    done = KIMG if status == "completed" else KIMG / 2
    augment = recipe.trick("diffaugment")
    finding = {"name": "non-finite", "evidence": "loss_d = nan at 10.000 kimg", "since_kimg": 10.0, "kimg": 10.0}
    return TrialRow(
        trial_id=f"{random.Random(index).getrandbits(48):012x}", experiment="search", status=status,  # type: ignore[arg-type]
        recipe_json=recipe.model_dump_json(), recipe_hash=f"{index:064x}", dataset="hubble",
        dataset_fingerprint="54295b2e4266c350", n_images=100, resolution=64, generator="dcgan",
        discriminator=recipe.discriminator.name, loss=recipe.objective.loss.name, seed=recipe.seed,
        augment=",".join(augment.policy) if augment else None, tricks=[trick.name for trick in recipe.tricks],
        budget_kimg=KIMG, batch_size=8, device="cpu", versions={"ganray": version("ganray")}, kimg=done,
        wall_s=30 * done, device_s=30 * done, generator_params=550_000, discriminator_params=170_000,
        diagnosis="non-finite: loss_d = nan at 10.000 kimg" if status == "failed" else None,
        diagnoses=[json.dumps(finding)] if status == "failed" else [],
        created_at=BEGAN + timedelta(minutes=index), updated_at=BEGAN + timedelta(minutes=index + 30),
    )  # fmt: skip


def _curves(trial: TrialRow, draw: random.Random, n: int = 60) -> list[CurveRow]:
    rows = []
    for step in range(1, n + 1):
        share = step / n
        rows.append(
            CurveRow(
                trial_id=trial.trial_id, experiment=trial.experiment, kimg=trial.kimg * share, created_at=BEGAN,
                loss_d=1.4 - 0.6 * share + draw.gauss(0, 0.05), loss_g=0.7 + 1.1 * share + draw.gauss(0, 0.08),
                logits_real=1.5 * share + draw.gauss(0, 0.1), logits_fake=-1.3 * share + draw.gauss(0, 0.1),
                grad_norm_d=2 + 8 * draw.random(), grad_norm_g=0.1 + draw.random(),
                images_per_s=260 + draw.gauss(0, 6),
            )
        )  # fmt: skip
    return rows


def _evaluations(store: Store | None, trial: TrialRow, reached: float, draw: random.Random) -> list[EvaluationRow]:
    rows = []
    for n in range(1, int(4 * trial.kimg / KIMG) + 1):
        kimg = n * KIMG / 4
        distance = float(max(20.0, reached + 90 * np.exp(-kimg / 6) + draw.gauss(0, 3)))
        uris: dict[str, str] = {}
        if store:
            sharpness = 8 * distance / 300
            for kind, columns in (("grid", 8), ("pairs", 6)):
                picture = draw_samples(columns, sharpness, int(trial.trial_id[:6], 16))
                name = f"{kind}-{round(kimg * 1000):09d}.png"
                uris[kind] = store.put_artifact(trial.experiment, trial.trial_id, name, picture)
        rows.append(
            EvaluationRow(
                trial_id=trial.trial_id, experiment=trial.experiment, kimg=kimg, protocol="fd_lite0_1k_train",
                extractor="lite0", extractor_checksum="579344248a93e230", n_fake=1000, n_real=100, frechet=distance,
                kid=distance / 600, kid_stderr=0.008, precision=1 - distance / 400, recall=0.3, density=0.8,
                coverage=0.9 - distance / 400, memorised=max(0.0, draw.gauss(0.33, 0.05)), diversity=0.7,
                overfit=0.3 * kimg / KIMG, seconds=6.0, device_s=30 * kimg, created_at=BEGAN,
                grid_uri=uris.get("grid"), pairs_uri=uris.get("pairs"),
            )
        )  # fmt: skip
    return rows


def draw_samples(columns: int, blur_px: float, seed: int, side_px: int = 64) -> bytes:
    """A grid of stars on black, as PNG; the more blurred, the worse the trial."""
    rng = np.random.default_rng(seed)
    side = columns * (side_px + 2) + 2
    page = np.zeros((side, side, 3), np.uint8)
    page[rng.integers(0, side, 900), rng.integers(0, side, 900)] = rng.integers(90, 255, (900, 3))
    picture = Image.fromarray(page).filter(ImageFilter.GaussianBlur(0.6 + blur_px / 3))
    bright = np.asarray(picture).astype(float)
    bright = np.clip(bright / bright.max() * 255, 0, 255).astype(np.uint8)
    bright[:: side_px + 2] = bright[1 :: side_px + 2] = bright[:, :: side_px + 2] = bright[:, 1 :: side_px + 2] = 255
    out = io.BytesIO()
    Image.fromarray(bright).save(out, "PNG")
    return out.getvalue()


def _write(place: Path, table: str, rows: list[Row]) -> None:
    folder = place / table / "experiment=search"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([r.to_dict() for r in rows], schema=TABLES[table]), folder / "made-up.parquet")


def measure_page(url: str) -> dict[str, float]:
    """Seconds of one load in a new Chromium, from the browser's own clock."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver") or "")
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.get(url)
        time.sleep(1.0)
        entry = browser.execute_script("return performance.getEntriesByType('navigation')[0].toJSON()")
        paint = browser.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
        sort_ms = browser.execute_script(
            "const b = document.querySelectorAll('.ranking thead button')[4]; if (!b) return 0;"
            "const t = performance.now(); b.click(); document.body.offsetHeight; return performance.now() - t;"
        )
    return {
        "load_s": entry["loadEventEnd"] / 1000,
        "interactive_s": entry["domInteractive"] / 1000,
        "shown_s": paint / 1000,
        "sort_s": sort_ms / 1000,
    }


def medians(loads: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(load[name] for load in loads) for name in loads[0]}


def circumstances() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "load_average": list(os.getloadavg()),
        "browser": os.popen("chromium --version 2>/dev/null").read().strip(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("ganray", "jinja2", "pyarrow", "selenium")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pictures", action="store_true", help="with sample grids")
    parser.add_argument("--keep", type=Path, help="write the site there and do not measure")
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder) / "store", given.trials, given.pictures)
        began = time.perf_counter()
        index = build_report(store, [], given.keep or Path(folder) / "report")
        write_s = time.perf_counter() - began
        print(f"{index}: {given.trials} trials written in {write_s:.1f} s, index.html {index.stat().st_size:,} bytes")
        if given.keep:
            return
        trial = next((index.parent / "trials").iterdir())
        pages = {"index": index, "trial": trial, "compare": index.parent / "compare.html"}
        before, size = circumstances(), index.stat().st_size
        opened = {
            name: medians([measure_page(path.as_uri()) for _ in range(given.repeats)]) for name, path in pages.items()
        }
    result = {
        "trials": given.trials,
        "write_s": write_s,
        "index_bytes": size,
        "repeats": given.repeats,
        "medians": opened,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps({**before, "aim_s": AIM_S, "result": result}, indent=2) + "\n")
    for name, times in opened.items():
        print(f"| {name:8} | " + " | ".join(f"{key} {value:.3f}" for key, value in times.items()) + " |")


if __name__ == "__main__":
    main()
