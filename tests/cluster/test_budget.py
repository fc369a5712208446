"""When a sweep ends early: limits, what counts against them, and which reason is told."""

import pickle
import time

import pytest

from ganray.cluster.budget import Budget, Goal
from ganray.errors import RecipeError

PROTOCOLS = ("fid_5k_train", "fd_lite0_1k_train")


def result(trial, wall_s=0.0, workers=1, **values):
    return {"trial": trial, "wall_s": wall_s, "workers": workers, **values}


@pytest.mark.parametrize("text", ["fid_5k_train<30", " fid_5k_train < 3e1 ", "fid_5k_train<30.0"])
def test_a_goal_is_a_protocol_and_a_value(text):
    assert Goal.parse(text, PROTOCOLS) == Goal("fid_5k_train", 30.0)


@pytest.mark.parametrize("text", ["fid_5k_train", "fid_5k_train>30", "fid_5k_train<low", "<30", "fid_5k_train<1e999"])
def test_what_is_no_goal_is_answered_with_an_example(text):
    with pytest.raises(RecipeError, match=r"write it as PROTOCOL<VALUE, for example 'fid_5k_train<30'"):
        Goal.parse(text, PROTOCOLS)


def test_a_protocol_that_no_trial_is_scored_under_is_named_with_the_nearest():
    with pytest.raises(RecipeError, match=r"not scored under fid_5k_trian .*fid_5k_train"):
        Goal.parse("fid_5k_trian<30", PROTOCOLS)


def test_time():
    budget = Budget(deadline=time.monotonic() + 3600)
    assert not budget.stop_all()
    budget = Budget(deadline=time.monotonic() - 1)
    assert budget.stop_all()
    assert (budget.reason, budget.is_reached) == ("time is up", True)


def test_device_hours_are_seconds_times_workers_of_all_trials():
    budget = Budget(device_hours=1.0)
    budget("t1", result("a", 600, workers=4))
    assert not budget.stop_all()
    budget("t2", result("b", 599, workers=2))
    assert budget.device_s == 600 * 4 + 599 * 2
    assert not budget.stop_all()
    budget("t2", result("b", 600, workers=2))
    assert budget.stop_all()
    assert budget.reason == "1 device-hours are spent"


def test_a_resumed_trial_counts_once_with_what_it_took_before():
    budget = Budget(device_hours=1.0, spent={"a": 3000.0, "ended": 500.0})
    budget("t", result("a", 3050))  # wall_s goes on over resumptions
    assert budget.device_s == 3550
    budget("t", result("a", 3100))
    assert budget.stop_all()


def test_the_goal_and_nothing_worse():
    budget = Budget(goal=Goal("fid_5k_train", 30.0))
    budget("t", result("a", fid_5k_train=30.0))
    budget("t", result("a"))  # a failure carries no value
    budget("t", result("a", fid_5k_train=float("nan")))
    assert not budget.is_over
    budget("t", result("a", fid_5k_train=29.9))
    assert budget.stop_all()
    assert budget.reason == "trial a has reached fid_5k_train<30"


def test_no_trial_is_ended_by_itself():
    budget = Budget(goal=Goal("fid_5k_train", 30.0))
    assert budget("t", result("a", fid_5k_train=1.0)) is False


def test_the_first_reason_counts_and_a_break_is_no_limit():
    budget = Budget(deadline=time.monotonic() - 1)
    budget.stop("Ctrl-C")
    assert budget.stop_all()
    assert (budget.reason, budget.is_reached) == ("Ctrl-C", False)


def test_tune_can_pickle_it():
    pickle.loads(pickle.dumps(Budget(goal=Goal("fid_5k_train", 30.0))))
