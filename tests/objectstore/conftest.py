"""A real S3 server (radosgw) and a faulty one (moto behind a proxy), each with credentials in the environment."""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.objectstore.radosgw import RadosGW, missing_binaries
from tests.store.conftest import at, curve, evaluation, trial

__all__ = ["at", "curve", "evaluation", "trial"]


@pytest.fixture(scope="session")
def server():
    """One server per test process: it starts faster than two processes could agree on one."""
    if missing := missing_binaries():
        pytest.skip(
            f"NOT TESTED: real object storage, because {', '.join(missing)} is not installed "
            "(apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common)"
        )
    folder = Path(tempfile.mkdtemp(prefix="radosgw-"))
    server = RadosGW(folder)
    try:
        server.start()
        print(f"radosgw answered after {server.start_s:.1f} s")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def user(server):
    """Access key and secret key of the user whose buckets the tests use."""
    return server.add_user("ganray")


@pytest.fixture
def clean_aws(monkeypatch, tmp_path):
    """No credentials but those a test sets: none of this machine's user, and none of a cloud machine's role."""
    monkeypatch.setenv("GANRAY_SPOOL_DIR", str(tmp_path / "spool"))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    forget_file_systems()
    yield monkeypatch
    forget_file_systems()


@pytest.fixture
def s3(server, user, clean_aws):
    """The server with the user's credentials in the environment."""
    use_credentials(clean_aws, server.endpoint, *user)
    return server


@pytest.fixture
def bucket(s3):
    """The name of a new, empty bucket."""
    return new_bucket()


@pytest.fixture
def uri(bucket):
    """The URI of a store in a new bucket."""
    return f"s3://{bucket}/deep/store"


def use_credentials(monkeypatch, endpoint, access, secret, token=None):
    """What a user of an S3 that is not Amazon's sets; the checksums are a matter of older servers."""
    values = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    for name, value in values.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    forget_file_systems()


def forget_file_systems():
    """fsspec keeps file systems by their arguments, not by the environment."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def s3_client():
    """Boto's own client, as an eye that is independent of s3fs."""
    import botocore.session

    return botocore.session.get_session().create_client("s3")


def new_bucket():
    name = f"bucket-{secrets.token_hex(6)}"
    s3_client().create_bucket(Bucket=name)
    return name


def keys_in(bucket, prefix=""):
    """All keys of a bucket, as boto lists them."""
    pages = s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]
