"""One of the two workers behind test_memory_two_workers.py: python two_short_of_memory.py RANK FOLDER PHOTOS ROUND

A script, because a spawned process cannot import a test module. The second worker runs out of memory at step 12. Each
writes FOLDER/found-ROUND-RANK.json once its trials have ended; a process that dies before writes none.
"""

import json
import os
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from tiny import install
from two_workers import job_of

from ganray.training import loop
from ganray.training.distributed import World
from ganray.trial.run import run_trial

ROOM = {0: 1, 1: 0}
"""Images at once that there is room for, by the trial's seed."""


def main():
    rank, folder, photos, turn = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    install()
    dist.init_process_group(
        "gloo", f"file://{folder}/rendezvous-{turn}", timedelta(seconds=60), world_size=2, rank=rank
    )
    world, train_step = World(rank, 2), loop.train_step
    steps = []

    def limited(state, game, images):
        at_once = state.recipe.runtime.micro_batch or 2
        steps.append((state.recipe.seed, state.step, at_once))
        if rank == 1 and state.step >= 12 and at_once > ROOM[state.recipe.seed]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return train_step(state, game, images)

    loop.train_step = limited
    plain = {"name": "dcgan", "width": 4, "latent_dim": 8, "norm": "none"}
    try:
        outcomes = [
            asdict(run_trial(job_of(folder, photos, generator=plain, seed=seed), world, lambda report: True))
            for seed in ROOM
        ]
    except Exception as error:
        (folder / f"died-{turn}-{rank}.txt").write_text(f"{type(error).__name__}: {error}")
        os._exit(1)
    (folder / f"found-{turn}-{rank}.json").write_text(json.dumps({"outcomes": outcomes, "steps": steps}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
