"""Plugs pulled on a real Ray of three nodes, one after another; then row by row against an undisturbed run.

The whole list of faults, measured, is benchmarks/faults.py. A driver that is killed, and one that is started twice, are
in tests/cluster/test_sweep.py and test_lease.py.
"""

import pytest

from tests.faults.harness import Cluster
from tests.faults.plugs import Rig, run_undisturbed, write_file
from tests.faults.pulls import FAULTS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

PULLED = ("one of two workers", "Train controller", "Tune actor")
TRIALS = 12
"""Far more than plugs: a trial takes seconds, and some pass while a fault is waited out."""
EVALUATIONS = 6


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """One sweep of two-worker trials that suffers each fault in another trial."""
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRAY_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
        file = write_file(folder, trials=TRIALS, workers=2, evaluations=EVALUATIONS)
        with Cluster(2, folder) as cluster:
            rig = Rig(cluster, file, trials=TRIALS, evaluations=EVALUATIONS)
            rig.start()
            for name in PULLED:
                FAULTS[name][1](rig, name)
            code = rig.finish(600)
            left = cluster.left_behind()
        return {"rig": rig, "code": code, "left": left, "verdict": rig.judge(run_undisturbed(file))}


def test_the_sweep_ends_with_all_its_trials(outcome):
    assert outcome["code"] == 0, outcome["rig"].sweep.text
    assert outcome["verdict"].unfinished == []


def test_no_row_is_lost_and_none_is_doubled(outcome):
    assert outcome["verdict"].lost == []
    assert outcome["verdict"].doubled == []
    assert outcome["verdict"].evaluations == TRIALS * EVALUATIONS


def test_the_numbers_are_those_of_an_undisturbed_run_bit_for_bit(outcome):
    assert outcome["verdict"].different == []
    assert outcome["verdict"].unknown == []


def test_the_study_says_what_the_store_says(outcome):
    assert outcome["verdict"].study == []


def test_no_process_and_no_placement_group_is_left(outcome):
    assert outcome["left"] == {}


def test_each_fault_was_seen_and_gone_on_after(outcome):
    pulled = outcome["rig"].faults
    assert [fault.name for fault in pulled] == list(PULLED)
    assert all(fault.recovered_s is not None for fault in pulled)
