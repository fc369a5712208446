"""Zips of pictures for the tests of fetching."""

import io
import zipfile

import numpy as np
from PIL import Image

from ganray.data.download import Patience

SOON = Patience(timeout_s=5.0, attempts=3, backoff_s=0.0)
N = 4


def picture(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(members):
    """A zip of (name or ZipInfo, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


PICTURES = [(f"100-shot/{i}.png", picture(i)) for i in range(N)]
GOOD = zipped([*PICTURES, ("README.txt", "hello"), ("__MACOSX/._0.png", "x"), ("100-shot/.hidden.png", "x")])


def leftovers(root):
    """What lies in the catalogue's folder besides the sets, their records and the locks."""
    return [p.name for p in root.iterdir() if p.name.startswith(".") and p.suffix != ".lock"]
