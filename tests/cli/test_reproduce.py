"""`ganray reproduce` as a user types it."""

import pytest

from ganray.cluster import reproduce as module


@pytest.fixture(autouse=True)
def no_sweep(monkeypatch, tmp_path):
    def refuse(*_):
        raise AssertionError("a sweep was started")

    monkeypatch.setattr(module, "run_sweep", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANRAY_STORE", raising=False)


def test_a_dry_run_shows_the_plan_and_runs_nothing(ganray, tmp_path):
    code, out, _ = ganray("reproduce", "samples-64", "--cells", "dcgan:*", "--seeds", 2, "--dry-run")
    assert code == 0
    assert "samples-64: 4 of 4 missing cell(s) can run, 4 kimg a seed" in out
    assert "expected: 4 cell(s) of unknown cost" in out
    assert out.count("0, 1") == 4
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_it_wants_to_be_told_yes(ganray):
    code, _, err = ganray("reproduce", "samples-64", "--cells", "dcgan:hubble")
    assert code == 2
    assert "no terminal to ask for your consent: give --yes" in err


def test_names_are_answered(ganray):
    code, _, err = ganray("reproduce", "sample-64")
    assert (code, "did you mean 'samples-64'" in err) == (2, True)
    code, _, err = ganray("reproduce", "samples-64", "--cells", "dcgan:hubbel")
    assert (code, "did you mean 'dcgan:hubble'" in err) == (2, True)


def test_a_list_without_a_cell_is_not_all_cells(ganray):
    code, _, err = ganray("reproduce", "samples-64", "--cells", ",", "--dry-run")
    assert (code, "--cells names no cell" in err) == (2, True)


def test_missing_data_is_named_before_the_question(ganray):
    code, out, err = ganray("reproduce", "few-shot-256", "--cells", "fastgan:obama", "--yes")
    assert code == 2
    assert "ganray data fetch obama" in " ".join(out.split())
    assert "nothing can run" in err
