"""An undisturbed run of the recipes of an experiment file, without Ray: processes that only gloo connects.

python -m tests.faults.reference FILE --store URI --runs FOLDER
"""

import argparse
import multiprocessing
import tempfile
from pathlib import Path

from tests.faults.driver import add_tiny_protocol

ALONE = 2
"""Processes side by side where a trial has one worker."""


def run_all(file: str, store: str, runs: str, rank: int, size: int, meeting: str) -> None:
    """One worker: every recipe of the design, one after another; trials of one worker are shared out."""
    add_tiny_protocol()
    import torch
    import torch.distributed as dist

    from ganray.recipe.experiment import load_experiment
    from ganray.training.distributed import World
    from ganray.trial.job import TrialJob
    from ganray.trial.run import run_trial

    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    experiment = load_experiment(file)
    mine = experiment.design if size > 1 else experiment.design[rank::ALONE]
    for params in mine:
        job = TrialJob(experiment.fixed(params), experiment.name, runs, store)
        outcome = run_trial(job, World(rank if size > 1 else 0, size), lambda report: True)
        assert outcome.status == "completed", outcome
    if size > 1:
        dist.destroy_process_group()


def run_reference(file: Path, store: Path, runs: Path) -> None:
    """All recipes, with as many workers as the file asks for."""
    from ganray.recipe.experiment import load_experiment

    add_tiny_protocol()
    size = load_experiment(file).settings.resources.workers_per_trial
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        places = (str(file), str(store), str(runs))
        workers = [
            context.Process(target=run_all, args=(*places, rank, size, f"{folder}/workers"), daemon=True)
            for rank in range(size if size > 1 else ALONE)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    options = parser.parse_args()
    run_reference(options.file, options.store.absolute(), options.runs.absolute())
