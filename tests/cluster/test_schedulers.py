"""Rungs by our ids, rebuilt from the store: after a restart the scheduler decides as if there had been none."""

import json
import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganray.cluster.pbt import MemberSearch, Population, _rounds_passed, params_of
from ganray.cluster.schedulers import Past, SteadyRungs, build_scheduler, checkpoint_config, earlier, tune_config
from ganray.recipe.experiment import load_experiment
from ganray.recipe.schedulers import Pbt
from ganray.store.store import Store
from ganray.trial.folder import Runs
from ganray.trial.member import FIRST, MEMBER

put_trial = runpy.run_path(str(Path(__file__).with_name("rows.py")))["put_trial"]
METRIC = "fd_lite0_200_train"
FILE = """
name: rungs
data: {{source: "sample:hubble", resolution: 32}}
generator: {{name: dcgan, width: 4}}
discriminator: {{name: dcgan, width: 4}}
optimizers: {{generator: {{lr: {{log_uniform: [1e-4, 1e-2]}}}}}}
budget: {{kimg: {kimg}, batch_size: 8}}
evaluation: {{protocols: [fd_lite0_200_train], every_kimg: {every}}}
search: {{trials: 8, sampler: random, scheduler: {scheduler}}}
"""
ASHA = "{name: asha, grace_kimg: 1, reduction_factor: 2}"
HYPERBAND = "{name: hyperband, grace_kimg: 1, reduction_factor: 2, brackets: 3}"


def read(folder, scheduler=ASHA, kimg=9, every=1):
    path = folder / "rungs.yaml"
    path.write_text(FILE.format(scheduler=scheduler, kimg=kimg, every=every))
    return load_experiment(path)


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    return {name: read(tmp_path_factory.mktemp("file"), name) for name in (ASHA, HYPERBAND)}


class Sweep:
    """Feeds a scheduler as Tune does, and keeps what the store would: rows are written before they are judged."""

    def __init__(self, experiment):
        self.experiment, self.rows, self.statuses, self.decisions = experiment, {}, {}, []
        self.restarts = 0
        self.scheduler = self._new()

    def _new(self):
        past = [Past(name, self.statuses[name], tuple(rows)) for name, rows in self.rows.items()]
        scheduler = SteadyRungs(self.experiment, self.experiment.settings.search.scheduler, past)
        scheduler.set_search_properties(METRIC, "min")
        return scheduler

    def restart(self):
        self.restarts += 1
        self.scheduler = self._new()

    def write(self, name, kimg, value):
        self.rows.setdefault(name, []).append((kimg, value))
        self.statuses.setdefault(name, "running")

    def judge(self, name, kimg, value):
        tune = SimpleNamespace(trial_id=f"tune-{self.restarts}-{name}")  # Tune's ids are new after a restart
        result = {"trial": name, "kimg": kimg, METRIC: value, "status": "running", "done": False}
        if kimg >= 9:
            decision, result = "STOP", {**result, "status": "completed", "done": True}
        else:
            decision = self.scheduler.on_trial_result(None, tune, result)
        if decision == "STOP":
            self.statuses[name] = result["status"] if result["done"] else "pruned"
            self.scheduler.on_trial_complete(None, tune, result)
        self.decisions.append((name, kimg, decision))

    def fail(self, name):
        self.statuses[name] = "failed"
        result = {"trial": name, "kimg": self.rows[name][-1][0] + 0.5, METRIC: 1.0, "status": "failed", "done": True}
        self.scheduler.on_trial_complete(None, SimpleNamespace(trial_id=f"tune-{self.restarts}-{name}"), result)


def play(experiment, moves, restarts, torn):
    """Feed these moves; restart before those in `restarts`, and between row and verdict of those in `torn`."""
    sweep = Sweep(experiment)
    reached = {}
    for number, (name, value, fails) in enumerate(moves):
        if number in restarts:
            sweep.restart()
        if sweep.statuses.get(name, "running") != "running":
            continue
        if fails and name in reached:
            sweep.fail(name)
            continue
        reached[name] = kimg = reached.get(name, 0) + 1
        sweep.write(name, kimg, value)
        if number in torn:
            sweep.restart()
        sweep.judge(name, kimg, value)
    return sweep


MOVES = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.floats(1, 100), st.sampled_from([False] * 9 + [True])), max_size=70
)
POINTS = st.sets(st.integers(0, 70), max_size=5)


