"""A slot without Ray: when it is replaced, and how it lets go of a trial when the sweep is over."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from ganray.cluster import slot as module
from ganray.cluster.resources import Demand
from ganray.cluster.slot import FAILURES, Slot, SlotConfig
from ganray.recipe.experiment import load_experiment

FILE = """
name: e
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan}
discriminator: {name: dcgan}
evaluation: {protocols: [fd_lite0_200_train], every_kimg: 1}
budget: {kimg: 3, batch_size: 8}
seed: {choice: [0, 1, 2, 3, 4]}
"""


class Group:
    """A worker group that answers what the test has written down; None: the sweep was over."""

    made: list["Group"] = []
    answers: list[dict | None] = []

    def __init__(self, demand, place, name, **options):
        self.name, self.closed, self.jobs = name, False, []
        Group.made.append(self)

    def submit(self, job):
        self.jobs.append(job)
        return len(self.jobs)

    def next_result(self, job_id, stop):
        return Group.answers.pop(0)

    def close(self):
        self.closed = True


@pytest.fixture
def slot(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WorkerGroup", Group)
    monkeypatch.setattr(Group, "made", [])
    monkeypatch.setattr(Group, "answers", [])
    Path(tmp_path / "e.yaml").write_text(FILE)
    experiment = load_experiment(tmp_path / "e.yaml")
    config = SlotConfig(
        experiment, str(tmp_path / "runs"), str(tmp_path / "store"), "fd", Demand(1, 1.0, 0.0), None, "b"
    )
    found = Slot.__new__(Slot)
    found._trial_info = SimpleNamespace(trial_id="t")
    found.setup({"slot": config, "seed": 0})
    found.again = lambda seed: found.reset_config({"slot": config, "seed": seed})
    return found


def result(kimg, status="running", value=5.0):
    return {"kimg": kimg, "status": status, "done": status != "running", "fd": value, "node": "10.0.0.7"}


def test_every_result_has_the_last_finite_value(slot):
    Group.answers += [result(1), result(2, value=math.nan)]
    assert slot.step()["fd"] == 5.0
    assert slot.step()["fd"] == 5.0
    assert len(Group.made) == 1
    assert [job.trial_id for job in Group.made[0].jobs] == [slot.job.trial_id]


def test_three_failures_in_a_row_replace_the_slot_and_say_where(slot):
    Group.answers += [result(0, "failed")] * FAILURES + [result(1)]
    for seed in range(FAILURES):
        slot.again(seed)
        last = slot.step()
        assert ("slot_replaced" in last) == (seed == FAILURES - 1)
    assert "failed 3 recipes in a row" in last["slot_replaced"]
    assert last["node"] == "10.0.0.7"
    assert Group.made[0].closed
    slot.again(4)
    assert slot.step()["kimg"] == 1
    assert [group.name for group in Group.made] == ["slot-t", "slot-t-1"]


def test_a_success_in_between_forgives_the_failures(slot):
    Group.answers += [result(0, "failed"), result(0, "failed"), result(3, "completed"), result(0, "failed")]
    for seed in range(4):
        slot.again(seed)
        slot.step()
    assert len(Group.made) == 1


def test_at_the_end_of_the_sweep_it_lets_go_with_a_result_that_ends_nothing(slot):
    Group.answers += [result(1), None]
    slot.step()
    last = slot.step()
    assert (last["kimg"], last["status"], last["done"], last["fd"]) == (1, "running", True, 5.0)
    assert Group.made[0].closed
    slot.cleanup()  # Tune's own call
