"""One trial from images to rows; resumed wherever it was left."""

import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from PIL import Image

from ganray.store.store import Store
from ganray.training.checkpoint import read_checkpoint
from ganray.training.distributed import World
from ganray.training.game import Perception
from ganray.training.state import build_state
from ganray.trial import run as run_
from ganray.trial.assess import assess, load_scorers
from ganray.trial.job import CHECKPOINT
from ganray.trial.record import Recorder, grid_columns

KIMG_OF_STEPS = [4 * step / 1000 for step in range(1, 21)]


@pytest.fixture
def straight(job, run, tmp_path):
    """The same recipe, trained without a break: its outcome and its checkpoint."""
    whole = job(runs=tmp_path / "straight", store=tmp_path / "straight-store")
    outcome, _ = run(whole)
    return outcome, read_checkpoint(whole.folder / CHECKPOINT)


def same_weights(a, b):
    names = ("generator", "discriminator", "ema")
    return all(torch.equal(a[n][key], b[n][key]) for n in names for key in a[n])


def assert_each_row_once(found):
    assert [(row["kimg"], row["protocol"]) for row in found["evaluations"]] == [(0.04, "fd_tiny"), (0.08, "fd_tiny")]
    assert [row["kimg"] for row in found["curves"]] == KIMG_OF_STEPS
    assert [row["status"] for row in found["trials"]] == ["completed"]


def test_a_trial_leaves_its_rows_its_grids_and_its_checkpoint(job, run, rows):
    one = job()
    readings = []
    outcome, reports = run(one, watch=lambda state, reading: readings.append((state.kimg, reading)))
    found = rows(one)
    assert_each_row_once(found)
    assert [(report.kimg, report.done) for report in reports] == [(0.04, False), (0.08, True)]
    assert [kimg for kimg, _ in readings] == KIMG_OF_STEPS

    metrics = [row["frechet"] for row in found["evaluations"]]
    assert [report.metrics["fd_tiny"] for report in reports] == metrics
    assert (outcome.status, outcome.kimg, outcome.metrics) == ("completed", 0.08, {"fd_tiny": metrics[-1]})
    measured = {(row["n_fake"], row["n_real"], row["extractor"]) for row in found["evaluations"]}
    assert measured == {(60, 12, "colours")}

    trial = found["trials"][0]
    assert (trial["trial_id"], trial["recipe_hash"]) == (one.trial_id, one.recipe.hash)
    assert (trial["n_images"], trial["dataset"], trial["loss"], trial["world_size"]) == (12, "photos", "hinge", 1)
    assert (trial["kimg"], trial["diagnosis"]) == (0.08, None)
    assert trial["wall_s"] == pytest.approx(outcome.wall_s, abs=0.5)
    assert found["curves"][0]["loss_d"] == readings[0][1]["loss_d"]
    assert read_checkpoint(Path(trial["checkpoint_uri"]))["images_shown"] == 80

    store = Store(one.store)
    for row in found["evaluations"]:
        grid = Image.open(io.BytesIO(store.read_artifact(row["grid_uri"])))
        assert grid.size == (8 * 34 + 2, 8 * 34 + 2)
    assert len({row["grid_uri"] for row in found["evaluations"]}) == 2


def test_grids_stay_near_a_thousand_pixels_wide():
    assert [grid_columns(side) for side in (32, 64, 128, 256, 512, 1024)] == [8, 8, 8, 4, 2, 2]


def test_the_same_recipe_again_returns_what_it_had(job, run, rows, monkeypatch):
    outcome, _ = run(job())
    before = rows(job())
    monkeypatch.setattr(run_, "train", lambda *_: pytest.fail("it trained again"))
    again, reports = run(job())
    assert (again.status, again.metrics, again.kimg) == (outcome.status, outcome.metrics, outcome.kimg)
    assert [(report.done, report.metrics) for report in reports] == [(True, outcome.metrics)]
    assert rows(job()) == before


def test_a_trial_killed_before_its_last_row_is_completed_later(job, run, rows, monkeypatch):
    with monkeypatch.context() as patch:
        original = Recorder.trial

        def die(self, status, diagnosis=None):
            if status == "completed":
                raise KeyboardInterrupt
            original(self, status, diagnosis)

        patch.setattr(Recorder, "trial", die)
        with pytest.raises(KeyboardInterrupt):
            run(job())
    assert rows(job())["trials"][0]["status"] == "running"
    _, reports = run(job())
    assert [report.done for report in reports] == [True]
    assert_each_row_once(rows(job()))