@pytest.mark.parametrize("scheduler", [ASHA, HYPERBAND])
@settings(max_examples=150, deadline=None)
@given(moves=MOVES, restarts=POINTS, torn=POINTS)
def test_decisions_after_restarts_are_those_of_an_undisturbed_scheduler(experiments, scheduler, moves, restarts, torn):
    undisturbed = play(experiments[scheduler], moves, set(), set())
    restarted = play(experiments[scheduler], moves, restarts, torn)
    assert restarted.decisions == undisturbed.decisions
    assert rungs_of(restarted) == rungs_of(undisturbed)


def rungs_of(sweep):
    return [[(at, dict(sorted(values.items()))) for at, values in b._rungs] for b in sweep.scheduler._brackets]


def test_the_property_is_about_something(experiments):
    moves = [(name, 10.0 * i + k, False) for k in range(4) for i, name in enumerate("abcdefgh")]
    decisions = play(experiments[ASHA], moves, set(), set()).decisions
    assert {decision for *_, decision in decisions} == {"STOP", "CONTINUE"}


def test_rungs_by_hand(experiments):
    """Rungs at 1, 2, 4 and 8 kimg; half of the trials go on: those not above the median of who came before."""
    sweep = Sweep(experiments[ASHA])
    for name, value in [("a", 10.0), ("b", 20.0), ("c", 5.0), ("d", 11.0)]:
        sweep.write(name, 1, value)
        sweep.judge(name, 1, value)
    # b: above the median 10; c: below the median 15; d: above the median 10 of 10, 20 and 5.
    assert [decision for *_, decision in sweep.decisions] == ["CONTINUE", "STOP", "CONTINUE", "STOP"]
    assert rungs_of(sweep)[0][-1] == (1.0, {"a": -10.0, "b": -20.0, "c": -5.0, "d": -11.0})


def test_a_resumed_trial_enters_no_rung_twice_and_no_lower_one(experiments):
    past = [Past("a", "running", ((1.0, 10.0), (2.0, 8.0), (3.0, 7.0)))]
    scheduler = SteadyRungs(experiments[ASHA], experiments[ASHA].settings.search.scheduler, past)
    scheduler.set_search_properties(METRIC, "min")
    before = [dict(values) for _, values in scheduler._brackets[0]._rungs]
    assert before == [{}, {}, {"a": -8.0}, {"a": -10.0}]
    trial = SimpleNamespace(trial_id="another-id-of-tunes")
    for kimg, value in [(2.0, 99.0), (3.0, 99.0)]:  # an older checkpoint comes to the same kimg again
        result = {"trial": "a", "kimg": kimg, METRIC: value, "status": "running", "done": False}
        assert scheduler.on_trial_result(None, trial, result) == "CONTINUE"
    assert [dict(values) for _, values in scheduler._brackets[0]._rungs] == before


def test_a_trial_that_skipped_a_rung_never_enters_it_late(experiments):
    sweep = Sweep(experiments[ASHA])
    for kimg, value in [(2, 50.0), (3, 40.0)]:  # evaluated first at 2 kimg: judged at that rung alone
        sweep.write("a", kimg, value)
        sweep.judge("a", kimg, value)
    assert [values for _, values in rungs_of(sweep)[0]] == [{}, {}, {"a": -50.0}, {}]


def test_an_ended_trial_that_is_begun_anew_is_judged_anew(experiments):
    past = [Past("a", "pruned", ((1.0, 30.0), (2.0, 40.0))), Past("b", "completed", ((1.0, 20.0),))]
    scheduler = SteadyRungs(experiments[ASHA], experiments[ASHA].settings.search.scheduler, past)
    scheduler.set_search_properties(METRIC, "min")
    result = {"trial": "a", "kimg": 1.0, METRIC: 25.0, "status": "running", "done": False}
    assert scheduler.on_trial_result(None, SimpleNamespace(trial_id="t"), result) == "STOP"
    assert [values for _, values in scheduler._brackets[0]._rungs][2:] == [{}, {"b": -20.0, "a": -25.0}]


def test_failed_trials_do_not_count_and_pruned_ones_do(experiments):
    past = [
        Past("bad", "failed", ((1.0, 1.0),)),
        Past("weak", "pruned", ((1.0, 30.0),)),
        Past("good", "completed", ((1.0, 20.0),)),
    ]
    scheduler = SteadyRungs(experiments[ASHA], experiments[ASHA].settings.search.scheduler, past)
    assert scheduler._brackets[0]._rungs[-1][1] == {"weak": -30.0, "good": -20.0}


