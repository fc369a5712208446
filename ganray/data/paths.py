"""Where GANRay keeps what it can make again."""

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """The cache folder: `GANRAY_CACHE_DIR` if set, else the user's cache folder; it may not exist yet."""
    given = os.environ.get("GANRAY_CACHE_DIR")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("ganray"))
