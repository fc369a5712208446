"""Where the store is unless one says otherwise. Imports nothing, so that the command line stays light."""

import os
from pathlib import Path

STORE_VARIABLE = "GANRAY_STORE"
"""The environment variable that names the store."""

DEFAULT_STORE = "runs/store"
"""The store's place where neither `--store` nor the variable is set, relative to the working directory."""


def store_uri(configured: str | None = None, runs: str | Path = "runs") -> str:
    """The store that is meant: the configured one, else the variable's, else `store` under the runs' folder."""
    beside_runs = f"{str(runs).rstrip('/')}/store" if "://" in str(runs) else str(Path(runs) / "store")
    return configured or os.environ.get(STORE_VARIABLE) or beside_runs