def test_a_value_that_is_not_finite_stops_its_trial_and_judges_no_other(experiments):
    sweep = Sweep(experiments[ASHA])
    sweep.judge("a", 1, 10.0)
    sweep.judge("b", 1, float("inf"))
    assert [decision for *_, decision in sweep.decisions] == ["CONTINUE", "STOP"]
    assert rungs_of(sweep)[0][-1] == (1.0, {"a": -10.0})


def test_a_rung_that_binary_digits_put_a_little_higher_is_reached(tmp_path):
    experiment = read(tmp_path, "{name: asha, grace_kimg: 0.1, reduction_factor: 3}", kimg=2, every=0.1)
    past = [Past("a", "running", ((0.1, 3.0), (0.2, 2.0), (0.3, 1.0)))]
    scheduler = SteadyRungs(experiment, experiment.settings.search.scheduler, past)
    assert [values for _, values in scheduler._brackets[0]._rungs] == [{}, {"a": -1.0}, {"a": -3.0}]


def test_the_bracket_of_a_trial_follows_from_its_id(experiments):
    spec = experiments[HYPERBAND].settings.search.scheduler
    first, second = SteadyRungs(experiments[HYPERBAND], spec), SteadyRungs(experiments[HYPERBAND], spec)
    ids = [f"{number:012x}" for number in range(3000)]
    taken = [first._brackets.index(first._bracket(name)) for name in ids]
    assert taken == [second._brackets.index(second._bracket(name)) for name in ids]
    shares = [taken.count(bracket) / len(ids) for bracket in range(3)]
    # Tune's softmax over 4, 3 and 2 rungs: 1, 1/e and 1/e^2 over their sum.
    assert shares == pytest.approx([0.665, 0.245, 0.090], abs=0.03)


def test_what_the_store_knows_is_read_in_order_and_by_this_definition(experiments, tmp_path):
    experiment, store = experiments[ASHA], Store(tmp_path / "store")
    ours = {"definition_hash": experiment.definition_hash}
    recipes = [experiment.fixed({"optimizers.generator.lr": rate}) for rate in (1e-3, 2e-3, 3e-3)]
    # The row knows of three kimg: the fourth evaluation is of a run that was forgotten.
    a = put_trial(store, recipes[0], "rungs", 9.0, None, 7.0, 1.0, status="running", number=1, kimg=3.0, **ours)
    b = put_trial(store, recipes[1], "rungs", 5.0, status="pruned", number=0, kimg=1.0, **ours)
    put_trial(store, recipes[2], "rungs", 1.0, definition_hash="another")
    put_trial(store, recipes[0], "other", 1.0, **ours)
    assert earlier(experiment, store) == [
        Past(b, "pruned", ((1.0, 5.0),)),
        Past(a, "running", ((1.0, 9.0), (2.0, 9.0), (3.0, 7.0))),
    ]
    scheduler = build_scheduler(experiment, store)
    assert [dict(values) for _, values in scheduler._brackets[0]._rungs] == [{}, {}, {a: -9.0}, {a: -9.0, b: -5.0}]
    anew = build_scheduler(experiment, store, resumed=False)
    assert all(not values for _, values in anew._brackets[0]._rungs)


def test_no_scheduler_is_built_where_none_is_asked_for(tmp_path):
    assert build_scheduler(read(tmp_path, "null"), Store(tmp_path / "store")) is None


# The population


PBT = "{name: pbt, every_kimg: 3, quantile: 0.5, resample_probability: 0}"


class Trial:
    """What the population asks of Tune's trials."""

    def __init__(self, number, **params):
        self.trial_id, self.status, self.experiment_tag = f"tune{number}", "RUNNING", ""
        self.config = {"slot": None, **params}
        self.checkpoint = None
        self.placement_group_factory = "a slot"
        self.run_metadata = SimpleNamespace(checkpoint_manager=SimpleNamespace(_latest_checkpoint_result=None))
        self.temporary_state = SimpleNamespace(saving_to=None)

    def set_config(self, config):
        self.config = config

    def set_experiment_tag(self, tag):
        self.experiment_tag = tag

    def is_finished(self):
        return self.status in ("TERMINATED", "ERROR")


CONTROLLER = SimpleNamespace(_actor_cache=SimpleNamespace(increase_max=lambda *_: None))


def population(experiment, members=3, slots=2, past=()):
    made = Population(experiment, past, members, slots)
    made.set_search_properties(METRIC, "min")
    return made


def add(made, *rates):
    trials = [Trial(number, **{"optimizers.generator.lr": rate}) for number, rate in enumerate(rates)]
    for trial in trials:
        made.on_trial_add(CONTROLLER, trial)
    return trials


