"""`ganray store` as a user types it."""

import fsspec
import pyarrow.parquet as pq
import pytest

from ganray.store.schema import CurveRow, EvaluationRow, TrialRow, now
from ganray.store.store import Store

TRIAL = {
    "recipe_json": "{}",
    "recipe_hash": "h",
    "dataset": "sample:hubble",
    "dataset_fingerprint": "f",
    "n_images": 100,
    "resolution": 64,
    "generator": "dcgan",
    "discriminator": "dcgan",
    "loss": "hinge",
    "budget_kimg": 1.0,
    "batch_size": 8,
    "status": "completed",
}
SCORE = {"protocol": "p", "extractor": "e", "extractor_checksum": "c", "n_fake": 10, "n_real": 10}


@pytest.fixture
def store(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    store.put_trial(TrialRow(trial_id="a", experiment="demo", checkpoint_uri=None, **TRIAL))
    for kimg in (1.0, 2.0, 3.0):
        uri = store.put_artifact("demo", "a", f"g{kimg:.0f}.png", b"12345")
        store.put_evaluation(
            EvaluationRow(trial_id="a", experiment="demo", kimg=kimg, frechet=kimg, grid_uri=uri, **SCORE)
        )
    store.put_curves([CurveRow(trial_id="a", experiment="demo", kimg=1.0)])
    monkeypatch.setenv("GANRAY_STORE", store.uri)
    monkeypatch.setenv("GANRAY_SPOOL_DIR", str(tmp_path / "spool"))
    return store


def test_stats(store, ganray):
    code, out, _ = ganray("store", "stats")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["demo", "evaluations", "3", "0", "3"] in [row[:5] for row in rows]
    assert ["demo", "artifacts", "3", "–", "–", "15", "B"] in rows


def test_verify_exits_1_where_something_is_wrong_and_0_after_the_quarantine(store, ganray):
    assert ganray("store", "verify")[:2] == (0, f"5 files with 5 rows in {store.uri}\nnothing is wrong\n")
    torn = store.files.walk("evaluations")[0].path
    store.files.write(torn, b"PAR1")
    code, out, _ = ganray("store", "verify")
    assert code == 1
    assert f"{torn}: cannot be read" in out
    assert "--quarantine moves the torn files away" in out
    code, out, _ = ganray("store", "verify", "--quarantine")
    assert f"moved to {store.uri}/quarantine/{torn}" in out
    assert ganray("store", "verify")[0] == 0


def test_compact(store, ganray):
    code, out, _ = ganray("store", "compact")
    assert code == 0
    assert out.startswith("5 files -> 3, ")
    assert ganray("store", "compact")[1].startswith("nothing to compact")
    assert store.evaluations().num_rows == 3


def test_merge(store, ganray, tmp_path):
    code, out, _ = ganray("store", "merge", store.uri, "--store", tmp_path / "new")
    assert (code, out) == (0, "demo: 1 trials, 3 evaluations, 1 curves, 3 pictures\n")
    code, _, err = ganray("store", "merge", tmp_path / "nothing")
    assert code == 2
    assert err.startswith("ganray: there is no store at")


def test_export_chooses_by_the_suffix(store, ganray, tmp_path):
    assert ganray("store", "export", "-o", tmp_path / "r.parquet", "--view", "evaluations")[0] == 0
    assert pq.read_metadata(tmp_path / "r.parquet").num_rows == 3
    assert ganray("store", "export", "-o", tmp_path / "r.csv")[0] == 0
    assert (tmp_path / "r.csv").read_text().startswith("trial_id,experiment,")
    code, _, err = ganray("store", "export", "-o", tmp_path / "hub")
    assert code == 0
    assert "3 evaluations" in err
    assert (tmp_path / "hub" / "data" / "trials").is_dir()


def test_drain_brings_what_waits(store, ganray, monkeypatch):
    assert ganray("store", "drain")[1] == "nothing waits\n"
    memory = type(fsspec.filesystem("memory"))
    with monkeypatch.context() as patch:

        def refuse(*args, **kwargs):
            raise PermissionError("ExpiredToken")

        patch.setattr(memory, "pipe_file", refuse)
        Store("memory://drained").put_curves([CurveRow(trial_id="a", experiment="demo", kimg=1.0, created_at=now())])
        code, _, err = ganray("store", "drain")
        assert code == 2
        assert "ExpiredToken" in err
    assert ganray("store", "drain")[1] == "1 files brought to memory://drained\n"
    assert Store("memory://drained").curves().num_rows == 1
    code, _, err = ganray("store", "drain", store.uri)
    assert code == 2
    assert "nothing ever waits for it" in err


def test_prune_artifacts_lists_and_removes_only_with_apply(store, ganray):
    code, out, _ = ganray("store", "prune-artifacts")
    assert code == 0
    assert "1 files of 5 B would go; --apply removes them" in out
    assert len(store.files.walk("artifacts")) == 3
    assert "1 files removed, 5 B freed" in ganray("store", "prune-artifacts", "--apply")[1]
    assert [file.path[-6:] for file in store.files.walk("artifacts")] == ["g1.png", "g3.png"]
    assert "nothing to remove" in ganray("store", "prune-artifacts", "--apply")[1]


def test_drain_goes_on_to_the_next_store_where_one_does_not_answer(store, ganray, monkeypatch):
    memory = type(fsspec.filesystem("memory"))
    write = memory.pipe_file

    def refuse(names):
        def pipe_file(self, path, *args, **kwargs):
            if any(name in path for name in names):
                raise PermissionError("ExpiredToken")
            return write(self, path, *args, **kwargs)

        return pipe_file

    with monkeypatch.context() as patch:
        names = [f"drain-{n}" for n in range(3)]
        patch.setattr(memory, "pipe_file", refuse(names))
        for name in names:
            Store(f"memory://{name}").put_curves([CurveRow(trial_id="a", experiment="demo", kimg=1.0)])
        patch.setattr(memory, "pipe_file", refuse(names[1:2]))
        code, out, err = ganray("store", "drain")
    assert code == 2
    assert {line.split()[-1] for line in out.splitlines()} == {"memory://drain-0", "memory://drain-2"}
    assert "memory://drain-1" in err


def test_a_place_with_square_brackets_is_no_markup(ganray, tmp_path, store):
    place = tmp_path / "a[" / "]b[red]"
    place.parent.mkdir()
    (tmp_path / "store").rename(place)
    for verb in ("stats", "verify", "compact"):
        code, out, _ = ganray("store", verb, "--store", place)
        assert "]b[red]" in out
        assert code == 0 or verb == "verify"


def test_a_name_that_is_no_text_is_an_error(ganray, store):
    code, _, err = ganray("store", "compact", "--experiment", "\udcff")
    assert code == 2
    assert "no experiment '\\udcff'" in err


@pytest.mark.parametrize("verb", ["stats", "verify", "compact", "prune-artifacts"])
def test_what_is_no_store_is_one_paragraph_and_2(ganray, tmp_path, verb):
    (tmp_path / "notes.txt").write_text("")
    code, _, err = ganray("store", verb, "--store", tmp_path)
    assert code == 2
    assert "is not a store of GANRay: it holds notes.txt" in err
    assert "Traceback" not in err
