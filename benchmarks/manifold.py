"""Seconds that precision, recall, density, coverage and memorisation add to an evaluation at 2,048 dimensions.

    python benchmarks/manifold.py                # prints the table, writes benchmarks/results/manifold.json

Features are drawn as in benchmarks/frechet.py. The Frechet and kernel distances of the same features are timed
beside them. `peak_mb` is what each of the two allocates beyond the features, as tracemalloc sees it.
The floor is what real images score against other images of their own source: a random half of a sample set
against the other half, with EfficientNet-Lite0's features.
"""

import argparse
import json
import os
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from frechet import draw

from ganray.data.images import load_images
from ganray.evaluation.extractors import load_extractor
from ganray.evaluation.frechet import frechet_distance
from ganray.evaluation.kernel import kernel_distance
from ganray.evaluation.manifold import manifold_metrics
from ganray.evaluation.memorisation import memorisation
from ganray.evaluation.protocols import get_protocol
from ganray.evaluation.reals import real_features
from ganray.recipe.data import DataSpec

RESULT = Path(__file__).parent / "results" / "manifold.json"
SIZES = ((200, 100), (5000, 100), (5000, 5000))
DIMS = 2048
METRICS: dict[str, Callable[..., Any]] = {
    "manifold": manifold_metrics,
    "memorisation": memorisation,
    "frechet": frechet_distance,
    "kernel": kernel_distance,
}
ADDED = ("manifold", "memorisation")


def measure(n_fake: int, n_real: int, repeats: int) -> dict[str, Any]:
    """The median seconds of each metric, and the peak memory of those that are new."""
    real, fake = draw(n_real, DIMS, 0.3, seed=1), draw(n_fake, DIMS, 0.35, seed=2)
    seconds = {}
    for name, metric in METRICS.items():
        metric(real[:10], fake[:20])  # the BLAS threads exist from here on
        runs = []
        for _ in range(repeats):
            began = time.perf_counter()
            metric(real, fake)
            runs.append(time.perf_counter() - began)
        seconds[name] = runs
    medians = {name: float(np.median(runs)) for name, runs in seconds.items()}
    return {
        "n_fake": n_fake,
        "n_real": n_real,
        "dims": DIMS,
        "seconds": seconds,
        "median_s": medians,
        "added_s": sum(medians[name] for name in ADDED),
        "peak_mb": {name: peak_mb(METRICS[name], real, fake) for name in ADDED},
    }


def peak_mb(metric: Callable[..., Any], *arguments: Any) -> float:
    """Megabytes that a call allocates at most."""
    tracemalloc.start()
    metric(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def floor(source: str, splits: int) -> dict[str, Any]:
    """Mean and standard deviation, over random splits, of what one half of the images scores against the other."""
    protocol = get_protocol("fd_lite0_1k_train")
    images = load_images(DataSpec(source=source, resolution=64))
    features = real_features(images, protocol, load_extractor(protocol, "cpu"))
    found: dict[str, list[float]] = {}
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(features))
        half = len(order) // 2
        real, other = features[order[:half]], features[order[half:]]
        values = {**vars(manifold_metrics(real, other)), "memorised": memorisation(real, other).share}
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {
        "source": source,
        "images": len(features),
        "splits": splits,
        "values": {name: {"mean": float(np.mean(v)), "std": float(np.std(v))} for name, v in found.items()},
    }


def circumstances() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "load_average": list(os.getloadavg()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "ganray")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--splits", type=int, default=20, help="random halves of each sample set")
    parser.add_argument("--source", nargs="*", default=["sample:hubble"], help="image sets for the floor")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    before = circumstances()
    results = [measure(*size, options.repeats) for size in SIZES]
    floors = [floor(source, options.splits) for source in options.source]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({**before, "results": results, "floors": floors}, indent=2) + "\n")
    print("| fakes | reals | added | manifold | memorisation | Frechet | kernel | peak |")
    for r in results:
        times = " | ".join(f"{r['median_s'][name]:.3f} s" for name in METRICS)
        peak = max(r["peak_mb"].values())
        print(f"| {r['n_fake']} | {r['n_real']} | {r['added_s']:.3f} s | {times} | {peak:.0f} MB |")
    for f in floors:
        values = ", ".join(f"{name} {v['mean']:.2f} ± {v['std']:.2f}" for name, v in f["values"].items())
        print(f"halves of {f['source']} ({f['images']} images): {values}")
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
