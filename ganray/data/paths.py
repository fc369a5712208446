"""Where GANRay keeps what it can make again, and the data sets that it fetched."""

import os
from pathlib import Path

import platformdirs

DATA_VARIABLE = "GANRAY_DATA_DIR"


def cache_root() -> Path:
    """The cache folder: `GANRAY_CACHE_DIR` if set, else the user's cache folder; it may not exist yet."""
    given = os.environ.get("GANRAY_CACHE_DIR")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("ganray"))


def data_root() -> Path:
    """The catalogue's folder: `GANRAY_DATA_DIR` if set, else `datasets` in the user's data folder; may not exist."""
    given = os.environ.get(DATA_VARIABLE)
    return Path(given).expanduser() if given else Path(platformdirs.user_data_dir("ganray"), "datasets")
