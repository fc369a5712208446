"""Another store's rows and pictures come in once, however often it is merged."""

import pytest

from ganray.errors import StoreError
from ganray.store.compact import compact
from ganray.store.merge import merge
from ganray.store.store import Store


@pytest.fixture
def stores(tmp_path, trial, evaluation, curve, at):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    here.put_trial(trial("a", status="completed", definition_hash="d1", updated_at=at(5)))
    there.put_trial(trial("a", status="running", definition_hash="d1", updated_at=at(1)))
    there.put_trial(trial("b", definition_hash="d1"))
    there.put_trial(trial("c", "other"))
    uri = there.put_artifact("demo", "b", "grid.png", b"picture")
    there.put_evaluation(evaluation("b", grid_uri=uri))
    there.put_curves([curve("b"), curve("b", kimg=2.0)])
    return here, there


def test_the_newer_row_counts_and_pictures_come_along(stores):
    here, there = stores
    done = {merged.experiment: merged for merged in merge(here, there)}
    assert done["demo"].rows == {"trials": 2, "evaluations": 1, "curves": 2}
    assert (done["demo"].artifacts, done["other"].artifacts) == (1, 0)
    assert dict(zip(*here.trials("demo", columns=["trial_id", "status"]).to_pydict().values())) == {
        "a": "completed",
        "b": "running",
    }
    assert here.experiments() == ["demo", "other"]
    (row,) = here.evaluations().to_pylist()
    there.files.remove("artifacts/experiment=demo/b/grid.png")
    assert here.read_artifact(row["grid_uri"]) == b"picture"


def test_merging_again_changes_nothing(stores):
    here, there = stores
    list(merge(here, there))
    before = here.files.walk()
    assert [merged.artifacts for merged in merge(here, there)] == [0, 0]
    assert [file.path for file in here.files.walk()] == [file.path for file in before]
    list(compact(here))
    rows = here.trials().to_pylist()
    list(merge(here, there))
    assert here.trials().to_pylist() == rows
    assert here.evaluations(trial_id="b").num_rows == 1


def test_of_two_pictures_the_newer_one_stays(stores):
    here, there = stores
    list(merge(here, there))
    path = "artifacts/experiment=demo/b/grid.png"
    here.files.write(path, b"drawn again, here")
    list(merge(here, there))
    assert here.files.read(f"{here.uri}/{path}") == b"drawn again, here"
    there.files.write(path, b"drawn again, there")
    list(merge(here, there))
    assert here.files.read(f"{here.uri}/{path}") == b"drawn again, there"


def test_one_experiment_alone_can_be_merged_and_an_unknown_one_is_named(stores):
    here, there = stores
    list(merge(here, there, ["other"]))
    assert here.trials("other").num_rows == 1
    assert here.evaluations().num_rows == 0
    with pytest.raises(StoreError, match="holds no experiment nothing; it holds demo, other"):
        list(merge(here, there, ["nothing"]))


def test_one_name_with_two_definitions_is_refused_before_anything_is_copied(stores, trial):
    here, there = stores
    there.put_trial(trial("d", definition_hash="d2"))
    before = here.files.walk()
    with pytest.raises(StoreError, match=r"'demo' is not the same in .* d1 here and d1, d2 there"):
        list(merge(here, there))
    assert here.files.walk() == before


def test_what_is_no_store_is_named(stores, tmp_path):
    with pytest.raises(StoreError, match="there is no store at"):
        list(merge(stores[0], Store(tmp_path / "nothing")))
