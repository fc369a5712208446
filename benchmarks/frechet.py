"""Frechet distance of 100 reals against 5,000 fakes at 2,048 dimensions: ours beside pytorch-fid's, in one run.

    python benchmarks/frechet.py                 # prints the table, writes benchmarks/results/frechet.json

The features are drawn, not extracted: 200 latent directions with a decaying spectrum plus a little noise, cut at
zero as after a ReLU. Each side starts from the raw features, since that is what an evaluation has: pytorch-fid's
time includes the mean and the covariance (its `calculate_activation_statistics`), with the reals' half counted
apart because it can be kept.
"""

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pytorch_fid.fid_score import calculate_frechet_distance

from ganray.evaluation.frechet import frechet_distance

RESULT = Path(__file__).parent / "results" / "frechet.json"
LATENT = 200
AIM = 50.0

Features = npt.NDArray[np.float32]


def draw(n: int, dims: int, shift: float, seed: int) -> Features:
    """Features [n, dims], non-negative, of low effective rank."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    directions = fixed.normal(size=(LATENT, dims)) * np.exp(-3 * np.arange(LATENT) / LATENT)[:, None]
    latent = rng.normal(size=(n, LATENT))
    features = latent @ directions / np.sqrt(LATENT) + shift + 0.05 * rng.normal(size=(n, dims))
    return np.maximum(features, 0).astype(np.float32)


def statistics(features: Features) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and covariance as pytorch-fid computes them, in float64."""
    wide = features.astype(np.float64)
    return wide.mean(axis=0), np.cov(wide, rowvar=False)


def measure(n_real: int, n_fake: int, dims: int, repeats: int) -> dict[str, Any]:
    """Seconds and values of both, and their ratio."""
    real, fake = draw(n_real, dims, 0.3, seed=1), draw(n_fake, dims, 0.35, seed=2)
    frechet_distance(real[:10], fake[:20])  # the BLAS threads exist from here on
    ours_s = []
    for _ in range(repeats):
        began = time.perf_counter()
        ours = frechet_distance(real, fake)
        ours_s.append(time.perf_counter() - began)
    mean_real, cov_real = statistics(real)
    began = time.perf_counter()
    mean_fake, cov_fake = statistics(fake)
    statistics_s = time.perf_counter() - began
    began = time.perf_counter()
    theirs = float(calculate_frechet_distance(mean_real, cov_real, mean_fake, cov_fake))
    sqrtm_s = time.perf_counter() - began
    median_s = float(np.median(ours_s))
    return {
        "n_real": n_real,
        "n_fake": n_fake,
        "dims": dims,
        "ours_s": ours_s,
        "ours_median_s": median_s,
        "pytorch_fid_distance_s": sqrtm_s,
        "pytorch_fid_statistics_of_fakes_s": statistics_s,
        "ratio": sqrtm_s / median_s,
        "ratio_with_statistics": (sqrtm_s + statistics_s) / median_s,
        "ours": ours,
        "pytorch_fid": theirs,
        "relative_difference": abs(ours / theirs - 1),
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
        "versions": {name: version(name) for name in ("numpy", "scipy", "pytorch-fid", "ganray")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-real", type=int, default=100)
    parser.add_argument("--n-fake", type=int, default=5000)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5, help="of ours; pytorch-fid's runs once")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    before = circumstances()
    result = measure(options.n_real, options.n_fake, options.dims, options.repeats)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({**before, "aim_ratio": AIM, "result": result}, indent=2) + "\n")
    print(f"{result['n_real']} reals, {result['n_fake']} fakes, {result['dims']} dimensions")
    print(f"| pytorch-fid: distance         | {result['pytorch_fid_distance_s']:8.3f} s |")
    print(f"| pytorch-fid: fakes' mean, cov | {result['pytorch_fid_statistics_of_fakes_s']:8.3f} s |")
    print(f"| ours, from raw features       | {result['ours_median_s']:8.3f} s |")
    print(
        f"ratio {result['ratio']:.0f} (with statistics {result['ratio_with_statistics']:.0f}), aim {AIM:.0f};", end=" "
    )
    print(f"values differ by {result['relative_difference']:.1e} relative; written to {options.output}")


if __name__ == "__main__":
    main()
