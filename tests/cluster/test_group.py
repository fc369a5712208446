"""One warm worker group of two DDP workers on a real Ray, through everything that may happen to it."""

import contextlib
import importlib.util
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from ganray.errors import ClusterError
from ganray.recipe.recipe import Recipe
from ganray.store.store import Store
from ganray.trial.job import TrialJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

STEPS_KIMG = 0.032


def load_driver():
    spec = importlib.util.spec_from_file_location("ganray_test_driver", Path(__file__).with_name("driver.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_recipe(seed=0, kimg=4 * STEPS_KIMG, lr=2e-4):
    return Recipe.model_validate(
        {
            "data": {"source": "sample:hubble", "resolution": 32},
            "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
            "discriminator": {"name": "dcgan", "width": 4},
            "tricks": [{"name": "ema", "decay": 0.9}, {"name": "flips"}, {"name": "diffaugment"}],
            "optimizers": {"discriminator": {"lr": lr}},
            "budget": {"kimg": kimg, "batch_size": 8},
            "evaluation": {"protocols": ["tiny"], "every_kimg": STEPS_KIMG},
            "runtime": {"device": "cpu"},
            "seed": seed,
        }
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "cache"
    before = dict(os.environ)
    os.environ["GANRAY_CACHE_DIR"] = str(cache)
    driver = load_driver()
    driver.init_ray(num_cpus=2)
    import ray

    yield ray
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


class Group:
    """The driver's GroupActor with the methods of a WorkerGroup."""

    def __init__(self, ray, *arguments, **options):
        self.ray, self.actor = (
            ray,
            ray.remote(load_driver().GroupActor).options(num_cpus=0).remote(*arguments, **options),
        )

    def submit(self, job):
        return self.ray.get(self.actor.submit.remote(job))

    def next_result(self, job_id):
        return self.ray.get(self.actor.next_result.remote(job_id))

    def close(self):
        self.ray.get(self.actor.close.remote())
        self.ray.kill(self.actor)


@pytest.fixture(scope="module")
def group(cluster, tmp_path_factory):
    found = Group(cluster, tmp_path_factory.mktemp("slots"), "group")
    yield found
    found.close()


@pytest.fixture
def make_job(tmp_path):
    def make(recipe, experiment="e"):
        return TrialJob(recipe, experiment, tmp_path / "runs", str(tmp_path / "store"))

    return make


def follow(group, job_id, limit=100):
    results = []
    while len(results) < limit:
        results.append(group.next_result(job_id))
        if results[-1]["done"]:
            break
    return results


def workers(title="RayTrainWorker"):
    """The Train workers of this process's own Ray; the machine may be running another one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if title in " ".join(process.cmdline()):
                found.append(process.pid)
    return sorted(found)


def kimgs(table):
    return sorted(round(k, 6) for k in table["kimg"].to_pylist())


EVERY = [round(STEPS_KIMG * i, 6) for i in range(1, 5)]


@pytest.fixture(scope="module")
def seen():
    """What earlier tests of this module measured: they share one group on purpose."""
    return {}


def test_a_job_is_trained_scored_and_recorded_by_two_workers(group, make_job, seen):
    job = make_job(make_recipe())
    results = follow(group, group.submit(job))
    assert [round(r["kimg"], 6) for r in results] == EVERY
    assert [r["done"] for r in results] == [False, False, False, True]
    store = Store(job.store)
    (row,) = store.trials().to_pylist()
    assert (row["status"], row["world_size"], row["trial_id"]) == ("completed", 2, job.trial_id)
    assert kimgs(store.evaluations()) == EVERY
    seen["first"] = [r["tiny"] for r in results]
    seen["pids"] = workers()
    assert len(seen["pids"]) == 2


def test_a_further_job_runs_in_the_same_processes(group, make_job, seen):
    follow(group, group.submit(make_job(make_recipe(seed=1))))
    assert workers() == seen["pids"]


def test_a_superseded_job_stops_at_its_last_report_and_the_next_one_starts(group, make_job, seen):
    weak, next_ = make_job(make_recipe(seed=2)), make_job(make_recipe(seed=3))
    follow(group, group.submit(weak), limit=2)
    follow(group, group.submit(next_))
    store = Store(weak.store)
    rows = {row["trial_id"]: row for row in store.trials().to_pylist()}
    assert round(rows[weak.trial_id]["kimg"], 6) == EVERY[1], "it must not train on after the verdict"
    assert rows[next_.trial_id]["status"] == "completed"
    assert workers() == seen["pids"]


def test_a_recipe_that_blows_up_fails_with_its_diagnosis_and_the_group_lives_on(group, make_job, seen):
    job = make_job(make_recipe(seed=4, lr=1e30))
    results = follow(group, group.submit(job))
    assert results[-1]["status"] == "failed"
    assert "non-finite" in results[-1]["diagnosis"]
    (row,) = Store(job.store).trials().to_pylist()
    assert row["status"] == "failed"
    assert "non-finite" in row["diagnosis"]
    assert workers() == seen["pids"]


def test_nothing_leaks_from_one_trial_into_the_next(group, make_job, seen):
    job = make_job(make_recipe(), experiment="again")
    results = follow(group, group.submit(job))
    assert [r["tiny"] for r in results] == seen["first"], "the same recipe, bit for bit, after four other trials"


def test_a_killed_worker_resumes_from_the_checkpoint_and_reports_nothing_twice(group, make_job, seen):
    job = make_job(make_recipe(), experiment="killed")
    job_id = group.submit(job)
    results = follow(group, job_id, limit=2)
    os.kill(workers()[1], signal.SIGKILL)
    results += follow(group, job_id)
    assert [round(r["kimg"], 6) for r in results] == EVERY
    assert [r["tiny"] for r in results] == seen["first"], "as if nothing had happened"
    store = Store(job.store)
    assert kimgs(store.evaluations()) == EVERY
    curve = kimgs(store.curves())
    assert len(curve) == len(set(curve))
    assert workers() != seen["pids"]


def test_a_killed_controller_is_replaced_each_time_and_the_job_goes_on(group, make_job, seen):
    job = make_job(make_recipe(), experiment="renewed")
    job_id = group.submit(job)
    results = follow(group, job_id, limit=1)
    for expected in (2, 3):
        (controller,) = workers("TrainController")
        os.kill(controller, signal.SIGKILL)
        results += follow(group, job_id, limit=1)
        assert len(results) == expected
        assert workers("TrainController") != [controller]
    results += follow(group, job_id)
    assert [round(r["kimg"], 6) for r in results] == EVERY
    assert [r["tiny"] for r in results] == seen["first"], "as if nothing had happened"
    store = Store(job.store)
    (row,) = store.trials().to_pylist()
    assert (row["status"], kimgs(store.evaluations())) == ("completed", EVERY)
    curve = kimgs(store.curves())
    assert len(curve) == len(set(curve))
    follow(group, group.submit(make_job(make_recipe(seed=5))))  # a further job finds a whole group


def test_a_group_that_finds_no_room_says_what_it_needs(cluster, group, tmp_path, make_job):
    homeless = Group(cluster, tmp_path, "homeless", placement_s=3.0)
    job_id = homeless.submit(make_job(make_recipe()))
    started = time.monotonic()
    with pytest.raises(ClusterError, match=r"slot-unplaced: no worker could be placed.*needs 2 CPU"):
        homeless.next_result(job_id)
    assert time.monotonic() - started < 60
    cluster.kill(homeless.actor)
