"""What counts as a slot's work, by a clock that the test winds."""

import pytest

from ganray.cluster.worker import SlotClock


class Time:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


def test_preparation_and_waiting_do_not_count_and_idle_time_does_not_either(time):
    clock = SlotClock(time)
    assert clock.times() == {"busy_s": 0.0, "slot_s": 0.0}
    with clock.job():
        time.now += 5  # images, networks
        clock.step()
        time.now += 20
        clock.step()  # not the first step any more
        assert clock.times() == {"busy_s": 20.0, "slot_s": 25.0}
        with clock.waiting():
            time.now += 3
        time.now += 10
    time.now += 2  # until the next job comes
    with clock.job():
        time.now += 1
        clock.step()
        time.now += 4
    assert clock.times() == {"busy_s": 34.0, "slot_s": 45.0}


def test_a_job_that_fails_before_its_first_step_was_never_busy(time):
    clock = SlotClock(time)

    def fail():
        with clock.job():
            time.now += 5
            raise ValueError("no images")

    with pytest.raises(ValueError, match="no images"):
        fail()
    assert clock.times() == {"busy_s": 0.0, "slot_s": 5.0}


def test_a_report_before_the_first_step_begins_nothing(time):
    clock = SlotClock(time)
    with clock.job():
        with clock.waiting():
            time.now += 5
        time.now += 1
    assert clock.times() == {"busy_s": 0.0, "slot_s": 6.0}
