"""A catalogue's folder of one's own, a server with a data set, a small disk."""

import os
import subprocess
from dataclasses import replace

import pytest

from ganray.data.catalog import CATALOG
from tests.data.archives import GOOD, N
from tests.data.web import serving


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRAY_DATA_DIR", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


@pytest.fixture
def site(root, monkeypatch):
    """Serves GOOD, which is what `obama` wants here."""
    with serving() as site:
        site.body = GOOD
        entry = replace(CATALOG["obama"], urls=(site.url(),), counts=(N,))
        monkeypatch.setitem(CATALOG, "obama", entry)
        yield site


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 160 KiB; only root may mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("NOT TESTED: disk full needs root and the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
