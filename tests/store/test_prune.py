"""By the rule and not otherwise: what stays, what goes, and that rows no longer name what is gone."""

from datetime import timedelta

import pytest

from ganray.store.prune import Rule, removable, remove
from ganray.store.schema import now
from ganray.store.store import Store
from ganray.store.verify import verify


@pytest.fixture
def checkpoint(tmp_path):
    def make(name, size=100):
        path = tmp_path / "runs" / "demo" / "trials" / name / "checkpoint.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        return str(path)

    return make


@pytest.fixture
def store(tmp_path, trial, evaluation, checkpoint):
    """Trials a to d, best first under one protocol; each is best at 8 of 4, 8 and 12 kimg; d still runs."""
    store = Store(tmp_path / "store")
    for n, name in enumerate("abcd"):
        status = "running" if name == "d" else "completed"
        store.put_trial(trial(name, status=status, checkpoint_uri=checkpoint(name)))
        for kimg, frechet in ((4.0, 30.0), (8.0, 10.0), (12.0, 20.0)):
            uri = store.put_artifact("demo", name, f"grid-{kimg:.0f}.png", b"picture")
            store.put_evaluation(evaluation(name, kimg=kimg, frechet=frechet + n, grid_uri=uri))
    return store


def going(store, rule, kind=None):
    names = (item.uri.replace(store.uri, "").rsplit("/", 2)[-2:] for item in removable(store, rule))
    return sorted("/".join(name) for name in names if kind is None or name[-1].endswith(kind))


def test_the_best_trials_keep_their_checkpoints_and_running_ones_everything(store):
    assert going(store, Rule(keep_checkpoints=1), ".pt") == ["b/checkpoint.pt", "c/checkpoint.pt"]
    assert going(store, Rule(keep_checkpoints=2), ".pt") == ["c/checkpoint.pt"]
    assert going(store, Rule(keep_checkpoints=0), ".pt") == ["a/checkpoint.pt", "b/checkpoint.pt", "c/checkpoint.pt"]
    assert going(store, Rule(keep_checkpoints=None), ".pt") == []


def test_each_protocol_has_its_best(store, evaluation):
    store.put_evaluation(evaluation("c", kimg=8.0, frechet=1.0, protocol="fid_5k_train"))
    assert going(store, Rule(keep_checkpoints=1), ".pt") == ["b/checkpoint.pt"]


def test_a_value_that_is_not_finite_is_not_the_best(store, trial, evaluation, checkpoint):
    store.put_trial(trial("e", status="completed", checkpoint_uri=checkpoint("e")))
    store.put_evaluation(evaluation("e", frechet=float("nan")))
    assert going(store, Rule(keep_checkpoints=1), ".pt") == ["b/checkpoint.pt", "c/checkpoint.pt", "e/checkpoint.pt"]


def test_pictures_of_the_best_and_the_final_evaluation_stay(store):
    assert going(store, Rule(keep_checkpoints=None)) == ["a/grid-4.png", "b/grid-4.png", "c/grid-4.png"]
    assert going(store, Rule(keep_checkpoints=None, keep_pictures=True)) == []


def test_nothing_of_a_trial_that_changed_of_late_goes(store, trial, checkpoint):
    store.put_trial(trial("c", status="completed", checkpoint_uri=checkpoint("c"), updated_at=now()))
    rule = Rule(keep_checkpoints=0, older_than_s=3600)
    assert going(store, rule) == ["a/checkpoint.pt", "a/grid-4.png", "b/checkpoint.pt", "b/grid-4.png"]


def test_what_is_removed_is_gone_and_no_row_names_it(store, tmp_path):
    rule = Rule(keep_checkpoints=1)
    items = removable(store, rule)
    before = {table: getattr(store, table)().num_rows for table in ("trials", "evaluations")}
    assert remove(store, items) == 2 * 100 + 3 * len(b"picture")
    assert sorted(path.parent.name for path in (tmp_path / "runs").rglob("*.pt")) == ["a", "d"]
    assert removable(store, rule) == []
    assert verify(store).findings == ()
    assert {table: getattr(store, table)().num_rows for table in before} == before
    (row,) = store.trials(trial_id="b").to_pylist()
    assert (row["checkpoint_uri"], row["status"]) == (None, "completed")
    assert store.evaluations(trial_id="a")["grid_uri"].is_valid().to_pylist() == [False, True, True]


def test_a_clock_that_is_behind_that_of_the_trainer_forgets_all_the_same(store, trial, evaluation, checkpoint):
    ahead = now() + timedelta(hours=2)
    uri = store.put_artifact("demo", "e", "grid.png", b"picture")
    path = checkpoint("e")
    store.put_trial(trial("e", status="completed", checkpoint_uri=path, updated_at=ahead))
    for kimg, frechet in ((4.0, 90.0), (8.0, 80.0), (12.0, 85.0)):
        picture = uri if kimg == 4.0 else None
        store.put_evaluation(evaluation("e", kimg=kimg, frechet=frechet, grid_uri=picture, created_at=ahead))
    remove(store, removable(store, Rule(keep_checkpoints=1)))
    assert store.trials(trial_id="e")["checkpoint_uri"].to_pylist() == [None]
    assert store.evaluations(trial_id="e")["grid_uri"].to_pylist() == [None] * 3


def test_a_file_that_is_not_in_the_trials_own_folder_never_goes(store, trial, tmp_path):
    """A store that was merged may have been written by anybody."""
    precious = tmp_path / "precious.pt"
    precious.write_bytes(b"mine")
    for name, path in (("e", precious), ("f", tmp_path / "runs" / "f" / ".." / ".." / "precious.pt")):
        store.put_trial(trial(name, status="completed", checkpoint_uri=str(path)))
    assert going(store, Rule(keep_checkpoints=1), ".pt") == ["b/checkpoint.pt", "c/checkpoint.pt"]


def test_pictures_of_a_store_that_was_moved_are_removed_where_they_are_now(store, tmp_path):
    (tmp_path / "store").rename(tmp_path / "moved")
    moved = Store(tmp_path / "moved")
    items = removable(moved, Rule(keep_checkpoints=None))
    assert all(item.uri.startswith(moved.uri) for item in items)
    assert len(items) == 3
    remove(moved, items)
    assert verify(moved).findings == ()
