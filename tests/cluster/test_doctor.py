"""The doctor through a real Ray of two nodes, and what it does without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganray.cluster import doctor, doctor_node
from ganray.cluster.doctor import DoctorOptions, as_json, diagnose, lead_s, what_to_look_for, worst
from ganray.cluster.doctor_findings import Finding

FILE = """
name: looked
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {name: dcgan, width: 4}
evaluation: {protocols: [fd_lite0_200_train, fid_5k_train]}
"""


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """An experiment file in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANRAY_STORE", raising=False)
    monkeypatch.delenv("GANRAY_FID_WEIGHTS", raising=False)
    (tmp_path / "looked.yaml").write_text(FILE)
    return tmp_path / "looked.yaml"


@pytest.mark.cluster
@pytest.mark.timeout(400)
def test_two_nodes_of_a_real_ray(experiment, tmp_path):
    (tmp_path / "runs").mkdir()
    driver = Path(__file__).with_name("doctor_driver.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, str(driver), str(experiment)],
        cwd=tmp_path, env={**environment, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout[done.stdout.index("{") :])
    found = {}
    for finding in report["findings"]:
        found.setdefault(finding["check"], []).append(finding)

    assert report["level"] == "problem"  # the head has no GPU, and was told to have one
    (gpus,) = found["gpus"]
    assert (gpus["level"], gpus["text"]) == ("problem", "Ray counts 1 GPU(s) and torch sees 0")
    assert gpus["node"]
    assert [f["text"] for f in found["nodes"]] == ["2 nodes answered"]
    assert [(f["level"], f["text"].endswith("on every node")) for f in found["versions"]] == [("ok", True)]
    (data,) = found["data"]
    assert (data["level"], data["text"][:34]) == ("ok", "sample:hubble: 100 images, fingerp")
    assert [f["level"] for f in found["store"]] == ["ok"]
    assert [f["text"] for f in found["shared folders"]] == ["runs and store are seen by every node"]
    assert {f["level"] for f in found["weights"]} == {"warning"}
    assert len(found["weights"]) == 2  # Inception's are on neither node
    assert [f["level"] for f in found["clocks"]] == ["ok"]
    assert not any(f["level"] == "problem" for f in report["findings"] if f["check"] != "gpus")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == []  # no probe is left


def test_what_an_experiment_makes_it_look_for(experiment, tmp_path):
    wanted = what_to_look_for(DoctorOptions(experiment=experiment))
    assert wanted.sources == ("sample:hubble",)
    assert set(wanted.extractors) == {"lite0", "inception"}
    assert wanted.stores == (f"{tmp_path}/runs", f"{tmp_path}/runs/store")
    assert wanted.resolution == 32
    wanted = what_to_look_for(DoctorOptions(experiment=experiment, store="s3://bucket/store"))
    assert wanted.stores == (f"{tmp_path}/runs", "s3://bucket/store")


def test_without_an_experiment_the_store_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANRAY_STORE", raising=False)
    wanted = what_to_look_for(DoctorOptions())
    assert (wanted.runs, wanted.stores, wanted.sources) == (f"{tmp_path}/runs", (f"{tmp_path}/runs/store",), ())


def test_a_fault_of_the_doctor_is_a_finding_and_no_traceback(tmp_path, monkeypatch):
    def faint(_):
        raise RuntimeError("no such thing here")

    monkeypatch.chdir(tmp_path)
    for part in doctor_node.PARTS:
        monkeypatch.setitem(doctor_node.PARTS, part, faint)
    monkeypatch.setitem(doctor_node.PARTS, "versions", doctor_node.versions)
    monkeypatch.setitem(doctor_node.PARTS, "token", doctor_node.token)
    findings = diagnose(DoctorOptions())
    said = [f.text for f in findings if f.check == "disk"]
    assert said == ["could not be looked at: RuntimeError: no such thing here"]


def test_the_quickest_answer_tells_the_time():
    """Answers that take 1, 0.2 and 3 s, from a clock that is 7 s ahead; the way back of the slow ones is longer."""
    times = iter([0.0, 1.0, 10.0, 10.2, 20.0, 23.0, 30.0, 31.0, 40.0, 41.0])
    theirs = iter([7.9, 17.1, 29.9, 37.9, 47.9])
    assert lead_s(lambda: next(theirs), lambda: next(times)) == pytest.approx(7.0)


def test_nodes_that_share_a_machine_are_told_apart():
    nodes = [{"NodeID": f"{i}" * 56, "NodeManagerHostname": host} for i, host in enumerate("aab")]
    assert list(doctor._named(nodes)) == ["a/000000", "a/111111", "b"]


def test_the_worst_level_and_json():
    findings = [Finding("disk", "ok", "fine"), Finding("clocks", "warning", "late", "ntp", "n1")]
    assert (worst([]), worst(findings)) == ("ok", "warning")
    assert worst([*findings, Finding("torch", "problem", "x")]) == "problem"
    assert json.loads(as_json(findings)) == {
        "level": "warning",
        "findings": [
            {"check": "disk", "level": "ok", "text": "fine", "fix": None, "node": None},
            {"check": "clocks", "level": "warning", "text": "late", "fix": "ntp", "node": "n1"},
        ],
    }
