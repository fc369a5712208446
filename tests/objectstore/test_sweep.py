"""A real sweep whose store, runs, checkpoints and Ray's own storage all lie on a real S3 server."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ganray.store.store import Store
from ganray.training.checkpoint import read_checkpoint
from tests.objectstore.conftest import keys_in, new_bucket, s3_client, use_credentials

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1700)]

FILE = """
name: objects
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan}]}}
tricks: [{name: ema, decay: 0.9}]
budget: {kimg: 0.128, batch_size: 8}
evaluation: {protocols: [fd_lite0_200_train], every_kimg: 0.064}
search: {trials: 2, sampler: grid}
resources: {workers_per_trial: 1, gpus_per_worker: 0}
runtime: {device: cpu}
"""


def ganray(folder, ray_folder, *words):
    """The command line in a process of its own, from an empty working directory, as on a machine of its own."""
    folder.mkdir()
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "GANRAY_CACHE_DIR": f"{folder}-cache",
        "GANRAY_SPOOL_DIR": f"{folder}-spool",
        "RAY_TMPDIR": ray_folder,
    }
    command = [sys.executable, "-m", "ganray.cli.main", *map(str, words)]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=800,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def outcome(server, user, tmp_path_factory):
    """The sweep from one machine, then --resume from another one that has nothing but the file."""
    root = tmp_path_factory.mktemp("objects")
    (root / "objects.yaml").write_text(FILE)
    ray_folder = tempfile.mkdtemp(prefix="ray-")  # sockets' paths must be short
    with pytest.MonkeyPatch.context() as patch:
        use_credentials(patch, server.endpoint, *user)
        bucket = new_bucket()
        places = ["--set", f"store=s3://{bucket}/results", "--set", f"runs=s3://{bucket}/runs", "--cpus", 2]
        sweep = ["sweep", root / "objects.yaml", *places]
        first = ganray(root / "first", ray_folder, *sweep, "--verbose")
        rows = Store(f"s3://{bucket}/results").trials().to_pylist()
        second = ganray(root / "second", ray_folder, *sweep, "--resume")
        third = ganray(root / "third", ray_folder, *sweep)
        yield {
            "bucket": bucket, "root": root, "ray": Path(ray_folder), "rows": rows, "secret": user[1],
            "first": first, "second": second, "third": third,
        }  # fmt: skip
    shutil.rmtree(ray_folder, ignore_errors=True)


@pytest.fixture
def store(outcome):
    return Store(f"s3://{outcome['bucket']}/results")


def test_all_trials_are_completed_and_scored(outcome, store):
    assert outcome["first"].returncode == 0, outcome["first"].stdout
    assert [row["status"] for row in outcome["rows"]] == ["completed", "completed"]
    scored = [(row["trial_id"], row["kimg"]) for row in store.evaluations().to_pylist()]
    assert len(scored) == len(set(scored)) == 4
    assert store.curves().num_rows > 0


def test_rows_artifacts_checkpoints_and_rays_own_files_are_in_the_bucket(outcome):
    keys = keys_in(outcome["bucket"])
    for row in outcome["rows"]:
        trial = row["trial_id"]
        for pattern in (
            rf"results/trials/experiment=objects/{trial}-.*\.parquet",
            rf"results/evaluations/experiment=objects/{trial}-.*\.parquet",
            rf"results/curves/experiment=objects/{trial}-.*\.parquet",
            rf"results/artifacts/experiment=objects/{trial}/grid-.*\.png",
            rf"runs/objects/trials/{trial}/checkpoint\.pt",
        ):
            assert [key for key in keys if re.fullmatch(pattern, key)], pattern
    for pattern in (r"runs/objects/study\.log", r"runs/objects/tune-\d+/.+", r"runs/objects/slots/.+"):
        assert [key for key in keys if re.fullmatch(pattern, key)], pattern
    assert all(re.match(r"(results|runs/objects)/", key) for key in keys)


def test_rows_lead_to_pictures_and_to_checkpoints_that_are_whole(outcome, store, tmp_path):
    for row in store.evaluations().to_pylist():
        assert row["grid_uri"].startswith(f"{store.uri}/artifacts/")
        assert store.read_artifact(row["grid_uri"]).startswith(b"\x89PNG")
    for row in outcome["rows"]:
        prefix = f"s3://{outcome['bucket']}/"
        assert row["checkpoint_uri"] == f"{prefix}runs/objects/trials/{row['trial_id']}/checkpoint.pt"
        body = s3_client().get_object(Bucket=outcome["bucket"], Key=row["checkpoint_uri"].removeprefix(prefix))["Body"]
        (tmp_path / "checkpoint.pt").write_bytes(body.read())
        assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 16


def test_nothing_of_value_is_left_in_the_working_directories(outcome):
    for name in ("first", "second", "third"):
        assert [p for p in (outcome["root"] / name).rglob("*") if p.is_file() and p.suffix != ".png"] == []
    assert not list((outcome["root"] / "first-spool").rglob("*.parquet"))


def test_resume_on_another_machine_finds_all_done(outcome, store):
    said = outcome["second"].stdout
    assert outcome["second"].returncode == 0, said
    assert "2 of them done before" in said
    assert store.trials().to_pylist() == outcome["rows"]


def test_another_machine_does_not_begin_the_same_sweep_by_accident(outcome):
    assert outcome["third"].returncode == 2
    assert "--resume" in outcome["third"].stdout
    assert "Traceback" not in outcome["third"].stdout


def test_the_secret_is_nowhere(outcome):
    """Not in what was printed, with --verbose too, in no object, in no file of these machines, in no log of Ray."""
    secret = outcome["secret"].encode()
    for run in ("first", "second", "third"):
        assert secret not in outcome[run].stdout.encode()
    client = s3_client()
    for key in keys_in(outcome["bucket"]):
        assert secret not in client.get_object(Bucket=outcome["bucket"], Key=key)["Body"].read(), key
    for folder in (outcome["root"], outcome["ray"]):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert secret not in path.read_bytes(), path
    rows = json.dumps([*outcome["rows"]], default=str)
    assert "Planted" not in rows
