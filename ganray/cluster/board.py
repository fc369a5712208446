"""Between a sweep's driver and its slots: the sweep is over, so none of them waits for its trial's next report."""

import secrets
from typing import Any

import ray
from ray.exceptions import RayError


class _Board:
    def __init__(self) -> None:
        self._over = False

    def stop(self) -> None:
        self._over = True

    def is_over(self) -> bool:
        return self._over


class Board:
    """The driver's end. Slots read it by name, since an actor's handle has no place in Tune's saved configs."""

    def __init__(self) -> None:
        self.name = f"ganray-board-{secrets.token_hex(8)}"
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        options = {"num_cpus": 0, "name": self.name, "max_restarts": -1, "scheduling_strategy": here}
        self._actor: Any = ray.remote(_Board).options(**options).remote()

    def stop(self) -> None:
        """Tell all slots. Returns at once."""
        self._actor.stop.remote()


def is_over(name: str) -> bool:
    """Whether the sweep of this board is over; where the board does not answer, it goes on."""
    try:
        return bool(ray.get(ray.get_actor(name).is_over.remote(), timeout=5.0))
    except (ValueError, RayError):
        return False
