"""How many slots fit, and what is said where none does."""

import pytest

from ganray.cluster.capacity import Capacity
from ganray.cluster.resources import Demand, count_slots, demand_of, room
from ganray.errors import ClusterError
from ganray.recipe.experiment import Resources

LAPTOP = {"CPU": 2.0, "memory": 1e9}
BOX = {"CPU": 32.0, "GPU": 8.0}


@pytest.mark.parametrize(
    ("resources", "cluster", "slots"),
    [
        (Resources(), LAPTOP, 2),
        (Resources(workers_per_trial=2), LAPTOP, 1),
        (Resources(cpus_per_worker=0.5), LAPTOP, 4),
        (Resources(cpus_per_worker=2), BOX, 8),  # one GPU each, by default
        (Resources(cpus_per_worker=2, gpus_per_worker=0.5), BOX, 16),
        (Resources(workers_per_trial=4, cpus_per_worker=2), BOX, 2),
        (Resources(cpus_per_worker=8, gpus_per_worker=0), BOX, 4),
    ],
)
def test_slots_are_capacity_over_demand(resources, cluster, slots):
    demand = demand_of(resources, cluster, "auto")
    assert count_slots(demand, [cluster]) == slots


def test_a_worker_lives_on_one_node_and_a_slot_on_several():
    head, node = {"CPU": 0.0}, {"CPU": 3.0}
    assert room(Demand(1, 2.0, 0.0), [head, node, node]) == 2, "the third CPU of each is of no use"
    assert room(Demand(2, 1.0, 0.0), [head, node, node]) == 3
    with pytest.raises(ClusterError, match=r"each of 1 worker\(s\) needs 4 CPU on one node.*the cluster has 6 CPU"):
        count_slots(Demand(1, 4.0, 0.0), [head, node, node])


def test_where_nodes_are_expected_they_are_expected_to_have_gpus():
    assert demand_of(Resources(), {}, "auto", expects_nodes=True).gpus_per_worker == 1
    assert demand_of(Resources(), {}, "cpu", expects_nodes=True).gpus_per_worker == 0


def test_capacity_follows_the_nodes_and_never_exceeds_the_limit(monkeypatch):
    monkeypatch.setattr("ganray.cluster.capacity.EVERY_S", 0.0)
    nodes = [LAPTOP]
    capacity = Capacity(Demand(1, 1.0, 0.0), 3, nodes=lambda: nodes)
    assert (capacity.fits(), capacity.allowed()) == (2, 2)
    nodes.append(LAPTOP)
    assert (capacity.fits(), capacity.allowed()) == (3, 3)
    nodes.clear()
    assert (capacity.fits(), capacity.allowed()) == (0, 1), "one trial waits for the node to come back"
    asking = Capacity(Demand(1, 1.0, 0.0), 3, expects_nodes=True, nodes=list)
    assert (asking.fits(), asking.allowed()) == (0, 3), "an autoscaler sees what waits"


def test_a_recipe_for_the_cpu_takes_no_gpu():
    assert demand_of(Resources(), BOX, "cpu").gpus_per_worker == 0
    assert demand_of(Resources(), BOX, "auto").gpus_per_worker == 1


def test_what_lacks_is_named_with_what_the_cluster_has():
    resources = Resources(workers_per_trial=4, gpus_per_worker=1)
    with pytest.raises(ClusterError, match=r"needs 4 CPU and 4 GPU.*2 CPU and 4 GPU of it.*has 2 CPU, 0 GPU") as error:
        count_slots(demand_of(resources, LAPTOP, "auto"), [LAPTOP])
    assert "resources.workers_per_trial" in str(error.value)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_full_machine_holds_its_slots_together_with_tunes_own_actors(workers):
    demand = Demand(workers, 1.0, 0.0)
    assert demand.per_worker["CPU"] * workers + 0.01 <= workers + 1e-9
