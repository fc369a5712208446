"""No path of the user's machine gets into a job."""

import pytest

from ganray.cluster.jobs_places import extras_of, find_places
from ganray.errors import RecipeError
from ganray.recipe.experiment import load_experiment

FILE = """
name: there
data: {source: /shared/cats, resolution: 32}
generator: {name: dcgan, width: 4}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan}]}}
evaluation: {protocols: [fd_lite0_200_train]}
runs: s3://bucket/runs
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANRAY_STORE", raising=False)
    (tmp_path / "there.yaml").write_text(FILE)
    return lambda *overrides: load_experiment("there.yaml", overrides)


def test_what_every_node_reaches_is_taken_as_it_is(load):
    places = find_places(load(), "/shared/w.pth", head_is_here=False)
    assert (places.runs, places.store) == ("s3://bucket/runs", "s3://bucket/runs/store")
    assert (places.sources, places.files, places.weights) == (("/shared/cats",), (), "/shared/w.pth")
    assert places.folders == ()
    assert places.overrides == ('runs="s3://bucket/runs"', 'store="s3://bucket/runs/store"')


def test_the_store_that_the_users_own_environment_names_is_the_jobs(load, monkeypatch):
    monkeypatch.setenv("GANRAY_STORE", "/nfs/store")
    places = find_places(load("runs=/nfs/runs"), None, head_is_here=False)
    assert places.folders == ("/nfs/runs", "/nfs/store")
    assert find_places(load("store=s3://b/s"), None, head_is_here=False).store == "s3://b/s"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("runs=runs", r"--set runs: runs: 'runs' is a folder of whichever machine.*--set runs=s3://BUCKET/runs"),
        ("runs=file://runs", "runs: 'file://runs' is a folder of whichever machine"),
        ("store=~/store", "store: '~/store' is a folder of whichever machine"),
        ("data.source=cats/", "data.source: 'cats/' is a path of this machine, and data is not sent with a job"),
        ("data.source={choice: [/a, b.zip]}", r"data.source.choice\[1\]: 'b.zip' is a path of this machine"),
        ("data.source=s3://bucket/cats", "images are read from a folder or a zip; mount the bucket"),
        ("initial={checkpoint: best.pt}", "initial.checkpoint: 'best.pt' is a path of this machine"),
    ],
)
def test_a_path_of_this_machine_is_refused_with_the_fix(load, override, says):
    with pytest.raises(RecipeError, match=says):
        find_places(load(override), None, head_is_here=False)


def test_weights_of_this_machine_are_refused(load):
    with pytest.raises(RecipeError, match=r"--fid-weights w\.pth: this is a path of this machine"):
        find_places(load(), "w.pth", head_is_here=False)


def test_where_the_head_is_this_machine_relative_paths_are_those_of_the_working_directory(load, tmp_path):
    experiment = load("runs=runs", "data.source=cats", "initial={checkpoint: best.pt}")
    places = find_places(experiment, "w.pth", head_is_here=True)
    assert (places.runs, places.store) == (f"{tmp_path}/runs", f"{tmp_path}/runs/store")
    assert (places.sources, places.files) == ((f"{tmp_path}/cats",), (f"{tmp_path}/best.pt",))
    assert places.weights == f"{tmp_path}/w.pth"
    there = load(*("runs=runs", "data.source=cats", "initial={checkpoint: best.pt}"), *places.overrides)
    assert there.sample().data.source == f"{tmp_path}/cats"
    assert there.sample().initial.checkpoint == f"{tmp_path}/best.pt"
    assert there.settings.runs == f"{tmp_path}/runs"


def test_names_of_sets_and_checkpoints_on_s3_are_left_to_the_nodes(load):
    experiment = load(
        "data.source={choice: ['sample:hubble', 'catalog:obama:50']}", "initial={checkpoint: s3://b/c.pt}"
    )
    places = find_places(experiment, None, head_is_here=False)
    assert places.sources == ("sample:hubble", "catalog:obama:50")
    assert places.files == ()


def test_the_optional_dependencies_are_those_of_the_experiment(load):
    plain = load("evaluation.protocols=[fid_5k_train]")
    assert extras_of(plain, find_places(plain, None, head_is_here=False)) == ()
    both = load("data.source=sample:hubble")
    assert extras_of(both, find_places(both, None, head_is_here=False)) == ("samples", "lite0")
