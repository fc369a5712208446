"""Leaves out an actor that Ray Train starts for each controller. Imported where Train is: that takes seconds."""

from typing import Any

from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2.api import data_parallel_trainer


class NoCleaner(ControllerCallback):
    """In the place of Ray Train's own cleaner of placement groups."""


def leave_out_trains_cleaner() -> None:
    """The cleaner does what `rooms.clear_rooms` does, but only on a cluster with a dashboard.

    It is detached: after a controller that is killed it stays for the life of the cluster.
    """
    module: Any = data_parallel_trainer
    if hasattr(module, "PlacementGroupCleanerCallback"):
        module.PlacementGroupCleanerCallback = NoCleaner
