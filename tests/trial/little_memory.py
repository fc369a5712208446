"""A trial whose steps get less memory, after the second one, than that took: python little_memory.py FOLDER PHOTOS

A script, because the limit holds for a whole process. Writes FOLDER/found.json.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from tiny import install

from ganray.recipe.recipe import Recipe
from ganray.training import loop
from ganray.training.distributed import World
from ganray.trial.job import TrialJob
from ganray.trial.memory import Retry, with_retry
from ganray.trial.run import run_trial

BATCH = 64
RECIPE = {
    "generator": {"name": "dcgan", "width": 32, "latent_dim": 8, "norm": "none"},
    "discriminator": {"name": "dcgan", "width": 64},
    "budget": {"kimg": 4 * BATCH / 1000, "batch_size": BATCH},
    "evaluation": {"protocols": ["fd_tiny"], "every_kimg": 1.0},
}
SHARE = 0.62
"""Of what the whole batch takes; it really needs three quarters of that, and half the batch half of it."""


def address_space(field):
    """`VmSize` or `VmPeak` of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(field)


def main():
    folder, photos = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    install()
    at_once, train_step = [], loop.train_step
    need = 0

    def step(state, game, images):
        nonlocal need
        recipe, n = state.recipe, len(at_once)
        if n == 0:  # both sizes are met once, as kernels are compiled for each, which cannot fail in good order
            state.recipe = with_retry(recipe, Retry("", 0.0, BATCH // 2))
        at_once.append(state.recipe.runtime.micro_batch or BATCH)
        before = address_space("VmSize")
        room = before + int(SHARE * need) if n >= 2 else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
        try:
            stats = train_step(state, game, images)
        finally:  # only steps are short of memory: not whoever starts a thread to write a file
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if n == 1:
            need = address_space("VmPeak") - before
        state.recipe = recipe
        return stats

    loop.train_step = step
    data = {"source": photos, "resolution": 64}
    job = TrialJob(Recipe.model_validate({"data": data, **RECIPE}), "demo", folder / "runs", str(folder / "store"))
    outcome = run_trial(job, World(), lambda report: True)
    found = {"outcome": asdict(outcome), "at_once": at_once, "need_mib": need / 2**20}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
