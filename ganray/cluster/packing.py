"""How many workers share a GPU: the hungriest recipes of an experiment are tried out on one, before the sweep."""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ganray.recipe import space
from ganray.recipe.experiment import Experiment
from ganray.recipe.penalties import GRADIENT_PENALTIES
from ganray.recipe.recipe import Recipe

LOG = logging.getLogger(__name__)

MARGIN = 0.2
"""Of what was measured, on top: other kernels, other sizes of work space, fragments."""
CONTEXT_BYTES = int(0.6 * 2**30)
"""What CUDA itself takes in each process, outside of torch's allocator."""
MOST_WORKERS = 8
"""On one GPU: beyond that they wait for each other's kernels rather than for memory."""
PROBES, STEPS, DRAWS = 3, 3, 300


@dataclass(frozen=True)
class Measured:
    """What one worker of a recipe took at its peak, and what the device has."""

    peak_bytes: int
    total_bytes: int


def auto_gpus(experiment: Experiment, cluster: Mapping[str, float], fid_weights: Path | None = None) -> float:
    """`resources.gpus_per_worker: auto` as a number: 1/k where k workers fit on a GPU, 0.0 where there is none.

    Connects to no cluster itself: Ray must be there. Takes one GPU for as long as the measuring lasts, and the first
    one that Ray offers: where GPUs differ in size, the number is right for those that are as large.
    """
    if experiment.sample().runtime.device == "cpu" or cluster.get("GPU", 0.0) <= 0:
        return 0.0
    workers = experiment.settings.resources.workers_per_trial
    shares = []
    for recipe in measure_recipes(experiment):
        try:
            found = _measure_on_gpu(recipe, workers, fid_weights)
        except Exception as error:  # a recipe that does not fit, or does not run: its trial says why, alone on its GPU
            LOG.warning("gpus_per_worker: auto takes a whole GPU, as a trial run failed: %s", str(error).strip()[-300:])
            return 1.0
        shares.append(fraction(found.peak_bytes, found.total_bytes))
    return max(shares)


def fraction(peak_bytes: int, total_bytes: int) -> float:
    """The share of a GPU that one worker gets: 1/k, rounded down to what Ray can tell apart."""
    needed = peak_bytes * (1 + MARGIN) + CONTEXT_BYTES
    workers = min(MOST_WORKERS, max(1, int(total_bytes // needed)))
    return math.floor(10_000 / workers) / 10_000


def measure_recipes(experiment: Experiment) -> list[Recipe]:
    """The recipes to try out: the hungriest of many that the file can draw, no two of the same networks and losses."""
    kinds: dict[str, Recipe] = {}
    for recipe in sorted(_candidates(experiment), key=appetite, reverse=True):
        kinds.setdefault(_kind(recipe), recipe)
    return list(islice(kinds.values(), PROBES))


def appetite(recipe: Recipe) -> float:
    """A rough order of memory: images at once x pixels x channels; gradient penalties keep a second graph."""
    twice = any(penalty.name in GRADIENT_PENALTIES for penalty in recipe.objective.penalties)
    at_once = min(recipe.budget.batch_size, recipe.runtime.micro_batch or recipe.budget.batch_size)
    channels = recipe.generator.width + recipe.discriminator.width * (2 if twice else 1)
    return float(at_once * recipe.data.resolution**2 * channels)


def measure_memory(recipe: Recipe, workers: int = 1, fid_weights: Path | None = None) -> Measured:
    """The peak of a few steps of training and one pass of samples through the extractors, as one of so many workers.

    In a process that has not used the GPU before.
    """
    from ganray.data.images import load_images
    from ganray.evaluation.sampling import CHUNK, sample_images
    from ganray.training.distributed import World, pick_device
    from ganray.training.game import build_game
    from ganray.training.loop import prepare_device
    from ganray.training.state import build_state
    from ganray.training.step import train_step
    from ganray.trial.assess import load_scorers
    from ganray.trial.run import load_perception, on_device

    device = pick_device(recipe.runtime.device)
    prepare_device(device)
    world = World(device=device)
    budget = recipe.budget.model_copy(update={"batch_size": recipe.budget.batch_size // workers})
    mine = recipe.model_copy(update={"budget": budget})
    images = load_images(mine.data)
    scorers = load_scorers(mine.evaluation.protocols, images, world, fid_weights)
    perception = load_perception(mine, device)
    state = build_state(
        mine, len(images.images), world, labels=images.labels, classes=images.classes, features=perception.features
    )
    if pretrain := mine.trick("pretrain"):  # the game takes more
        state.images_shown = round(pretrain.kimg * 1000)
    game, pixels = build_game(state, perception), on_device(images, device)
    several = mine.trick("discriminator_steps")
    for _ in range(max(STEPS, several.n if several else 0)):
        train_step(state, game, pixels)
    fakes = sample_images(state.sampling_generator, mine.generator, CHUNK, 0, device, n_classes=len(state.classes))
    for scorer in scorers:
        scorer.features(fakes)
    return _peak(device)


def keep_to_share(gpus_per_worker: float) -> None:
    """Let this process take no more than its share of the GPU, so that its neighbours are not the ones to fail."""
    import torch

    if not 0 < gpus_per_worker < 1 or not torch.cuda.is_available():
        return
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    torch.cuda.set_per_process_memory_fraction(max(0.01, gpus_per_worker - CONTEXT_BYTES / total))


def _candidates(experiment: Experiment) -> Iterator[Recipe]:
    if experiment.design is not None:
        yield from (experiment.fixed(params) for params in experiment.design)
        return
    yield from (experiment.fixed(params) for params in experiment.start_params())
    yield from (experiment.sample(seed) for seed in range(DRAWS))
    drawn = chain(space.representatives(experiment.space), space.combinations(experiment.space))
    yield from (Recipe.model_validate(each.value) for each in islice(drawn, DRAWS))


def _kind(recipe: Recipe) -> str:
    """What its memory depends on, as text: no seed, no rates."""
    parts = {"data", "generator", "discriminator", "objective", "tricks", "runtime"}
    return recipe.model_dump_json(include=parts) + str(recipe.budget.batch_size)


def _measure_on_gpu(recipe: Recipe, workers: int, fid_weights: Path | None) -> Measured:
    """`measure_memory` in a process of its own on a GPU of the cluster."""
    import ray

    # max_calls: the process ends with the task and gives all of the GPU's memory back.
    task: Any = ray.remote(num_gpus=1, max_calls=1, max_retries=0)(measure_memory)
    found: Measured = ray.get(task.remote(recipe, workers, fid_weights))
    return found


def _peak(device: Any) -> Measured:
    import torch

    if device.type == "cuda":
        return Measured(torch.cuda.max_memory_reserved(device), torch.cuda.get_device_properties(device).total_memory)
    import os

    from ganray.trial.environment import memory_bytes

    return Measured(memory_bytes(device), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
