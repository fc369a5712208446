"""What can be known to fail is said before Ray is started, in one paragraph, and nothing is lost."""

import runpy
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from ganray.cluster import sweep
from ganray.cluster.sweep import SweepOptions, run_sweep
from ganray.errors import GanrayError
from ganray.recipe.experiment import load_experiment
from ganray.store.store import Store

put_trial = runpy.run_path(str(Path(__file__).with_name("rows.py")))["put_trial"]
FILE = """
name: early
data: {{source: {source}, resolution: 32}}
generator: {{name: dcgan, width: 4}}
discriminator: {{name: dcgan, width: 4}}
objective: {{loss: {{choice: [{{name: hinge}}, {{name: lsgan}}]}}}}
evaluation: {{protocols: [{protocol}]}}
runs: {runs}
"""


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("Ray was started although the sweep could not work")

    monkeypatch.setattr(sweep, "start_ray", refuse)


@pytest.fixture
def failure(tmp_path):
    def run(source="sample:hubble", protocol="fd_lite0_200_train", runs=None, options=None, extra=""):
        file = tmp_path / "early.yaml"
        file.write_text(FILE.format(source=source, protocol=protocol, runs=runs or tmp_path / "runs") + extra)
        with pytest.raises(GanrayError) as error:
            run_sweep(load_experiment(file), options or SweepOptions(), Console(quiet=True))
        return str(error.value)

    return run


def test_corrupt_images_are_all_named(failure, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for i in range(12):
        Image.new("RGB", (32, 32), (i * 20, 0, 0)).save(images / f"{i}.png")
    for name in ("broken.png", "torn.jpg"):
        (images / name).write_bytes(b"not an image")
    said = failure(source=images)
    assert "broken.png" in said
    assert "torn.jpg" in said
    assert "on_corrupt: skip" in said


def test_an_empty_folder(failure, tmp_path):
    (tmp_path / "images").mkdir()
    assert str(tmp_path / "images") in failure(source=tmp_path / "images")


def test_missing_weights_say_where_to_get_them_and_what_works_without(failure, tmp_path, monkeypatch):
    options = SweepOptions(fid_weights=tmp_path / "none.pth")
    said = failure(protocol="fid_5k_train", options=options)
    assert "none.pth" in said


def test_a_store_that_cannot_be_written(failure, tmp_path):
    (tmp_path / "runs").write_text("a file where a folder should be")
    assert str(tmp_path / "runs") in failure()


def test_nothing_to_resume(failure):
    assert "leave --resume out" in failure(options=SweepOptions(resume=True))


@pytest.mark.parametrize("options", [SweepOptions(), SweepOptions(fresh=True), SweepOptions(resume=True)])
def test_another_definition_of_the_name_in_the_store(failure, tmp_path, options):
    file = tmp_path / "other.yaml"
    file.write_text(FILE.format(source="sample:hubble", protocol="fd_lite0_200_train", runs=tmp_path / "elsewhere"))
    other = load_experiment(file, ["seed=7"])
    store = Store(tmp_path / "runs" / "store")
    put_trial(store, other.sample(), "early", 9.0, definition_hash=other.definition_hash)
    said = failure(options=options)
    assert "1 trial(s) of an experiment named early with another space or metric" in said
    assert "--set name=OTHER" in said
    assert not (tmp_path / "runs" / "early").exists()


def test_a_condition_of_the_warm_start_that_is_no_sql(failure, tmp_path):
    store = Store(tmp_path / "runs" / "store")
    file = tmp_path / "other.yaml"
    file.write_text(FILE.format(source="sample:hubble", protocol="fd_lite0_200_train", runs=tmp_path / "elsewhere"))
    put_trial(store, load_experiment(file).sample(), "old", 9.0)
    said = failure(extra="search: {warm_start: {experiment: old, where: besd < 3}}")
    assert "early.yaml:9: search.warm_start.where: Binder Error" in said
    assert not (tmp_path / "runs" / "early").exists()
