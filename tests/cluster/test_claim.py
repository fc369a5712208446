"""One name, one definition: in the store and in the sweep's folder, on this machine and on another one."""

import json
import runpy
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from ganray.cluster.claim import MANIFEST, STUDY, claim_folder, fetch_state, refuse_other_definition
from ganray.errors import RecipeError, StoreError
from ganray.recipe.experiment import load_experiment
from ganray.store.store import Store
from ganray.trial.folder import Runs

FILE = """
name: claimed
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: {int: [4, 64]}}
discriminator: {name: dcgan, width: 4}
evaluation: {protocols: [fd_lite0_200_train]}
"""
put_trial = runpy.run_path(str(Path(__file__).with_name("rows.py")))["put_trial"]


@pytest.fixture
def load(tmp_path):
    def load(*overrides):
        path = tmp_path / "claimed.yaml"
        path.write_text(FILE)
        return load_experiment(path, overrides)

    return load


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(params=["folder", "memory"])
def runs(request, tmp_path):
    return Runs.at(tmp_path / "runs" if request.param == "folder" else f"memory://{secrets.token_hex(4)}/runs")


def claim(experiment, runs, store, resume=False, fresh=False):
    return claim_folder(experiment, runs, store, resume=resume, fresh=fresh)


def put(store, experiment, seed=0, hash_of=None, **columns):
    definition = (hash_of or experiment).definition_hash
    put_trial(store, experiment.sample(seed), experiment.name, 9.0, definition_hash=definition, **columns)


def test_another_definition_of_the_name_is_refused_with_when_and_how_many(load, store):
    other = load("seed=1")
    put(store, other, 0, number=2)
    put(store, other, 1, number=50)
    with pytest.raises(RecipeError) as caught:
        refuse_other_definition(load(), store)
    said = str(caught.value)
    assert "holds 2 trial(s) of an experiment named claimed with another space or metric" in said
    assert "begun 2026-11-01 02:00, last written 2026-11-03 02:00 UTC" in said
    assert "undo the change, or run it under another name with --set name=OTHER" in said
    assert "claimed.yaml" in said


def test_the_same_definition_other_names_and_rows_without_one_are_not_refused(load, store):
    put(store, load())
    put(store, load("name=else", "seed=1"))
    put_trial(store, load("seed=3").sample(), "claimed", 9.0)  # of version 1, or of `ganray train`
    refuse_other_definition(load("runtime.device=cpu", "resources.slots=1", "search.trials=3"), store)


def test_begun_then_resumed_and_nothing_said(load, runs, store):
    experiment = load()
    first = claim(experiment, runs, store)
    assert (first.folder, first.from_store) == (runs.folder / "claimed", False)
    assert not first.is_resumed
    assert claim(load("runtime.device=cpu"), runs, store, resume=True) == replace(first, is_resumed=True)
    assert claim(load("runtime.device=cpu"), runs, store, resume=None).is_resumed
    with pytest.raises(RecipeError, match=r"holds a sweep of this name; --resume continues it, --fresh forgets"):
        claim(experiment, runs, store)


def test_a_changed_file_is_refused_where_the_store_knows_nothing_yet(load, runs, store):
    claim(load(), runs, store)
    with pytest.raises(RecipeError, match=r"has changed since the sweep in .* began.*--set name=OTHER"):
        claim(load("seed=1"), runs, store, resume=True)


def test_a_manifest_of_an_older_version_with_its_runtime_is_understood(load, tmp_path, store):
    experiment = load("runtime={device: cpu}")
    folder = tmp_path / "runs" / "claimed"
    folder.mkdir(parents=True)
    folder.joinpath(MANIFEST).write_text(json.dumps({"space": experiment.space, "metric": experiment.metric}))
    assert claim(load(), Runs.at(tmp_path / "runs"), store, resume=True).folder == folder


def test_nothing_to_resume(load, runs, store):
    with pytest.raises(RecipeError, match=r"holds no sweep to resume, nor does .*; leave --resume out"):
        claim(load(), runs, store, resume=True)
    assert not (runs.folder / "claimed" / MANIFEST).exists()


def test_a_sweep_that_another_machine_ran_is_named_and_can_be_gone_on_with(load, runs, store):
    experiment = load()
    put(store, experiment, 0)
    put(store, experiment, 1, status="running")
    with pytest.raises(RecipeError, match=r"holds 2 trial\(s\) of this sweep, which ran on another machine.*--resume"):
        claim(experiment, runs, store)
    assert not (runs.folder / "claimed" / MANIFEST).exists()
    assert claim(experiment, runs, store, resume=True).from_store
    assert not claim(experiment, runs, store, resume=True).from_store  # its study is here now


def test_beginning_afresh_forgets_the_folder_here_and_there(load, runs, store):
    experiment = load()
    put(store, experiment)
    first = claim(experiment, runs, store, resume=True)
    (first.folder / STUDY).write_text("a study\n")
    again = claim(experiment, runs, store, fresh=True)
    assert not again.from_store
    assert [path.name for path in again.folder.iterdir()] == [MANIFEST]
    if runs.is_remote:
        assert not runs.exists(f"claimed/{STUDY}")


def test_manifest_and_study_come_from_the_uri(load, store, monkeypatch, tmp_path):
    runs = Runs.at(f"memory://{secrets.token_hex(4)}/runs")
    folder = claim(load(), runs, store).folder
    (folder / STUDY).write_text("one\ntwo\n")
    runs.send(f"claimed/{STUDY}")
    monkeypatch.setenv("GANRAY_CACHE_DIR", str(tmp_path / "another machine"))
    there = claim(load(), runs, store, resume=True)
    assert there.folder != folder
    assert there.study.read_text() == "one\ntwo\n"
    there.study.write_text("one\ntwo\nthree\n")  # longer than the URI's: newer
    fetch_state("claimed", runs)
    assert there.study.read_text() == "one\ntwo\nthree\n"
    there.study.write_text("one\n")
    fetch_state("claimed", runs)
    assert there.study.read_text() == "one\ntwo\n"
    with pytest.raises(RecipeError, match="holds a sweep of this name"):
        claim(load(), runs, store)
    with pytest.raises(RecipeError, match="has changed since"):
        claim(load("seed=1"), runs, store, resume=True)


def test_a_uri_that_cannot_be_written_leaves_no_sweep_behind(load, store, monkeypatch):
    runs = Runs.at(f"memory://{secrets.token_hex(4)}/runs")

    def refuse(*_, **__):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(runs._open()[0]), "put_file", refuse)
    with pytest.raises(StoreError, match=rf"cannot write {runs.uri}/claimed/{MANIFEST}: PermissionError: Access"):
        claim(load(), runs, store)
    monkeypatch.undo()
    claim(load(), runs, store)
