"""How many slots there may be at this moment: nodes come and go while a sweep runs."""

import time
from collections.abc import Callable, Mapping, Sequence

from ganray.cluster.resources import Demand, room

EVERY_S = 3.0
Nodes = Callable[[], Sequence[Mapping[str, float]]]


class Capacity:
    """The slots that fit onto the nodes of now, and how many may be asked for.

    Where nodes are expected, slots are asked for that do not fit yet: an autoscaler brings nodes for what waits.
    """

    def __init__(self, demand: Demand, limit: int, *, expects_nodes: bool = False, nodes: Nodes | None = None) -> None:
        """`limit`: never more than this, by the file or because there are no more trials."""
        self.demand, self.limit, self.expects_nodes = demand, limit, expects_nodes
        self._nodes = nodes or alive_nodes
        self._fits = 0
        self._looked: float | None = None

    def fits(self) -> int:
        """Slots that have room now; asked of Ray every few seconds."""
        if self._looked is None or time.monotonic() - self._looked >= EVERY_S:
            self._fits = min(self.limit, room(self.demand, self._nodes()))
            self._looked = time.monotonic()
        return self._fits

    def allowed(self) -> int:
        """Trials that may run side by side now; one at least, which then waits for room."""
        return self.limit if self.expects_nodes else max(1, self.fits())


def alive_nodes() -> list[dict[str, float]]:
    """The resources of each node that is there, and is not about to be taken away."""
    import ray

    going = ray._private.state.state.get_draining_nodes()
    return [node["Resources"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in going]
