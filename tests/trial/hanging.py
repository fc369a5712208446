"""A worker that hangs, behind test_watchdog.py: python hanging.py WHERE FOLDER PHOTOS [RANK]

WHERE: step, data, evaluation, store, lock (in C, with the interpreter's lock), slow (it does not hang), verdict
(somebody takes his time over a report). With RANK it is one of two workers, of which rank 1 hangs.
Or python hanging.py command ARGUMENTS: the command line, with a step that hangs.
"""

import ctypes
import json
import os
import sys
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer imports it, which takes longer than a tiny trial
import torch.distributed as dist
from tiny import install
from two_workers import job_of

from ganray.cli.main import main as ganray
from ganray.data import images as images_
from ganray.evaluation.score import Scorer
from ganray.store.store import Store
from ganray.training import loop
from ganray.training.distributed import World
from ganray.trial.run import run_trial

STALL_S = 5.0
"""Long enough for any step of a tiny trial on a busy machine."""


def hang_for_ever(*arguments, **options):
    time.sleep(1000)


def hold_the_lock(*arguments, **options):
    ctypes.PyDLL(None).sleep(1000)  # unlike CDLL, PyDLL keeps the interpreter's lock


def at_call(number, call, instead):
    """The function, which does something else first at its n-th call."""
    calls = []

    def wrapper(*arguments, **options):
        calls.append(None)
        if len(calls) == number:
            instead()
        return call(*arguments, **options)

    return wrapper


def set_up(where):
    if where == "step":
        loop.train_step = at_call(7, loop.train_step, hang_for_ever)
    elif where == "lock":
        loop.train_step = at_call(7, loop.train_step, hold_the_lock)
    elif where == "data":
        images_.open_source = hang_for_ever  # a mount whose server is gone
    elif where == "evaluation":
        Scorer.score = hang_for_ever
    elif where == "store":
        Store.put_artifact = hang_for_ever
    elif where == "slow":
        step = loop.train_step

        def slowly(*arguments):
            time.sleep(STALL_S / 12)
            return step(*arguments)

        loop.train_step = slowly


def main():
    if sys.argv[1] == "command":
        install()
        set_up("step")
        ganray(sys.argv[2:])
    where, folder, photos = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    rank = int(sys.argv[4]) if len(sys.argv) > 4 else None
    torch.set_num_threads(1)
    install()
    if rank is None:
        world = World()
    else:
        dist.init_process_group("gloo", f"file://{folder}/rendezvous", timedelta(seconds=300), world_size=2, rank=rank)
        world = World(rank, 2)
    if rank in (None, 1):
        set_up(where)
    job = replace(job_of(folder, photos), stall_s=STALL_S)

    def tell(report):
        if where == "verdict" and report.kimg < 0.05:
            time.sleep(1.5 * STALL_S)
        return True

    outcome = run_trial(job, world, tell)
    print(json.dumps(asdict(outcome)))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
