"""Feature extractors: images as a PNG would store them in, one feature vector per image out."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ganray.errors import WeightsError
from ganray.evaluation.protocols import Protocol
from ganray.evaluation.weights import find_inception_weights, identify


class Extractor(ABC):
    """Images to features: uint8 [N, 3, H, W] on any device -> float32 [N, dims] on the extractor's device."""

    name: str
    checksum: str
    """SHA-256 of the weights file."""
    dims: int
    preprocessing: str
    """How images reach the network. Part of a cached feature's key: change the words with the code."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Raises ValueError for anything but uint8 RGB, in which a number would silently be another one."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"an extractor takes uint8 [N, 3, H, W]; got {images.dtype} {list(images.shape)}")
        with torch.no_grad(), full_precision(self.device):
            return self.pooled(images.to(self.device).float()).float()

    @abstractmethod
    def pooled(self, x: Tensor) -> Tensor:
        """Features [N, dims] of x [N, 3, H, W] in 0..255."""


class InceptionExtractor(Extractor):
    """The FID Inception as pytorch-fid runs it: 0..1, bilinear to 299 px without antialiasing, spatial mean."""

    name = "inception"
    preprocessing = "x / 255, pytorch-fid's bilinear to 299 px"

    def __init__(self, path: Path, dims: int, device: torch.device | str) -> None:
        """Raises WeightsError where the file is damaged or does not reach up to `dims` features."""
        super().__init__(device)
        known = identify(path)
        if dims not in known.dims:
            raise WeightsError(
                f"{path}: these Inception weights give {max(known.dims)} features at most, and the protocol needs "
                f"{dims}; use pt_inception-2015-12-05-6726825d.pth, or the protocol fid_768_1k_train"
            )
        # Imports torchvision, which takes seconds; the embedded extractor does without.
        from ganray.evaluation.inception import LocalInception

        self.checksum, self.dims = known.sha256, dims
        # channels_last: 1.5 to 2 times faster on a CPU, equal to 1e-6 relative.
        self._network = LocalInception(path, dims).to(self.device, memory_format=torch.channels_last)

    def pooled(self, x: Tensor) -> Tensor:
        features: Tensor = self._network.pooled((x / 255).contiguous(memory_format=torch.channels_last))
        return features


class Lite0Extractor(Extractor):
    """EfficientNet-Lite0 with the weights of an installed package: -1..1, resized to the 224 px of its training.

    At 64 or 128 px it would cost a fraction, but tell less: the distance of flat grey pictures from 100 photographs
    of tissue is then 2.1 to 2.5 times the distance between two halves of the photographs; at 224 px it is 4.
    """

    name = "lite0"
    dims = 1280
    preprocessing = "x / 127.5 - 1, 224 px, bilinear, antialiased"

    def __init__(self, device: torch.device | str) -> None:
        """Raises WeightsError where the package is missing or damaged."""
        super().__init__(device)
        from ganray.models.feature_networks import LITE0_SHA256, load_lite0

        self.checksum = LITE0_SHA256
        # channels_last: 2 to 3 times faster on a CPU.
        self._network = load_lite0(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def pooled(self, x: Tensor) -> Tensor:
        features: Tensor = self._network.pooled((x / 127.5 - 1).contiguous(memory_format=torch.channels_last))
        return features


def load_extractor(protocol: Protocol, device: torch.device | str, weights: Path | None = None) -> Extractor:
    """The protocol's extractor on `device`; `weights` is the file given by `--fid-weights`. Raises WeightsError."""
    if protocol.extractor == "lite0":
        # Building a network draws its initial weights: the trial's random numbers must not notice.
        with torch.random.fork_rng(devices=[]):
            return Lite0Extractor(device)
    return InceptionExtractor(find_inception_weights(weights), protocol.dims, device)


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast, no TF32, no autotuned kernels: the training's speed settings must not move a score."""
    with (
        torch.autocast(device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        yield
