"""A trial whose runs are a URI: gone on with anywhere, exactly; an outage stops nothing and loses nothing."""

import dataclasses
import shutil

import pytest
import torch

from ganray.errors import RecipeError, StoreError
from ganray.store.store import Store
from ganray.training.checkpoint import read_checkpoint
from ganray.training.distributed import World
from ganray.trial.attempts import MAX_ATTEMPTS
from ganray.trial.folder import Runs
from ganray.trial.local import prepare_folder
from ganray.trial.mirror import PREVIOUS, UNSENT, Mirror, send_waiting, share_checkpoint, steps_of
from ganray.trial.run import start_afresh


@pytest.fixture
def remote(job, s3_bucket):
    """A job whose runs lie on S3, as are those of `job`'s other arguments."""

    def make(**sections):
        return job(runs=f"s3://{s3_bucket}/runs", **sections)

    return make


@pytest.fixture
def straight(job, run, tmp_path):
    """The same recipe in a folder, without a break."""
    whole = job(runs=tmp_path / "straight", store=tmp_path / "straight-store")
    run(whole)
    return read_checkpoint(whole.files.checkpoint)


@pytest.fixture
def outage(monkeypatch):
    """Switches the URI off and on again; counts what was tried in vain."""

    class Outage:
        is_on, tried = False, 0

        def guard(self, original):
            def call(runs, *arguments, **options):
                if self.is_on:
                    self.tried += 1
                    raise StoreError("cannot reach the URI")
                return original(runs, *arguments, **options)

            return call

    switch = Outage()
    for name in ("send", "copy", "fetch", "exists", "remove"):
        monkeypatch.setattr(Runs, name, switch.guard(getattr(Runs, name)))
    return switch


def there(job, tmp_path):
    """The checkpoint at the URI."""
    copy = tmp_path / "copy of the URI" / "checkpoint.pt"
    assert job.files.runs.fetch(f"{job.files.relative}/checkpoint.pt", copy)
    return read_checkpoint(copy)


def assert_same(found, expected):
    for name in ("generator", "discriminator", "ema"):
        assert all(torch.equal(found[name][key], expected[name][key]) for key in expected[name])
    assert found["step"] == expected["step"]
    assert found["last_metrics"] == expected["last_metrics"]
    assert all(torch.equal(a["torch"], b["torch"]) for a, b in zip(found["rngs"], expected["rngs"]))


def paused_after(steps, run, job):
    seen = []
    return run(job, watch=lambda state, _: seen.append(state.step), pause=lambda: len(seen) == steps)[0]


def test_gone_on_with_from_the_uri_alone_to_the_last_bit(remote, run, rows, straight, tmp_path):
    job = remote()
    assert paused_after(13, run, job).kimg == 0.052
    shutil.rmtree(job.files.runs.folder)  # another machine
    outcome, _ = run(job)
    assert outcome.status == "completed"
    assert_same(read_checkpoint(job.files.checkpoint), straight)
    assert_same(there(job, tmp_path), straight)
    found = rows(job)
    uri = f"{job.runs}/demo/trials/{job.trial_id}/checkpoint.pt"
    assert {row["checkpoint_uri"] for row in found["trials"] + found["evaluations"]} == {uri}
    assert [row["kimg"] for row in found["curves"]] == [4 * step / 1000 for step in range(1, 21)]


def test_a_finished_trial_is_finished_on_any_machine(remote, run, rows):
    job = remote()
    run(job)
    before = rows(job)
    shutil.rmtree(job.files.runs.folder)
    outcome, reports = run(job)
    assert (outcome.status, [report.done for report in reports]) == ("completed", [True])
    assert rows(job) == before


def test_the_further_checkpoint_wins_wherever_it_is(remote, run, outage, tmp_path):
    job = remote()
    paused_after(6, run, job)
    older = job.files.checkpoint.read_bytes()
    paused_after(6, run, job)
    assert (steps_of(job.files.checkpoint), there(job, tmp_path)["step"]) == (12, 12)
    job.files.checkpoint.write_bytes(older)  # the URI is ahead
    Mirror(job.files).pull()
    assert steps_of(job.files.checkpoint) == 12
    job.files.runs.remove(job.files.relative)
    Mirror(job.files).pull()  # there is none at the URI: what is here is sent
    assert there(job, tmp_path)["step"] == 12
    outage.is_on = True
    paused_after(3, run, job)
    outage.is_on = False
    assert there(job, tmp_path)["step"] == 12  # the copy here is ahead
    Mirror(job.files).pull()
    assert (steps_of(job.files.checkpoint), there(job, tmp_path)["step"]) == (15, 15)


