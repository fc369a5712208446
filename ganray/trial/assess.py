"""Scores a trial's samples under its protocols: one pass of samples feeds all of them."""

import functools
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ganray.data.images import ImageSet
from ganray.errors import GanrayError
from ganray.evaluation.protocols import get_protocol
from ganray.evaluation.sampling import CHUNK, chunks, draw_images
from ganray.evaluation.score import Score, Scorer
from ganray.training.distributed import World
from ganray.training.pulse import Pulse
from ganray.training.state import TrainState

SAMPLE_SEED = 1
"""Other latents than the grid's; the same at each evaluation, so that a curve moves with the weights alone."""


def assess(state: TrainState, scorers: list[Scorer]) -> list[Score]:
    """Score the sampling generator. Collective: the workers share the drawing; all get the scores.

    Raises TrainingError on every worker where the samples cannot be scored.
    """
    started = time.perf_counter()
    world = state.world
    largest = max(scorer.protocol.n_fake for scorer in scorers)
    mine = chunks(largest)[world.rank :: world.size]
    features: list[dict[int, np.ndarray]] = [{} for _ in scorers]
    drawn = draw_images(
        state.sampling_generator, state.recipe.generator, mine, SAMPLE_SEED, world.device, n_classes=len(state.classes)
    )
    world.pulse.beat("samples of an evaluation")
    for fakes, (index, _) in zip(drawn, mine):  # in this order `drawn` is exhausted, which ends evaluation mode
        for scorer, found in zip(scorers, features):
            wanted = scorer.protocol.n_fake - index * CHUNK
            if wanted > 0:
                found[index] = scorer.features(fakes[:wanted]).float().cpu().numpy()
                world.pulse.alive()
    gathered = world.gather(features)
    result: list[Score] | GanrayError = []
    world.pulse.beat("scores of an evaluation")
    if world.is_main:
        try:
            result = [scorer.score(_in_order([g[i] for g in gathered])) for i, scorer in enumerate(scorers)]
        except GanrayError as error:
            result = error
    result = world.broadcast(result)
    if isinstance(result, GanrayError):
        raise result
    seconds = time.perf_counter() - started
    return [replace(score, seconds=seconds) for score in result]


def load_scorers(protocols: tuple[str, ...], images: ImageSet, world: World, weights: Path | None) -> list[Scorer]:
    """The scorers of these protocols; the main worker first, so that the reals are measured once."""

    holder = _Holder(images, world.pulse)

    def load() -> list[Scorer]:
        return [_scorer(name, images.fingerprint, world.device, weights, holder) for name in protocols]

    return world.in_turn(load)


class _Holder:
    """Carries the images, and who wants to know of progress, past the cache's key, which is their fingerprint."""

    def __init__(self, images: ImageSet, pulse: Pulse) -> None:
        self.images, self.pulse = images, pulse

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Holder)


@functools.lru_cache(maxsize=8)
def _scorer(name: str, fingerprint: str, device: torch.device, weights: Path | None, holder: _Holder) -> Scorer:
    return Scorer(get_protocol(name), holder.images, device, weights=weights, alive=holder.pulse.alive)


def _in_order(parts: list[dict[int, np.ndarray]]) -> np.ndarray:
    merged = {index: rows for part in parts for index, rows in part.items()}
    return np.concatenate([merged[index] for index in sorted(merged)])
