"""How GANRay starts Ray, and the switches that it needs."""

import logging
import os
import warnings
from contextlib import nullcontext
from typing import Any

from ganray.cluster.loopback import loopback
from ganray.cluster.signals import deaf_to_terminal
from ganray.errors import ClusterError

ENVIRONMENT = {
    # A dead worker is noticed in half a second; what a laptop does not need is left out of each start.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Tune would take the first Ctrl-C for itself and tell nobody: the slots would not hear that the sweep is over.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A slot has seven processes, most of which wait: no reason for the warning that Ray prints about them.
    "RAY_worker_maximum_startup_concurrency": "4",
    # On a machine whose cores are all busy, a node was seen to need more than Ray's minute to start.
    "RAY_raylet_start_wait_time_s": "180",
}


def start_ray(address: str | None, *, num_cpus: int | None = None, verbose: bool = False) -> dict[str, float]:
    """Connect to a cluster, or start Ray on this machine; return the cluster's resources.

    Raises ClusterError where the address does not answer.
    """
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    import ray

    if not verbose:
        warnings.filterwarnings("ignore", module="ray")
        warnings.filterwarnings("ignore", module="optuna")
        # Tune prints a traceback for whatever a trial dies of; the live table and the final paragraph say it in a line.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"log_to_driver": verbose, "logging_level": logging.INFO if verbose else logging.ERROR}
    options["runtime_env"] = {"env_vars": {k: os.environ[k] for k in ENVIRONMENT}}
    if address is None:
        options |= {"num_cpus": num_cpus, "include_dashboard": False, "address": "local"}
    else:
        options["address"] = address
    if not ray.is_initialized():
        try:
            with deaf_to_terminal(), loopback() if address is None else nullcontext():
                ray.init(**options)
        except Exception as error:  # Ray raises a bare Exception where a node does not start in time
            where = address or "this machine"
            raise ClusterError(
                f"Ray on {where} does not answer: {str(error).strip().splitlines()[0]}. Check `ray status "
                f"--address {where}`; leave --address out to run on this machine"
            ) from None
    return dict(ray.cluster_resources())


def keep_secrets_out_of_logs() -> None:
    """Tune gives its actors the driver's AWS secrets in their runtime environment, which Ray writes into its logs.

    Without them a process has the credentials of its node: on one machine, those of the driver.
    """
    from ray.tune.execution import class_cache

    names: set[str] = getattr(class_cache, "ENV_VARS_TO_PROPAGATE", set())
    names -= {name for name in names if name.startswith("AWS_")}