def report(made, trial, kimg, value):
    """Tune pauses a trial after it has saved its checkpoint."""
    decision = made.on_trial_result(CONTROLLER, trial, {"kimg": kimg, METRIC: value, "status": "running"})
    if decision == "PAUSE":
        trial.status, trial.checkpoint = "PAUSED", f"checkpoint of {trial.trial_id} at {kimg}"
    return decision


def test_the_worst_take_over_from_the_best_when_all_have_come_to_the_round(tmp_path):
    experiment = read(tmp_path, PBT)
    made = population(experiment)
    good, bad = add(made, 1e-3, 2e-3)
    assert report(made, good, 1.0, 9.0) == "CONTINUE"
    assert report(made, good, 3.0, 5.0) == "PAUSE"
    assert report(made, bad, 3.0, 7.0) == "PAUSE"
    assert made.choose_trial_to_run(CONTROLLER) is None  # the third is still to come
    (third,) = add(made, 3e-3)
    assert report(made, third, 3.0, 6.0) == "PAUSE"
    assert made.choose_trial_to_run(CONTROLLER) is good
    assert made.round == 1
    exploit = bad.config[MEMBER].exploit
    assert (exploit.donor, exploit.kimg) == (experiment.fixed(good.config[FIRST]).trial_id("rungs"), 3.0)
    assert params_of(bad) == exploit.params
    assert exploit.params["optimizers.generator.lr"] in (pytest.approx(0.8e-3), pytest.approx(1.2e-3))
    assert bad.config[FIRST] == {"optimizers.generator.lr": 2e-3}
    assert bad.run_metadata.checkpoint_manager._latest_checkpoint_result.checkpoint == good.checkpoint
    assert good.config[MEMBER].exploit is None
    assert third.config[MEMBER].exploit is None
    assert {trial.config[MEMBER].generation for trial in (good, bad, third)} == {1}


def test_a_take_over_is_done_once(tmp_path):
    made = population(read(tmp_path, PBT), members=2)
    good, bad = add(made, 1e-3, 2e-3)
    report(made, good, 3.0, 5.0)
    report(made, bad, 3.0, 7.0)
    made.choose_trial_to_run(CONTROLLER)
    assert bad.config[MEMBER].exploit is not None
    bad.status = "RUNNING"
    assert report(made, bad, 4.0, 6.0) == "CONTINUE"
    assert bad.config[MEMBER].exploit is None
    assert params_of(bad) != bad.config[FIRST]


def test_a_round_does_not_wait_for_a_member_that_has_failed(tmp_path):
    made = population(read(tmp_path, PBT))
    good, bad, dead = add(made, 1e-3, 2e-3, 3e-3)
    report(made, good, 3.0, 5.0)
    report(made, bad, 3.0, 7.0)
    assert made.choose_trial_to_run(CONTROLLER) is None
    dead.status = "TERMINATED"
    assert made.choose_trial_to_run(CONTROLLER) is good
    assert bad.config[MEMBER].exploit is not None


def test_members_go_on_in_turn_where_slots_are_free(tmp_path):
    made = population(read(tmp_path, PBT), slots=1)
    trials = add(made, 1e-3, 2e-3, 3e-3)
    for trial in trials:
        report(made, trial, 3.0, 5.0)
    assert made.choose_trial_to_run(CONTROLLER) is trials[0]
    trials[0].status = "RUNNING"
    assert made.choose_trial_to_run(CONTROLLER) is None
    report(made, trials[0], 6.0, 5.0)
    assert made.choose_trial_to_run(CONTROLLER) is trials[1]


def test_who_takes_over_from_whom_does_not_depend_on_the_order_of_reports(tmp_path):
    experiment, found = read(tmp_path, PBT), []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        made = population(experiment, members=4)
        trials = add(made, 1e-3, 2e-3, 3e-3, 4e-3)
        for number in order:
            report(made, trials[number], 3.0, 5.0 + number)
        made.choose_trial_to_run(CONTROLLER)
        found.append([trial.config[MEMBER].exploit for trial in trials])
    assert found[0] == found[1]
    assert [exploit is not None for exploit in found[0]] == [False, False, True, True]


def test_a_resumed_member_goes_on_with_its_newest_recipe_and_its_old_id(tmp_path):
    experiment = read(tmp_path, PBT)
    first, newest = {"optimizers.generator.lr": 2e-3}, {"optimizers.generator.lr": 8e-4}
    trial_id = experiment.fixed(first).trial_id("rungs")
    past = [Past(trial_id, "running", ((3.0, 7.0),), ({"kimg": 3.0, "params": newest},))]
    made = population(experiment, members=1, past=past)
    (trial,) = add(made, 2e-3)
    assert params_of(trial) == newest
    assert trial.config[FIRST] == first
    assert trial.config[MEMBER].recipe == experiment.fixed(newest)
    assert trial.config[MEMBER].generation == 1


