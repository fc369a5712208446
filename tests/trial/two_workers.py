"""One of the two workers behind test_two_workers.py: python two_workers.py RANK FOLDER PHOTOS

A script, because a spawned process cannot import a test module. The main worker writes FOLDER/found.json.
"""

import json
import sys
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist
from tiny import install

from ganray.recipe.recipe import Recipe
from ganray.training.distributed import World
from ganray.trial.job import TrialJob
from ganray.trial.run import run_trial


def job_of(folder, photos, store="store", **sections):
    plain = {
        "data": {"source": str(photos), "resolution": 32},
        "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "dcgan", "width": 4},
        "tricks": [{"name": "diffaugment"}, {"name": "ema", "decay": 0.9}],
        "budget": {"kimg": 0.08, "batch_size": 4},
        "evaluation": {"protocols": ["fd_tiny"], "every_kimg": 0.04},
    }
    return TrialJob(Recipe.model_validate({**plain, **sections}), "demo", folder / "runs", str(folder / store))


def poison(state, reading):
    if state.kimg > 0.04:
        with torch.no_grad():
            next(state.generator.parameters()).fill_(float("nan"))


def full_disk(content, file, save=torch.save, **options):
    if isinstance(content, dict):  # a checkpoint; tensors that travel between the workers are saved as well
        raise OSError(28, "No space left on device")
    save(content, file, **options)


def main():
    rank, folder, photos = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    install()
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", timedelta(seconds=60), world_size=2, rank=rank)
    world = World(rank, 2)

    def run(job, **options):
        return run_trial(job, world, lambda report: True, **options)

    found = {}
    found["straight"] = run(job_of(folder, photos))
    found["again"] = run(job_of(folder, photos))
    found["nan"] = run(job_of(folder, photos, seed=1), watch=poison)
    (folder / "file").write_text("I am a file")
    found["store"] = run(job_of(folder, photos, store="file/store", seed=2))
    found["data"] = run(job_of(folder, folder / "absent"))
    found["batch"] = run(job_of(folder, photos, budget={"kimg": 0.08, "batch_size": 5}))
    with mock.patch.object(torch, "save", full_disk):
        found["disk"] = run(job_of(folder, photos, seed=3))
    asked = iter([False, True])  # asked each four steps
    paused = job_of(folder, photos, seed=4)
    found["paused"] = run(paused, pause=lambda: rank == 1 and next(asked, False))
    found["resumed"] = run(paused)
    found["whole"] = run(replace(paused, runs=folder / "whole", store=str(folder / "whole-store")))
    fast = {"generator": {"lr": 1.0}, "discriminator": {"lr": 1.0}}
    doomed = job_of(folder, photos, seed=5, optimizers=fast)
    found["doomed"] = run(replace(doomed, prune_on=("gradient-explosion",)))
    everyone = world.gather({name: asdict(outcome) for name, outcome in found.items()})
    if world.is_main:
        (folder / "found.json").write_text(json.dumps(everyone))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
