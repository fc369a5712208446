"""Planted secrets: what a server or a library quotes of them is in no row, report, log or file of a trial."""

import logging
import secrets

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from ganray.errors import StoreError
from ganray.report.site.build import build_report
from ganray.store.store import Store
from tests.trial.conftest import job, photos, rows, run, tiny

__all__ = ["job", "photos", "rows", "run", "tiny"]

KEY = "PlantedSecretKey/abc+def123"
TOKEN = "PlantedSessionToken0123456789"
QUOTES = f"SignatureDoesNotMatch: <AWSSecretAccessKey>{KEY}</AWSSecretAccessKey>, token {TOKEN}, https://u:{KEY}@host/x"


@pytest.fixture
def planted(monkeypatch):
    """The secrets in the environment of this process, as a user has them."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("WANDB_API_KEY", "PlantedWandb0123456789")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "PlantedRay0123456789")


class Talkative(MemoryFileSystem):
    """A backend whose errors quote the request with its credentials."""

    protocol = "talkative"
    cachable = False

    def _refuse(self, *args, **kwargs):
        raise PermissionError(QUOTES)

    pipe_file = cat_file = ls = find = put_file = get_file = rm_file = info = exists = ukey = _refuse


@pytest.fixture(autouse=True)
def talkative():
    fsspec.register_implementation("talkative", Talkative, clobber=True)


def all_bytes(folder):
    """The content of every file below a folder."""
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("ask", [Store.check_writable, Store.trials, Store.experiments])
def test_an_error_of_a_remote_store(planted, ask):
    with pytest.raises(StoreError) as refused:
        ask(Store("talkative://bucket/store"))
    assert "Planted" not in str(refused.value)
    assert "***" in str(refused.value)
    assert "check the credentials" in str(refused.value)


def test_a_failing_trial_tells_nobody(planted, job, run, rows, tmp_path, caplog):
    def fail(state, reading):
        try:
            raise ConnectionError(QUOTES)
        except ConnectionError as error:
            raise RuntimeError(f"cannot reach the server with {KEY}") from error

    caplog.set_level(logging.DEBUG)
    outcome, _ = run(job(), watch=fail)
    assert outcome.status == "failed"
    assert outcome.diagnosis == "RuntimeError: cannot reach the server with ***"
    found = rows(job())
    assert [row["diagnosis"] for row in found["trials"]] == [outcome.diagnosis]
    assert "Planted" not in str(found)

    text = (job().folder / "error.txt").read_text()
    assert "SignatureDoesNotMatch" in text  # the chain of causes is there
    assert "Planted" not in text
    build_report(Store(tmp_path / "store"), ["demo"], tmp_path / "report")
    assert b"cannot reach the server" in all_bytes(tmp_path / "report")
    assert b"Planted" not in all_bytes(tmp_path)
    assert "Planted" not in caplog.text


def test_a_trial_that_goes_well_records_nothing_of_the_environment(planted, monkeypatch, job, run, rows, tmp_path):
    canary = f"canary-{secrets.token_hex(8)}"
    monkeypatch.setenv("HARMLESS_LOOKING", canary)
    outcome, _ = run(job())
    assert outcome.status == "completed"
    found = str(rows(job()))
    assert "Planted" not in found
    assert canary not in found
    assert canary.encode() not in all_bytes(tmp_path)
    assert b"Planted" not in all_bytes(tmp_path)


def test_a_runs_folder_behind_a_talkative_backend(planted, job, run):
    """The checkpoint's upload fails, and its error is what the user reads."""
    from ganray.trial.folder import Runs

    runs = Runs.at("talkative://bucket/runs")
    (runs.folder).mkdir(parents=True, exist_ok=True)
    (runs.folder / "x").write_text("x")
    for act in (lambda: runs.send("x"), lambda: runs.exists("x"), lambda: runs.remove("x")):
        with pytest.raises(StoreError) as refused:
            act()
        assert "Planted" not in str(refused.value)
