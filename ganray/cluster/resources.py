"""What a slot needs, and how many slots a cluster has room for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganray.errors import ClusterError
from ganray.recipe.experiment import Resources

TUNE_CPUS = 0.01
"""Tune's actor waits for messages, yet Ray wants a number; the sliver is taken from the workers' shares."""


@dataclass(frozen=True)
class Demand:
    """What one slot needs."""

    workers: int
    cpus_per_worker: float
    gpus_per_worker: float

    @property
    def per_worker(self) -> dict[str, float]:
        """Ray resources of one worker."""
        cpus = round(self.cpus_per_worker - TUNE_CPUS, 4)
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        return {"CPU": cpus, **gpus}

    @property
    def of_worker(self) -> dict[str, float]:
        """CPUs and GPUs that one worker takes from its node, its part of Tune's actor included."""
        return {name: amount / self.workers for name, amount in self.total.items()}

    @property
    def total(self) -> dict[str, float]:
        """CPUs and GPUs of a whole slot."""
        gpus = {"GPU": self.gpus_per_worker * self.workers} if self.gpus_per_worker else {}
        return {"CPU": self.cpus_per_worker * self.workers, **gpus}

    @property
    def threads(self) -> int:
        """Threads of torch in each worker."""
        return max(1, int(self.cpus_per_worker))

    def unmet(self, resources: Mapping[str, float]) -> dict[str, float]:
        """What these resources lack for one slot."""
        return {
            name: amount - resources.get(name, 0.0)
            for name, amount in self.total.items()
            if resources.get(name, 0.0) < amount - 1e-6
        }

    def explain(self, missing: Mapping[str, float]) -> str:
        """One sentence: what a slot needs and what lacks."""
        needs = " and ".join(f"{amount:g} {name}" for name, amount in self.total.items())
        lacks = " and ".join(f"{amount:g} {name}" for name, amount in missing.items())
        return f"a slot of {self.workers} worker(s) needs {needs}, and {lacks} of it is not there"


def demand_of(
    resources: Resources,
    cluster: Mapping[str, float],
    device: str,
    *,
    expects_nodes: bool = False,
    measured: float | None = None,
) -> Demand:
    """The slot's demand; GPUs are taken where the cluster has them unless the file says otherwise.

    `expects_nodes`: nodes come only when they are asked for, so that no GPU now means nothing. `measured`: what `auto`
    stands for; None: a whole GPU.
    """
    gpus = measured if resources.gpus_per_worker == "auto" else resources.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if device != "cpu" and (cluster.get("GPU", 0) > 0 or expects_nodes) else 0.0
    return Demand(resources.workers_per_trial, resources.cpus_per_worker, gpus)


def count_slots(demand: Demand, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many slots the nodes have room for. Raises ClusterError where not even one fits, saying what lacks."""
    slots = room(demand, nodes)
    if slots:
        return slots
    cluster = total(nodes)
    has = ", ".join(f"{cluster.get(name, 0):g} {name}" for name in demand.total)
    lower = "lower resources.workers_per_trial, resources.cpus_per_worker or resources.gpus_per_worker"
    if missing := demand.unmet(cluster):
        raise ClusterError(f"no slot fits: {demand.explain(missing)} (the cluster has {has}); {lower}")
    needs = " and ".join(f"{amount:g} {name}" for name, amount in demand.of_worker.items())
    raise ClusterError(
        f"no slot fits: each of {demand.workers} worker(s) needs {needs} on one node, and no {len(nodes)} node(s) give "
        f"that (the cluster has {has}); {lower}"
    )


def room(demand: Demand, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many slots fit. A worker lives on one node; the workers of a slot may be on several."""
    needs = demand.of_worker
    fits = (min(int((node.get(name, 0.0) + 1e-6) / amount) for name, amount in needs.items()) for node in nodes)
    return sum(fits) // demand.workers


def total(nodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The resources of all nodes together."""
    names = {name for node in nodes for name in node}
    return {name: sum(node.get(name, 0.0) for node in nodes) for name in names}
