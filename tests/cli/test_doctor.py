"""`ganray doctor` as a user types it; what it finds is faked here, and seen in tests/cluster."""

import json

import pytest

from ganray.cluster import doctor
from ganray.cluster.doctor_findings import Finding


@pytest.fixture
def found(monkeypatch):
    """Make the doctor find this; the options that it was called with are in the list."""
    given = []

    def find(*findings):
        def diagnose(options):
            given.append(options)
            return list(findings)

        monkeypatch.setattr(doctor, "diagnose", diagnose)
        return given

    return find


def test_warnings_are_no_failure(ganray, found):
    found(Finding("disk", "ok", "fine"), Finding("clocks", "warning", "1.5 s behind", "timedatectl set-ntp true", "n2"))
    code, out, err = ganray("doctor")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["ok", "disk", "fine"]
    assert "n2: 1.5 s behind" in out
    assert "→ timedatectl set-ntp true" in out


def test_a_problem_is(ganray, found):
    found(Finding("store", "problem", "s3://b: [red]AccessDenied[/red]"))
    code, out, _ = ganray("doctor")
    assert code == 2
    assert "[red]AccessDenied[/red]" in out  # as it is, not as markup


def test_for_machines(ganray, found):
    found(Finding("store", "problem", "s3://b: no", None, "n1"))
    code, out, _ = ganray("doctor", "--json")
    assert code == 2
    assert json.loads(out)["findings"][0] == {
        "check": "store", "level": "problem", "text": "s3://b: no", "fix": None, "node": "n1",
    }  # fmt: skip


def test_what_is_asked_for(ganray, found, tmp_path):
    given = found()
    ganray("doctor", "--address", "auto", "--experiment", tmp_path / "e.yaml", "--store", "s3://b/s", "--set", "a=1")
    (options,) = given
    assert (options.address, options.store, options.overrides) == ("auto", "s3://b/s", ("a=1",))
    assert options.experiment == tmp_path / "e.yaml"


def test_a_wrong_experiment_file_is_one_paragraph(ganray, tmp_path):
    code, out, err = ganray("doctor", "--experiment", tmp_path / "none.yaml")
    assert (code, out) == (2, "")
    assert err == f"ganray: {tmp_path}/none.yaml: no such experiment file\n"
