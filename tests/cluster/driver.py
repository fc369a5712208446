"""Starts Ray for the tests with a protocol of 16 samples in every process, holds worker groups, runs sweeps.

python driver.py EXPERIMENT [--resume]
"""

import sys
from pathlib import Path


def add_tiny_protocol():
    """Also runs in each Ray worker, before anything else."""
    import dataclasses

    from ganray.evaluation import protocols

    tiny = dataclasses.replace(protocols.PROTOCOLS["fd_lite0_200_train"], name="tiny", n_fake=16)
    protocols.PROTOCOLS["tiny"] = tiny


def init_ray(num_cpus=2):
    import os

    from ganray.cluster.settings import ENVIRONMENT

    os.environ.update(ENVIRONMENT)
    import ray

    add_tiny_protocol()
    variables = {**ENVIRONMENT, "GANRAY_CACHE_DIR": os.environ["GANRAY_CACHE_DIR"], "OMP_NUM_THREADS": "1"}
    return ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": add_tiny_protocol, "env_vars": variables},
    )


class GroupActor:
    """A worker group in a process of its own, as a slot's is: its threads must not outlive this test's Ray, since a
    driver that still talks to a Ray that has ended is ended by Ray one minute later, with exit code 1 and no word."""

    def __init__(self, folder, name, placement_s=None):
        from ganray.cluster import group
        from ganray.cluster.resources import Demand

        if placement_s is not None:
            group.PLACEMENT_S = placement_s
        self.group = group.WorkerGroup(Demand(2, 1.0, 0.0), folder, name)

    def submit(self, job):
        return self.group.submit(job)

    def next_result(self, job_id):
        return self.group.next_result(job_id)

    def close(self):
        self.group.close()


def main(file, *flags):
    from rich.console import Console

    from ganray.cluster.sweep import SweepOptions, run_sweep
    from ganray.recipe.experiment import load_experiment

    init_ray()
    result = run_sweep(load_experiment(file), SweepOptions(resume="--resume" in flags), Console(width=200))
    print(f"ENDED {result.ended} FAILED {result.failed}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(*sys.argv[1:])