def running(name, *kimgs, taken=()):
    scores = tuple((float(kimg), 1.0) for kimg in kimgs)
    return Past(name, "running", scores, tuple({"kimg": kimg} for kimg in taken))


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([running("a", 1, 2), running("b", 1)], 0),  # nobody has come to the first round
        ([running("a", 3), running("b", 2)], 0),  # a waits there
        ([running("a", 3), running("b", 3)], 0),  # all came, and the driver died before anybody took over
        ([running("a", 3), running("b", 3, taken=[3.0])], 1),
        ([running("a", 3, 6), running("b", 3, 5)], 1),  # somebody is past the first: it was held
        ([running("a", 3, 6), running("b", 3, 6)], 1),
        ([running("a", 3, 6), running("b", 3, 6, taken=[3.0, 6.0])], 2),
        ([running("a", 3)], 0),  # the second has not begun
    ],
)
def test_which_rounds_were_held_is_told_by_the_store(past, expected):
    assert _rounds_passed(Pbt(name="pbt", every_kimg=3), past, 2) == expected


def member_search(made, *rates):
    from ray.tune.search import Searcher

    class Given(Searcher):
        def __init__(self):
            super().__init__(METRIC, "min")
            self.rates, self.failed, self.allowed = list(rates), [], lambda: 1

        def suggest(self, trial_id):
            return {"optimizers.generator.lr": self.rates.pop(0)}

        def on_trial_complete(self, trial_id, result=None, error=False):
            self.failed.append((trial_id, error))

    return MemberSearch(Given(), made)


def test_members_are_drawn_as_slots_fall_free_and_none_twice(tmp_path):
    made = population(read(tmp_path, PBT), members=3, slots=2)
    search = member_search(made, 1e-3, 1e-3, 2e-3, 3e-3)
    trials = add(made, search.suggest("t1")["optimizers.generator.lr"])
    assert search.suggest("t2") is None  # the same recipe
    assert search.searcher.failed == [("t2", True)]
    trials += add(made, search.suggest("t3")["optimizers.generator.lr"])
    assert search.suggest("t4") is None  # both slots are taken
    report(made, trials[0], 3.0, 5.0)
    trials += add(made, search.suggest("t5")["optimizers.generator.lr"])
    trials[1].status = trials[2].status = "TERMINATED"
    assert search.suggest("t6") is None  # Tune goes on asking while a member is alive, and keeps its slot warm
    trials[0].status = "TERMINATED"
    assert search.suggest("t7") == "FINISHED"


def test_the_search_counts_for_asha_and_the_population_for_itself(tmp_path):
    """A paused member takes no slot: a search that counts it would never draw the last members."""
    runs = Runs.at(tmp_path / "runs")
    search = SimpleNamespace(allowed=lambda: 2, metric=METRIC, mode="min")
    asha = build_scheduler(read(tmp_path), Store(tmp_path / "store"))
    assert tune_config(search, asha, trials=5, slots=2)["max_concurrent_trials"] == 2
    assert search.allowed() == 2
    assert checkpoint_config(asha, runs).checkpoint_frequency == 1
    made = build_scheduler(read(tmp_path, PBT), Store(tmp_path / "store"), trials=5, slots=2)
    arguments = tune_config(member_search(made).searcher, made, trials=5, slots=2)
    assert isinstance(arguments["search_alg"], MemberSearch)
    assert arguments["num_samples"] == 6
    assert arguments["search_alg"].searcher.allowed() == math.inf
    assert made.allowed() == 1  # what the search was told of the nodes
    assert (checkpoint_config(made, runs).checkpoint_frequency, checkpoint_config(made, runs).num_to_keep) == (0, 2)


def test_a_row_of_a_member_holds_its_lineage(tmp_path):
    experiment, store = read(tmp_path, PBT), Store(tmp_path / "store")
    record = {"kimg": 3.0, "from": "abc", "changed": {}, "params": {"optimizers.generator.lr": 1e-3}}
    columns = {"definition_hash": experiment.definition_hash, "lineage": (json.dumps(record),)}
    recipe = experiment.fixed({"optimizers.generator.lr": 2e-3})
    put_trial(store, recipe, "rungs", 5.0, status="running", **columns)
    (found,) = earlier(experiment, store)
    assert found.lineage == (record,)
