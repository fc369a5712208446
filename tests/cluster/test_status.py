"""A sweep's status as text and as a file."""

import dataclasses
import io
import json
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from ganray.cluster.status import RunningTrial, SweepStatus, read_status, render_status
from ganray.errors import ClusterError
from ganray.trial.folder import Runs

NOW = datetime.now(UTC)
STATUS = SweepStatus(
    experiment="demo",
    state="running",
    metric="fd",
    started_at=NOW - timedelta(hours=1),
    updated_at=NOW,
    trials=10,
    ended=4,
    completed=2,
    pruned=1,
    failed=1,
    running=2,
    best_trial="abcdef0123456789",
    best_value=212.8,
    best_kimg=7.5,
    slots=2,
    slots_wanted=4,
    workers_per_slot=3,
    utilisation=0.957,
    device_hours=2.0,
    images_per_s=123.4,
    eta_s=1800.0,
    store="/somewhere/store",
    runs="/somewhere",
    job_id="job-1",
    note="a note",
    trials_running=(
        RunningTrial(5, "0123456789", 5.0, 10.0, 300.0, 61.7, "10.0.0.1", "loss=hinge"),
        RunningTrial(6, "", 0.0, 10.0),
    ),
)


def shown(status, price=None):
    screen = io.StringIO()
    Console(file=screen, width=150).print(render_status(status, price))
    return screen.getvalue()


def test_json_and_back_is_the_same():
    assert SweepStatus.from_json(STATUS.to_json()) == STATUS
    assert "\n" not in STATUS.to_json()


def test_what_a_newer_version_adds_is_ignored_and_what_an_older_one_lacks_is_empty():
    content = json.loads(STATUS.to_json()) | {"new": 1}
    content["trials_running"][0]["newer"] = 2
    del content["utilisation"], content["device_hours"]
    read = SweepStatus.from_json(json.dumps(content))
    assert read == dataclasses.replace(STATUS, utilisation=None, device_hours=0.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"experiment": "e"}', '"x"', "null"])
def test_what_is_no_status_is_refused(text):
    with pytest.raises(ClusterError, match="no status of a sweep"):
        SweepStatus.from_json(text)


def test_the_numbers_stand_on_the_screen():
    text = shown(STATUS)
    for words in ("demo running: 4 of 10 trials ended", "best fd 212.8 (trial abcdef01 at 7.5 kimg)",
                  "2 completed, 1 pruned, 1 failed, 2 running", "2 of 4, 3 worker(s) each, 95.7% of their time",
                  "123.4 images/s", "60.0m so far, about 30.0m left", "job-1", "/somewhere/store", "a note",
                  "5 / 10", "10.0.0.1", "loss=hinge"):  # fmt: skip
        assert words in text


def test_progress_counts_parts_of_running_trials():
    assert STATUS.share_done == pytest.approx(0.45)  # four of ten, and half of one


def test_device_hours_and_their_price_now_and_in_the_end():
    # Half an hour more on two slots of three devices is three device-hours on top of two, if the slots never wait.
    busy = dataclasses.replace(STATUS, utilisation=1.0)
    assert busy.device_hours_expected == pytest.approx(5.0)
    assert dataclasses.replace(STATUS, utilisation=0.5).device_hours_expected == pytest.approx(3.5)
    # The last trial leaves one of the slots without work.
    assert dataclasses.replace(busy, ended=9).device_hours_expected == pytest.approx(3.5)
    text = shown(busy, price=2.5)
    assert "2.00 so far, about 5.00 in the end" in text
    assert "5.00 so far, about 12.50 in the end (at 2.5 per device-hour)" in text
    assert "per device-hour" not in shown(STATUS)


def test_what_is_not_known_is_not_made_up():
    bare = SweepStatus("demo", "starting", "fd", NOW, NOW)
    text = shown(bare, price=1.0)
    assert "the end cannot be estimated yet" in text
    assert "in the end" not in text
    assert "best" not in text
    assert "of their time" not in text
    assert bare.share_done == 0


def test_an_ended_sweep_has_its_final_numbers():
    ended = dataclasses.replace(STATUS, state="ended", trials_running=(), updated_at=NOW - timedelta(days=1))
    text = shown(ended, price=2.0)
    assert "ended" in text
    assert "so far" not in text
    assert "4.00 (at 2 per device-hour)" in text
    assert not ended.is_stale()


def test_a_driver_that_is_silent_is_said_to_be_and_what_to_do():
    silent = dataclasses.replace(STATUS, updated_at=NOW - timedelta(seconds=90))
    assert silent.is_stale(NOW)
    text = " ".join(shown(silent).split())
    assert "the driver has not been heard of for" in text
    assert "ganray resume demo" in text
    assert not STATUS.is_stale(NOW + timedelta(seconds=59))
    # A remote status is sent once a minute: that old is nothing to worry about.
    assert not dataclasses.replace(silent, runs="s3://bucket/runs").is_stale(NOW)


def test_a_clock_that_is_behind_makes_no_negative_age():
    assert STATUS.age_s(NOW - timedelta(hours=1)) == 0


def test_names_are_shown_as_they_are():
    odd = dataclasses.replace(STATUS, note="[red]x[/nothing]", store="/[bold]", trials_running=())
    assert "[red]x[/nothing]" in shown(odd)
    assert "/[bold]" in shown(odd)


def test_it_is_read_from_the_runs(tmp_path):
    runs = Runs.at(tmp_path)
    assert read_status(runs, "demo") is None
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "status.json").write_text(STATUS.to_json())
    assert read_status(runs, "demo") == STATUS


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "status.json").write_text("{")
    with pytest.raises(ClusterError, match=r"demo/status\.json.*remove it"):
        read_status(Runs.at(tmp_path), "demo")


def test_it_is_read_from_a_uri_without_a_copy_on_this_machine():
    runs = Runs.at(f"memory://{secrets.token_hex(4)}/runs")
    assert read_status(runs, "demo") is None
    (runs.folder / "demo").mkdir(parents=True)
    here = runs.folder / "demo" / "status.json"
    here.write_text(STATUS.to_json())
    runs.send("demo/status.json")
    here.unlink()
    assert read_status(runs, "demo") == STATUS
    assert not here.exists()