def test_a_torn_file_here_or_there_never_wins(remote, run, tmp_path):
    job = remote()
    paused_after(6, run, job)
    whole = job.files.checkpoint.read_bytes()
    job.files.checkpoint.write_bytes(whole[: len(whole) // 2])
    Mirror(job.files).pull()
    assert job.files.checkpoint.read_bytes() == whole
    job.files.checkpoint.write_bytes(whole[: len(whole) // 2])
    job.files.runs.send(f"{job.files.relative}/checkpoint.pt")
    job.files.checkpoint.write_bytes(whole)
    Mirror(job.files).pull()
    assert job.files.checkpoint.read_bytes() == whole
    assert there(job, tmp_path)["step"] == 6


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("both", [False, True], ids=["newest", "both"])
def test_the_uri_keeps_the_checkpoint_before_the_newest_for_when_that_is_damaged(
    remote, run, rows, straight, tmp_path, caplog, both
):
    job = remote(evaluation={"protocols": ["fd_tiny"], "every_kimg": 0.02})
    run(job, tell=lambda report: report.kimg < 0.05)
    copy = tmp_path / "previous.pt"
    assert job.files.runs.fetch(f"{job.files.relative}/{PREVIOUS}", copy)
    assert (steps_of(copy), there(job, tmp_path)["step"]) == (10, 15)
    shutil.move(job.folder, tmp_path / "of this machine")  # from here on it is another one
    for name in ("checkpoint.pt", PREVIOUS) if both else ("checkpoint.pt",):
        path = job.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(flipped((tmp_path / "of this machine" / name).read_bytes()))
        job.files.runs.send(f"{job.files.relative}/{name}")
        path.unlink()
    outcome, reports = run(job)
    assert outcome.status == "completed"
    assert [report.kimg for report in reports] == ([0.02, 0.04, 0.06, 0.08] if both else [0.06, 0.08])
    assert f"{job.files.checkpoint_uri} is damaged; it is kept as" in caplog.text
    for saved in (there(job, tmp_path), read_checkpoint(job.files.checkpoint)):
        assert_same(saved, straight)
    assert [row["kimg"] for row in rows(job)["evaluations"]] == [0.02, 0.04, 0.06, 0.08]
    assert not job.files.runs.exists(f"{job.files.relative}/{PREVIOUS}")  # a trial that has ended needs one


def test_the_attempts_are_counted_over_machines(remote, run):
    job = remote()

    def die(state, reading):
        raise KeyboardInterrupt

    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            run(job, watch=die)
        shutil.rmtree(job.files.runs.folder)  # another machine each time
    outcome, _ = run(job)
    assert outcome.status == "failed"
    assert outcome.diagnosis.startswith("worker-died: ")
    shutil.rmtree(job.files.runs.folder)
    prepare_folder(job, resume=False, fresh=False)
    assert run(job)[0].status == "completed"
    assert not job.files.runs.exists(f"{job.files.relative}/attempts.json")


def test_a_copy_at_a_uri_that_is_no_object_store_is_there_whole(tmp_path, private_cache):
    runs = Runs.at(f"memory://{tmp_path.name}")
    for content in (b"one", b"two"):
        source = runs.folder / "a" / "b.pt"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
        runs.send("a/b.pt")
        runs.copy("a/b.pt", "a/c.pt")
        assert runs.fetch("a/c.pt", tmp_path / "c.pt")
        assert (tmp_path / "c.pt").read_bytes() == content
    runs.remove("a/c.pt")
    assert not runs.exists("a/c.pt")
    assert runs.exists("a/b.pt")


def test_an_outage_stops_no_training_and_the_next_checkpoint_makes_it_good(
    remote, run, rows, outage, straight, tmp_path
):
    job = remote()

    def on_at_the_first_evaluation(report):
        outage.is_on = report.kimg < 0.05
        return True

    paused_after(3, run, job)
    outage.is_on = True
    outcome, _ = run(job, tell=on_at_the_first_evaluation)
    assert outage.tried >= 2
    assert outcome.status == "completed"
    assert there(job, tmp_path)["step"] == 3
    assert (job.folder / UNSENT).exists()
    outage.is_on = False
    run(remote(seed=5))  # another trial on this machine brings it along
    assert_same(there(job, tmp_path), straight)
    assert not (job.folder / UNSENT).exists()
    assert len(rows(job)["evaluations"]) == 4


def test_what_waits_is_sent_at_the_end_and_counted_where_it_cannot_be(remote, run, outage, tmp_path):
    job = remote()
    paused_after(3, run, job)
    outage.is_on = True
    paused_after(3, run, job)
    assert send_waiting(job.files.runs, 0.0) == 1
    outage.is_on = False
    assert send_waiting(job.files.runs, 0.0) == 0
    assert there(job, tmp_path)["step"] == 6
    assert send_waiting(job.files.runs, 0.0) == 0


def test_a_checkpoint_that_another_machine_has_sent_meanwhile_is_not_overwritten_by_an_older_one(
    remote, run, outage, tmp_path
):
    job = remote()
    paused_after(3, run, job)
    outage.is_on = True
    paused_after(3, run, job)
    outage.is_on = False
    older = job.files.checkpoint.read_bytes()
    paused_after(3, run, job)
    job.files.checkpoint.write_bytes(older)
    (job.folder / UNSENT).touch()
    assert send_waiting(job.files.runs, 0.0) == 0
    assert there(job, tmp_path)["step"] == 9


def test_the_text_of_an_error_is_at_the_uri_too(remote, run, tmp_path):
    job = remote(data={"source": str(tmp_path / "absent"), "resolution": 32})
    outcome, _ = run(job)
    assert outcome.status == "failed"
    assert job.files.runs.fetch(f"{job.files.relative}/error.txt", tmp_path / "error.txt")
    assert "DataError" in (tmp_path / "error.txt").read_text()


def test_beginning_resuming_and_beginning_afresh_look_at_the_uri(remote, run, tmp_path):
    job = remote()
    with pytest.raises(RecipeError, match=f"no checkpoint of this recipe at {job.files.checkpoint_uri}"):
        prepare_folder(job, resume=True, fresh=False)
    prepare_folder(job, resume=False, fresh=False)
    paused_after(3, run, job)
    shutil.rmtree(job.files.runs.folder)
    prepare_folder(job, resume=True, fresh=False)
    with pytest.raises(RecipeError, match=f"{job.files.checkpoint_uri} holds an earlier training"):
        prepare_folder(job, resume=False, fresh=False)
    start_afresh(job)
    assert not job.files.runs.exists(f"{job.files.relative}/checkpoint.pt")
    outcome, reports = run(job)
    assert (outcome.status, len(reports)) == ("completed", 2)


def test_no_secret_is_told(remote, run, rows, caplog, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHUSH")
    job = remote()
    run(job)
    told = caplog.text + str(rows(job)) + "".join(p.read_text("latin1") for p in job.folder.rglob("*") if p.is_file())
    assert "hush-hush" not in told
    assert "AKIAHUSH" not in told


class Two(World):
    """Two workers, one after the other, on two machines: rank 0 has spoken already."""

    def __init__(self, rank, steps, content):
        super().__init__(rank, 2)
        object.__setattr__(self, "told", (steps, content))

    def gather(self, value):
        return [self.told[0], value] if self.rank else [value, self.told[0]]

    def broadcast(self, value):
        return self.told[1] if self.rank else value


def test_workers_on_other_machines_get_the_main_workers_checkpoint(remote, run, monkeypatch, tmp_path):
    job = remote()
    paused_after(6, run, job)
    content = job.files.checkpoint.read_bytes()
    monkeypatch.setenv("GANRAY_CACHE_DIR", str(tmp_path / "another machine"))
    assert not job.files.checkpoint.exists()
    share_checkpoint(job.files, Two(1, 6, content))
    assert job.files.checkpoint.read_bytes() == content
    share_checkpoint(job.files, Two(1, None, None))  # the main worker begins afresh
    assert not job.files.checkpoint.exists()


def test_rows_of_a_sweep_carry_its_definition_and_others_do_not(job, run, rows):
    run(job())
    assert [row["definition_hash"] for row in rows(job())["trials"]] == [None]
    of_sweep = dataclasses.replace(job(seed=2), definition_hash="d" * 64)
    run(of_sweep)
    found = {row["trial_id"]: row["definition_hash"] for row in Store(of_sweep.store).trials().to_pylist()}
    assert found == {job().trial_id: None, of_sweep.trial_id: "d" * 64}
