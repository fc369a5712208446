"""GANRay's own command line with the protocol `tiny` of 16 samples, here and in every worker of the cluster.

python -m tests.faults.driver sweep FILE --address HOST:PORT
"""

import os
import sys


def add_tiny_protocol():
    """Also runs in each Ray worker, before anything else."""
    import dataclasses

    from ganray.evaluation import protocols

    tiny = dataclasses.replace(protocols.PROTOCOLS["fd_lite0_200_train"], name="tiny", n_fake=16)
    protocols.PROTOCOLS["tiny"] = tiny


def with_tiny(runtime_env):
    """Ray's hook for runtime environments: `ray.init` asks it, so the sweep's own call stays as users have it."""
    return {**(runtime_env or {}), "worker_process_setup_hook": "tests.faults.driver.add_tiny_protocol"}


if __name__ == "__main__":
    os.environ["RAY_RUNTIME_ENV_HOOK"] = "tests.faults.driver.with_tiny"
    add_tiny_protocol()
    from ganray.cli.main import main

    main(sys.argv[1:])
