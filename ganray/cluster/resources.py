"""What a slot needs, and how many slots a cluster has room for."""

from collections.abc import Mapping
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


def demand_of(resources: Resources, cluster: Mapping[str, float], device: str) -> Demand:
    """The slot's demand; GPUs are taken where the cluster has them unless the file says otherwise."""
    gpus = resources.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if cluster.get("GPU", 0) > 0 and device != "cpu" else 0.0
    return Demand(resources.workers_per_trial, resources.cpus_per_worker, gpus)


def count_slots(resources: Resources, demand: Demand, cluster: Mapping[str, float], trials: int) -> int:
    """How many slots run side by side. Raises ClusterError where not even one fits, saying what lacks."""
    missing = demand.unmet(cluster)
    if missing:
        has = ", ".join(f"{cluster.get(name, 0):g} {name}" for name in demand.total)
        raise ClusterError(
            f"no slot fits: {demand.explain(missing)} (the cluster has {has}); lower resources.workers_per_trial, "
            f"resources.cpus_per_worker or resources.gpus_per_worker"
        )
    room = min(int((cluster[name] + 1e-6) / amount) for name, amount in demand.total.items())
    return max(1, min(room, resources.slots or room, trials))
