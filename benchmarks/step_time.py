"""Seconds per training step, side by side in one run: under each speed setting, or of each recipe of a design.

    python benchmarks/step_time.py                                   # FastGAN at 256 px under fp32, bf16, channels_last
    python benchmarks/step_time.py --design experiments/hacks.yaml   # what each switch costs beside the baseline

The variants take turns, step by step, so that a busy moment of the machine falls on all of them; the figure is the
median over the rounds, and ratios are medians of each round's ratio to the first variant. The data are random pixels.
Writes benchmarks/results/step_time-NAME.json.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ganray.recipe.experiment import load_experiment
from ganray.recipe.presets import load_preset
from ganray.recipe.recipe import Recipe
from ganray.report.effects import change_of
from ganray.report.recipes import flatten, not_default
from ganray.training.distributed import World, pick_device
from ganray.training.game import build_game
from ganray.training.loop import prepare_device
from ganray.training.state import build_state
from ganray.training.step import train_step
from ganray.trial.run import load_perception

RESULTS = Path(__file__).parent / "results"
SPEEDS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "fp32, channels_last": {"channels_last": True},
    "bf16": {"precision": "bf16"},
    "bf16, channels_last": {"precision": "bf16", "channels_last": True},
}
COMPILED = {"bf16, channels_last, compile": {"precision": "bf16", "channels_last": True, "compile": True}}
N_IMAGES = 100


def speed_variants(resolution: int, batch_size: int, compiled: bool) -> dict[str, Recipe]:
    """The preset fastgan under each setting; its reconstruction by L1, whose weights nobody has to fetch."""
    tree = load_preset("fastgan")
    tree["discriminator"]["decode"]["distance"] = "l1"
    tree |= {"data": {"source": "random", "resolution": resolution}, "budget": {"kimg": 1e6, "batch_size": batch_size}}
    settings = SPEEDS | (COMPILED if compiled else {})
    return {name: Recipe.model_validate({**tree, "runtime": runtime}) for name, runtime in settings.items()}


def design_variants(path: Path) -> dict[str, Recipe]:
    """Every recipe of a design with its first seed, under the words that `ganray effects` has for it."""
    experiment = load_experiment(path)
    recipes = [experiment.fixed(params) for params in experiment.start_params()]
    first = [recipe for recipe in recipes if recipe.seed == recipes[0].seed]
    baseline = flatten(first[0].model_dump_json(), "baseline")
    texts = [recipe.model_dump_json() for recipe in first]
    return {change_of(baseline, flatten(t, "other"), not_default(t)): r for t, r in zip(texts, first)}


def stepper(recipe: Recipe, device: torch.device) -> Callable[[], float]:
    """A function that makes one step and returns its seconds."""
    side = recipe.data.resolution
    images = torch.randint(256, (N_IMAGES, 3, side, side), dtype=torch.uint8).to(device)
    perception = load_perception(recipe, device)
    state = build_state(recipe, N_IMAGES, World(device=device), features=perception.features)
    game = build_game(state, perception)

    def step() -> float:
        began = time.perf_counter()
        train_step(state, game, images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    return step


def measure(variants: dict[str, Recipe], device: torch.device, rounds: int, at_once: int) -> list[dict[str, Any]]:
    """Median seconds of each variant, and its ratio to the first, which takes part in every group of `at_once`."""
    names = list(variants)
    first, others = names[0], names[1:]
    groups = [others[i : i + at_once] for i in range(0, len(others), at_once)] or [[]]
    rows: dict[str, dict[str, Any]] = {}
    for group in groups:
        steps = {name: stepper(variants[name], device) for name in (first, *group)}
        for step in steps.values():
            step(), step()  # kernels are chosen, caches filled
        times = [{name: step() for name, step in steps.items()} for _ in range(rounds)]
        for name in steps:
            rows[name] = {
                "variant": name,
                "step_s": statistics.median(t[name] for t in times),
                "ratio": statistics.median(t[name] / t[first] for t in times),
            }
        print(f"{len(rows)} of {len(names)} measured", file=sys.stderr)
    return [rows[name] for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--design", type=Path, help="an experiment file with sampler one_at_a_time or grid")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compile", action="store_true", help="one more variant, compiled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=8, help="variants that are held in memory beside the first")
    options = parser.parse_args()
    device = pick_device(options.device)
    prepare_device(device)
    load = list(os.getloadavg())
    if options.design:
        name, variants = options.design.stem, design_variants(options.design)
    else:
        name = f"fastgan-{options.resolution}-{device.type}"
        variants = speed_variants(options.resolution, options.batch_size, options.compile)
    rows = measure(variants, device, options.rounds, options.at_once)
    content = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "load_average_before": load,
        "versions": {package: version(package) for package in ("torch", "ganray")},
        "rounds": options.rounds,
        "result": rows,
    }
    path = RESULTS / f"step_time-{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    width = max(len(row["variant"]) for row in rows)
    for row in rows:
        print(f"{row['variant']:<{width}}  {row['step_s']:9.4f} s  {row['ratio']:6.2f}")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