def test_killed_between_rows_and_checkpoint_leaves_each_row_once(job, run, rows, straight, monkeypatch):
    save, calls = run_.save_checkpoint, []

    def die_at_the_second(state, path):
        calls.append(state.kimg)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(state, path)

    monkeypatch.setattr(run_, "save_checkpoint", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(job())
    assert [row["kimg"] for row in rows(job())["evaluations"]] == [0.04, 0.08]
    outcome, reports = run(job())
    assert calls == [0.04, 0.08, 0.08]
    assert [report.kimg for report in reports] == [0.08]
    assert_each_row_once(rows(job()))
    assert outcome.metrics == straight[0].metrics
    assert same_weights(read_checkpoint(job().folder / CHECKPOINT), straight[1])


def test_a_pause_leaves_an_exact_checkpoint(job, run, rows, straight):
    seen = []
    outcome, _ = run(job(), watch=lambda state, _: seen.append(state.step), pause=lambda: len(seen) == 13)
    assert (outcome.status, outcome.kimg) == ("running", 0.052)
    paused = rows(job())
    assert paused["trials"][0]["status"] == "running"
    assert [row["kimg"] for row in paused["curves"]] == KIMG_OF_STEPS[:13]
    outcome, _ = run(job())
    assert outcome.metrics == straight[0].metrics
    assert same_weights(read_checkpoint(job().folder / CHECKPOINT), straight[1])
    resumed = rows(job())
    assert_each_row_once(resumed)
    assert resumed["trials"][0]["created_at"] == paused["trials"][0]["created_at"]
    assert resumed["trials"][0]["wall_s"] > paused["trials"][0]["wall_s"]


def test_whoever_is_told_may_stop_the_trial(job, run, rows):
    outcome, reports = run(job(), tell=lambda report: False)
    assert (outcome.status, outcome.kimg, len(reports)) == ("running", 0.04, 1)
    assert [row["kimg"] for row in rows(job())["evaluations"]] == [0.04]
    assert (job().folder / CHECKPOINT).exists()


def test_a_second_trial_in_the_same_process_is_what_it_would_be_alone(job, run, straight):
    run(job(seed=5))
    torch.rand(17)
    outcome, _ = run(job())
    assert outcome.metrics == straight[0].metrics


def test_without_an_average_the_generator_trains_on_after_an_evaluation(job, run):
    recipe = job(tricks=[]).recipe
    images = run_.load_images(recipe.data)
    state = build_state(recipe, 12, World())
    (score,) = assess(state, load_scorers(recipe.evaluation.protocols, images, World(), None))
    assert state.generator.training
    assert score.n_fake == 60


def test_the_networks_of_a_distance_do_not_move_the_random_numbers(job):
    fastgan = {
        "data": {"source": "x", "resolution": 64},
        "generator": {"name": "fastgan", "width": 4},
        "discriminator": {"name": "fastgan", "width": 4, "decode": {"distance": "perceptual"}},
    }
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert run_.load_perception(job(**fastgan).recipe, torch.device("cpu")).distance is not None
    assert torch.equal(before, torch.get_rng_state())
    assert run_.load_perception(job().recipe, torch.device("cpu")) == Perception()


DAY = timedelta(days=1)


@pytest.fixture
def clock(monkeypatch):
    """Sets the wall clock off by so much; whatever measures a duration by it would notice."""
    time_s, time_ns = time.time, time.time_ns

    class Clock:
        off = timedelta()

    class Moved(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(time.time(), tz)

    monkeypatch.setattr(time, "time", lambda: time_s() + Clock.off.total_seconds())
    monkeypatch.setattr(time, "time_ns", lambda: time_ns() + int(Clock.off.total_seconds() * 1e9))
    monkeypatch.setattr("ganray.store.schema.datetime", Moved)
    return Clock


@pytest.mark.parametrize("jumps", [(-DAY, -2 * DAY), (DAY, 2 * DAY), (DAY, -DAY), (-DAY, DAY)], ids=str)
def test_a_clock_that_jumps_moves_no_duration_and_loses_no_row(job, run, rows, straight, clock, jumps):
    off = iter(jumps)

    def jump(report):
        clock.off = next(off)
        return True

    mine, readings = job(evaluation={"protocols": ["fd_tiny"], "every_kimg": 0.02}), []
    paused = False

    def pause():  # between two evaluations, after the first jump
        return not paused and len(readings) == 8

    first, _ = run(mine, tell=jump, watch=lambda state, reading: readings.append(reading), pause=pause)
    assert first.status == "running"
    paused, clock.off = True, jumps[1]
    outcome, reports = run(mine, watch=lambda state, reading: readings.append(reading))
    assert (outcome.status, outcome.metrics) == ("completed", straight[0].metrics)
    assert first.wall_s < outcome.wall_s < 3600
    assert [report.kimg for report in reports] == [0.04, 0.06, 0.08]
    assert all(0 < reading["images_per_s"] < 1e6 for reading in readings)
    found = rows(mine)
    assert [row["kimg"] for row in found["evaluations"]] == [0.02, 0.04, 0.06, 0.08]
    assert all(0 <= row["seconds"] < 3600 for row in found["evaluations"])
    spent = [row["device_s"] for row in found["evaluations"]]
    assert spent == sorted(spent)
    assert [row["kimg"] for row in found["curves"]] == KIMG_OF_STEPS
    assert [(row["status"], row["kimg"]) for row in found["trials"]] == [("completed", 0.08)]
    assert same_weights(read_checkpoint(mine.folder / CHECKPOINT), straight[1])


def test_a_trial_that_fails_early_says_so_although_the_clock_was_put_back(job, run, rows, clock):
    for seed in (0, 1):
        run(job(seed=seed), tell=lambda report: False)
    job().files.checkpoint.write_bytes(job(seed=1).files.checkpoint.read_bytes())
    clock.off = -DAY
    outcome, _ = run(job())
    assert outcome.status == "failed"
    (row,) = [row for row in rows(job())["trials"] if row["trial_id"] == job().trial_id]
    assert (row["status"], row["diagnosis"]) == ("failed", outcome.diagnosis)


def test_the_newest_row_counts_although_the_clock_was_put_back(job, run, rows, monkeypatch):
    times = [datetime(2031, 1, 1, tzinfo=UTC)]

    def earlier():
        times.append(times[-1] - timedelta(hours=1))
        return times[-1]

    monkeypatch.setattr("ganray.trial.record.now", earlier)
    assert run(job())[0].status == "completed"
    assert len(times) > 2
    assert [row["status"] for row in rows(job())["trials"]] == ["completed"]
