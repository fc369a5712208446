"""How many slots fit, and what is said where none does."""

import pytest

from ganray.cluster.resources import Demand, count_slots, demand_of
from ganray.errors import ClusterError
from ganray.recipe.experiment import Resources

LAPTOP = {"CPU": 2.0, "memory": 1e9}
BOX = {"CPU": 32.0, "GPU": 8.0}


@pytest.mark.parametrize(
    ("resources", "cluster", "slots"),
    [
        (Resources(), LAPTOP, 2),
        (Resources(workers_per_trial=2), LAPTOP, 1),
        (Resources(slots=1), LAPTOP, 1),
        (Resources(cpus_per_worker=0.5), LAPTOP, 4),
        (Resources(cpus_per_worker=2), BOX, 8),  # one GPU each, by default
        (Resources(cpus_per_worker=2, gpus_per_worker=0.5), BOX, 16),
        (Resources(workers_per_trial=4, cpus_per_worker=2), BOX, 2),
        (Resources(cpus_per_worker=8, gpus_per_worker=0), BOX, 4),
    ],
)
def test_slots_are_capacity_over_demand(resources, cluster, slots):
    demand = demand_of(resources, cluster, "auto")
    assert count_slots(resources, demand, cluster, trials=100) == slots


def test_no_more_slots_than_trials():
    resources = Resources()
    assert count_slots(resources, demand_of(resources, BOX, "cpu"), BOX, trials=3) == 3


def test_a_recipe_for_the_cpu_takes_no_gpu():
    assert demand_of(Resources(), BOX, "cpu").gpus_per_worker == 0
    assert demand_of(Resources(), BOX, "auto").gpus_per_worker == 1


def test_what_lacks_is_named_with_what_the_cluster_has():
    resources = Resources(workers_per_trial=4, gpus_per_worker=1)
    with pytest.raises(ClusterError, match=r"needs 4 CPU and 4 GPU.*2 CPU and 4 GPU of it.*has 2 CPU, 0 GPU") as error:
        count_slots(resources, demand_of(resources, LAPTOP, "auto"), LAPTOP, 1)
    assert "resources.workers_per_trial" in str(error.value)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_full_machine_holds_its_slots_together_with_tunes_own_actors(workers):
    demand = Demand(workers, 1.0, 0.0)
    assert demand.per_worker["CPU"] * workers + 0.01 <= workers + 1e-9
