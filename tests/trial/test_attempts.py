"""What kills its process again and again is failed in the end; what gets on, or ends in order, never is."""

import json

import pytest

from ganray.errors import TrainingError
from ganray.recipe.experiment import load_experiment
from ganray.trial import local
from ganray.trial import run as run_
from ganray.trial.attempts import ATTEMPTS, MAX_ATTEMPTS, GivenUp, begin, end, give_up_after, note
from ganray.trial.local import prepare_folder


def test_attempts_without_progress_are_counted_until_one_gets_on_or_ends_in_order(tmp_path):
    assert [begin(tmp_path, 0.0) for _ in range(3)] == [1, 2, 3]
    assert [begin(tmp_path, 4.0) for _ in range(2)] == [1, 2]
    end(tmp_path)
    assert not (tmp_path / ATTEMPTS).exists()
    assert begin(tmp_path, 4.0) == 1
    (tmp_path / ATTEMPTS).write_text("half a fi")
    assert begin(tmp_path, 4.0) == 1
    assert [path.name for path in tmp_path.iterdir()] == [ATTEMPTS]


def test_one_attempt_too_many_is_given_up_with_the_diagnosis_of_the_last_one(tmp_path):
    for number in range(1, MAX_ATTEMPTS + 1):
        give_up_after(tmp_path, begin(tmp_path, 8.0))
        note(tmp_path, f"hang: number {number}")
    for _ in range(2):  # whoever asks again hears the same
        with pytest.raises(GivenUp, match=r"^hang: number 4 \(4 attempts in a row got no further than 8 kimg\)$"):
            give_up_after(tmp_path, begin(tmp_path, 8.0))


def test_without_a_diagnosis_the_worker_died(tmp_path):
    begin(tmp_path, 8.0)
    note(tmp_path, "hang: only once")
    attempt = [begin(tmp_path, 8.0) for _ in range(MAX_ATTEMPTS)][-1]
    with pytest.raises(GivenUp, match=r"^worker-died: killed, or out of memory\?"):
        give_up_after(tmp_path, attempt)


def test_a_diagnosis_needs_an_attempt(tmp_path):
    note(tmp_path, "hang: where nothing runs")
    assert not (tmp_path / ATTEMPTS).exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"absent/attempts\.json cannot be written: No such file"):
        begin(tmp_path / "absent", 0.0)


class Killed(BaseException):
    """What no handler of ours swallows."""


def die_at(kimg):
    def watch(state, reading):
        if state.kimg == kimg:
            raise Killed

    return watch


def die(job, run, kimg):
    with pytest.raises(Killed):
        run(job, watch=die_at(kimg))


def test_a_trial_that_dies_at_the_same_place_again_and_again_is_failed(job, run, rows):
    die(job(), run, 0.02)  # before its first checkpoint
    for _ in range(1 + MAX_ATTEMPTS):  # the first of them has got on
        die(job(), run, 0.06)
    before = rows(job())
    for _ in range(2):
        outcome, reports = run(job())
        assert (outcome.status, reports) == ("failed", [])
        assert outcome.diagnosis.startswith("worker-died: ")
        assert outcome.diagnosis.endswith("(4 attempts in a row got no further than 0.04 kimg)")
    found = rows(job())
    assert [(row["status"], row["diagnosis"]) for row in found["trials"]] == [("failed", outcome.diagnosis)]
    assert (found["evaluations"], found["curves"]) == (before["evaluations"], before["curves"])

    prepare_folder(job(), resume=True, fresh=False)  # somebody has seen to it
    outcome, _ = run(job())
    assert outcome.status == "completed"
    assert [row["status"] for row in rows(job())["trials"]] == ["completed"]
    assert not (job().folder / ATTEMPTS).exists()


def test_a_trial_without_a_checkpoint_may_be_begun_anew_by_hand(job, run):
    for _ in range(MAX_ATTEMPTS):
        die(job(), run, 0.02)
    assert run(job())[0].status == "failed"
    prepare_folder(job(), resume=False, fresh=False)
    assert run(job())[0].status == "completed"


def test_a_trial_that_gets_on_between_its_deaths_is_not_failed(job, run):
    fine = job(evaluation={"protocols": ["fd_tiny"], "every_kimg": 0.008})
    for step in range(3, 19, 2):  # each time one evaluation further
        die(fine, run, 4 * step / 1000)
    assert run(fine)[0].status == "completed"


@pytest.mark.parametrize("ending", ["pause", "stop", "failure"])
def test_what_ends_in_order_is_not_counted(job, run, monkeypatch, ending):
    def break_down(*_):
        raise TrainingError("broken")

    for _ in range(MAX_ATTEMPTS + 1):
        with monkeypatch.context() as patch:
            if ending == "failure":
                patch.setattr(run_, "train", break_down)
            outcome, _ = run(job(), tell=lambda report: ending != "stop", pause=lambda: ending == "pause")
        assert outcome.status == ("failed" if ending == "failure" else "running")
        assert not (job().folder / ATTEMPTS).exists()
        run_.start_afresh(job())
    assert run(job())[0].status == "completed"


def test_the_count_is_there_while_a_trial_runs(job, run):
    seen = []

    def look(state, reading):
        seen.append(json.loads((job().folder / ATTEMPTS).read_text()))

    run(job(), watch=look)
    assert seen[-1] == {"kimg": 0.0, "endings": [None]}


def test_the_time_without_progress_comes_from_the_experiment(tmp_path, photos):
    path = tmp_path / "demo.yaml"
    path.write_text(f"""\
data: {{source: {photos}, resolution: 32}}
generator: {{name: dcgan, width: 4}}
discriminator: {{name: dcgan, width: 4}}
resources: {{stall_minutes: 2.5}}
""")
    experiment = load_experiment(path, ())
    assert local.make_job(experiment, experiment.the_recipe(), None).stall_s == 150
