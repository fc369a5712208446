"""The S3 server dies in the middle of a sweep and comes back: no trial ends for it, and nothing is lost."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from ganray.store.spool import spooled
from ganray.store.store import Store
from tests.objectstore.conftest import keys_in, new_bucket, use_credentials
from tests.objectstore.test_sweep import FILE

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1700)]

EVALUATIONS = 4
DEAD_S = 45.0


def wait_for_rows(store, process):
    deadline = time.monotonic() + 600
    while not store.evaluations().num_rows:
        assert process.poll() is None, "the sweep ended before its first evaluation"
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_sweep_outlives_an_outage(server, user, clean_aws, tmp_path):
    (tmp_path / "objects.yaml").write_text(FILE.replace("kimg: 0.128", f"kimg: {EVALUATIONS * 0.064}"))
    use_credentials(clean_aws, server.endpoint, *user)
    bucket, ray_folder = new_bucket(), tempfile.mkdtemp(prefix="ray-")
    clean_aws.setenv("GANRAY_SPOOL_DIR", str(tmp_path / "spool"))
    places = ["--set", f"store=s3://{bucket}/results", "--set", f"runs=s3://{bucket}/runs", "--cpus", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ganray.cli.main", "sweep", "objects.yaml", *places],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_TMPDIR": ray_folder},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    store = Store(f"s3://{bucket}/results")
    try:
        wait_for_rows(store, process)
        server.kill_gateway()
        time.sleep(DEAD_S)
        server.start_gateway()
        said, _ = process.communicate(timeout=900)
    finally:
        process.kill()
        shutil.rmtree(ray_folder, ignore_errors=True)
    assert process.returncode == 0, said
    list(spooled(store.uri).drain())
    rows = Store(store.uri).trials().to_pylist()
    assert [row["status"] for row in rows] == ["completed", "completed"], said
    scored = [(row["trial_id"], row["kimg"]) for row in store.evaluations().to_pylist()]
    assert len(scored) == len(set(scored)) == 2 * EVALUATIONS
    for row in store.evaluations().to_pylist():
        assert store.read_artifact(row["grid_uri"]).startswith(b"\x89PNG")
    for row in rows:
        assert f"runs/objects/trials/{row['trial_id']}/checkpoint.pt" in keys_in(bucket)
