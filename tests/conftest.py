"""Fixtures that every test shares: few threads, a private cache, the shared data where it is there."""

import os
import signal
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell lets what it starts in the background ignore Ctrl-C, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(os.environ.get("GANRAY_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's own cache."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("GANRAY_CACHE_DIR", str(cache))
    return cache


@pytest.fixture
def shared_data():
    """The folder of real data beside the checkout; the test is skipped, with the reason, where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no shared data at {SHARED_DATA} (set GANRAY_SHARED_DATA)")
    return SHARED_DATA
