"""Score a generator's samples under one protocol."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganray.data.images import ImageSet
from ganray.errors import TrainingError
from ganray.evaluation.diversity import diversity
from ganray.evaluation.extractors import load_extractor
from ganray.evaluation.frechet import frechet_distance
from ganray.evaluation.kernel import kernel_distance
from ganray.evaluation.manifold import manifold_metrics
from ganray.evaluation.memorisation import Pair, memorisation
from ganray.evaluation.protocols import Protocol
from ganray.evaluation.reals import real_features


@dataclass(frozen=True)
class Score:
    """One set of samples under one protocol, with what the number depends on."""

    protocol: str
    extractor: str
    extractor_checksum: str
    n_fake: int
    n_real: int
    frechet: float
    kid: float
    kid_stderr: float
    seconds: float
    """Spent on the samples' features and the distances, in this process, since the last score."""
    diversity: float | None = None
    """Mean distance between the features of two fakes, over that of two reals."""
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None
    memorised: float | None = None
    """Share of the fakes that are nearer to a training image than any other training image is to it."""
    pairs: tuple[Pair, ...] = ()
    """The most copied fakes, by their numbers among the samples, and their nearest training images."""


class Scorer:
    """One protocol against one set of real images; keeps the extractor and the reals' features."""

    def __init__(
        self,
        protocol: Protocol,
        images: ImageSet,
        device: torch.device | str,
        *,
        cache_dir: Path | None = None,
        weights: Path | None = None,
        alive: Callable[[], object] = bool,
    ) -> None:
        """Loads the extractor and computes or reads the reals' features; `weights` is `--fid-weights`.

        `cache_dir` defaults to `features` in the cache folder; `alive` is called after each batch of reals.
        Raises WeightsError.
        """
        self.protocol = protocol
        self.extractor = load_extractor(protocol, device, weights)
        self.features_real = real_features(images, protocol, self.extractor, cache_dir, alive)
        self.n_images = len(images.images)
        self._seconds = 0.0

    def features(self, fakes_uint8: Tensor) -> Tensor:
        """Features float32 [N, D], on the device, of one batch of samples uint8 [N, 3, R, R]."""
        began = time.perf_counter()
        features = self.extractor(fakes_uint8)
        self._seconds += time.perf_counter() - began
        return features

    def score(self, features_fake: npt.ArrayLike) -> Score:
        """The score of the features [n_fake, D] of exactly as many samples as the protocol asks for.

        Raises ValueError for another number of samples and TrainingError where features are not finite.
        """
        began = time.perf_counter()
        fake = np.asarray(features_fake)
        if fake.shape != (self.protocol.n_fake, self.extractor.dims):
            raise ValueError(
                f"{self.protocol.name} takes features of {self.protocol.n_fake} samples with {self.extractor.dims} "
                f"dimensions; got {fake.shape}. Another number of samples is another protocol."
            )
        _refuse_non_finite(fake, self.protocol)
        frechet = frechet_distance(self.features_real, fake)
        kid, kid_stderr = kernel_distance(self.features_real, fake)
        spread = diversity(self.features_real, fake)
        manifold = manifold_metrics(self.features_real, fake)
        copies = memorisation(self.features_real, fake, n_images=self.n_images)
        seconds, self._seconds = self._seconds + time.perf_counter() - began, 0.0
        return Score(
            protocol=self.protocol.name,
            extractor=self.extractor.name,
            extractor_checksum=self.extractor.checksum,
            n_fake=len(fake),
            n_real=len(self.features_real),
            frechet=frechet,
            kid=kid,
            kid_stderr=kid_stderr,
            seconds=seconds,
            diversity=spread,
            precision=manifold.precision,
            recall=manifold.recall,
            density=manifold.density,
            coverage=manifold.coverage,
            memorised=copies.share,
            pairs=copies.pairs,
        )


def _refuse_non_finite(fake: npt.NDArray[np.float32], protocol: Protocol) -> None:
    bad = int((~np.isfinite(fake).all(axis=1)).sum())
    if bad:
        raise TrainingError(
            f"the generator's samples cannot be scored under {protocol.name}: the features of {bad} of {len(fake)} "
            f"samples are not finite; the generator has diverged (lower its learning rate, or use fp32)"
        )
