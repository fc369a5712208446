"""Features of the real images, computed once per dataset, protocol and extractor, and shared by all processes."""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ganray.data.images import ImageSet
from ganray.data.paths import cache_root
from ganray.errors import WeightsError
from ganray.evaluation.extractors import Extractor
from ganray.evaluation.protocols import Protocol

BATCH = 32
Features = npt.NDArray[np.float32]


def real_features(
    images: ImageSet,
    protocol: Protocol,
    extractor: Extractor,
    cache_dir: Path | None = None,
    alive: Callable[[], object] = bool,
) -> Features:
    """Features [N, D] of the reals under this protocol ([2 N, D] with flips), from the cache where they are there.

    A damaged cache file is computed anew; an unwritable cache costs a warning and the time. `alive` is
    called after each batch.

    Raises WeightsError where the features are not finite.
    """
    path = (cache_dir or cache_root() / "features") / _file_name(images.fingerprint, protocol, extractor)
    rows = len(images.images) * (2 if protocol.flips else 1)
    cached = _read(path, (rows, extractor.dims))
    if cached is not None:
        return cached
    features = _compute(images, protocol, extractor, alive)
    if not np.isfinite(features).all():
        raise WeightsError(
            f"the extractor '{extractor.name}' gives features that are not finite for the real images of "
            f"{images.name}: its weights do not work on this device ({extractor.device})"
        )
    try:
        _write(path, features)
    except OSError as error:
        warnings.warn(f"features of the reals are not cached: {error}", RuntimeWarning, stacklevel=2)
    return features


def _compute(images: ImageSet, protocol: Protocol, extractor: Extractor, alive: Callable[[], object]) -> Features:
    batches = []
    for flip in (False, True) if protocol.flips else (False,):
        for start in range(0, len(images.images), BATCH):
            batch = torch.as_tensor(images.images[start : start + BATCH])
            batches.append(extractor(batch.flip(-1) if flip else batch).cpu())
            alive()
    return torch.cat(batches).numpy()


def _file_name(fingerprint: str, protocol: Protocol, extractor: Extractor) -> str:
    """The number of fakes is no part of it: protocols that treat the reals alike share one file."""
    treatment = [extractor.name, str(extractor.dims), extractor.preprocessing, extractor.checksum]
    key = "\n".join([fingerprint, protocol.reals, str(protocol.flips), *treatment])
    return f"{extractor.name}-{extractor.dims}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"


def _read(path: Path, shape: tuple[int, int]) -> Features | None:
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if features.shape != shape or features.dtype != np.float32 or not np.isfinite(features).all():
        return None
    return np.asarray(features, dtype=np.float32)


def _write(path: Path, features: Features) -> None:
    """To a temporary name, then moved: other processes see the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, features)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
