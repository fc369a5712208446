"""A sweep's numbers for Prometheus: what is set when, and that a real Ray exports it."""

import io
import os
import re
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from ganray.cluster import metrics
from ganray.cluster.live import LiveTable
from ganray.cluster.metrics import SweepMetrics
from ganray.cluster.status_writer import Past, StatusWriter
from ganray.trial.folder import Runs


class Kept:
    """Stands in for Ray's metrics: the last value, or the sum, of each series."""

    everything = {}

    def __init__(self, name, description="", tag_keys=None):
        assert description
        self.name, self.tag_keys = name, tag_keys

    def _key(self, tags):
        assert set(tags) == set(self.tag_keys)
        return (self.name, *(tags[key] for key in self.tag_keys[1:]))

    def set(self, value, tags):
        self.everything[self._key(tags)] = value

    def inc(self, value, tags):
        assert value > 0
        self.everything[self._key(tags)] = self.everything.get(self._key(tags), 0.0) + value


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "Gauge", Kept)
    monkeypatch.setattr(metrics, "Counter", Kept)
    monkeypatch.setattr(Kept, "everything", {})
    table = LiveTable("fd", 4.0, 3, Console(file=io.StringIO()))
    writer = StatusWriter(
        table, Runs.at(tmp_path), "demo", store="/s", slots=lambda: 2, slots_wanted=lambda: 2,
        past=Past(completed=1, device_s=100.0), device_s=lambda: 160.0,
    )  # fmt: skip
    return SimpleNamespace(table=table, writer=writer, metrics=SweepMetrics(writer), seen=Kept.everything)


def tell(sweep, name, kimg, **more):
    trial = SimpleNamespace(trial_id=name, config={"slot": object()})
    sweep.table.on_trial_start(0, [], trial)
    result = {"trial": f"id-{name}", "kimg": kimg, "fd": 30.0, "status": "running", "done": False, **more}
    for callback in (sweep.table, sweep.writer):
        callback.on_trial_result(0, [], trial, result)
    return trial


def test_each_number_is_set_with_its_labels(sweep):
    tell(sweep, "a", 1, slot="s1", busy_s=3.0, slot_s=4.0, wall_s=10.0, **{"train/images_per_s": 7.0})
    sweep.metrics.publish()
    seen = sweep.seen
    assert seen["ganray_images_per_second", "id-a"] == 7.0
    assert [seen["ganray_slot_state", "s1", state] for state in ("busy", "idle", "lost")] == [1.0, 0.0, 0.0]
    assert seen["ganray_best_metric", "fd"] == 30.0
    assert seen["ganray_trials", "completed"] == 1
    assert seen["ganray_trials", "running"] == 1
    assert seen[("ganray_slots",)] == 2
    assert seen[("ganray_slot_utilisation",)] == 0.75
    assert seen[("ganray_eta_seconds",)] > 0


def test_device_seconds_are_counted_once(sweep):
    sweep.metrics.publish()
    sweep.metrics.publish()
    assert sweep.seen[("ganray_device_seconds_total",)] == pytest.approx(160.0)


def test_a_trial_that_has_ended_has_no_speed_and_its_slot_is_idle_or_lost(sweep):
    first = tell(sweep, "a", 1, slot="s1", **{"train/images_per_s": 7.0})
    second = tell(sweep, "b", 1, slot="s2", **{"train/images_per_s": 8.0})
    sweep.metrics.publish()
    for callback in (sweep.table, sweep.writer):
        callback.on_trial_complete(0, [], first)
        callback.on_trial_error(0, [], second)
    sweep.metrics.publish()
    seen = sweep.seen
    assert (seen["ganray_images_per_second", "id-a"], seen["ganray_images_per_second", "id-b"]) == (0.0, 0.0)
    assert (seen["ganray_slot_state", "s1", "idle"], seen["ganray_slot_state", "s1", "busy"]) == (1.0, 0.0)
    assert seen["ganray_slot_state", "s2", "lost"] == 1.0
    assert (seen["ganray_trials", "pruned"], seen["ganray_trials", "failed"]) == (1, 1)


EXPORTER = """
import io, sys, time, urllib.request
from types import SimpleNamespace
from rich.console import Console
from ganray.cluster.settings import start_ray
start_ray(None, num_cpus=1)
import ray
from ganray.cluster.live import LiveTable
from ganray.cluster.metrics import SweepMetrics
from ganray.cluster.status_writer import StatusWriter
from ganray.trial.folder import Runs

table = LiveTable("fd", 4.0, 3, Console(file=io.StringIO()))
writer = StatusWriter(table, Runs.at(sys.argv[1]), "demo", store="/s", slots=lambda: 1, slots_wanted=lambda: 1)
metrics = SweepMetrics(writer)
trial = SimpleNamespace(trial_id="t", config={"slot": object()})
result = {"trial": "abc", "kimg": 1.0, "fd": 30.5, "status": "running", "done": False, "slot": "s1",
          "train/images_per_s": 7.0}
table.on_trial_start(0, [], trial)
for callback in (table, writer):
    callback.on_trial_result(0, [], trial, result)
metrics.publish()
(node,) = ray.nodes()
address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
text, until = "", time.monotonic() + 60
while "ray_ganray_best_metric" not in text and time.monotonic() < until:
    time.sleep(0.5)
    try:
        text = urllib.request.urlopen(address, timeout=5).read().decode()
    except OSError:
        pass
print(address)
print(text)
ray.shutdown()
"""


@pytest.mark.cluster
def test_a_real_ray_exports_them(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EXPORTER), str(tmp_path)],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(f"{time.monotonic() - started:.0f} s")
    series = {name: line for line in done.stdout.splitlines() if (name := line.partition("{")[0]).startswith("ray_gan")}
    assert re.search(r'experiment="demo".*metric="fd".* 30\.5$', series["ray_ganray_best_metric"])
    assert re.search(r'trial="abc".* 7\.0$', series["ray_ganray_images_per_second"])
    assert {"ray_ganray_slot_state", "ray_ganray_trials", "ray_ganray_slots"} <= series.keys()
