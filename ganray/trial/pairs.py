"""The picture of memorisation: the most copied fakes over the training images that they are nearest to."""

import io
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ganray.data.grid import image_grid
from ganray.data.images import ImageSet
from ganray.evaluation.memorisation import Pair
from ganray.evaluation.sampling import CHUNK, draw_images
from ganray.training.state import TrainState
from ganray.trial.assess import SAMPLE_SEED

SIDE = 256
"""Pixels at which images are shown at most."""


def picture_of_pairs(state: TrainState, images: ImageSet, pairs: Sequence[Pair]) -> bytes:
    """A PNG of two rows: the fakes as the evaluation drew them, and below each its nearest training image."""
    fakes = redrawn(state, [pair.fake for pair in pairs]).cpu()
    reals = images.images[torch.tensor([pair.real for pair in pairs])]
    png = io.BytesIO()
    image_grid(_shrunk(torch.cat([fakes, reals])), columns=len(pairs)).save(png, "PNG")
    return png.getvalue()


def redrawn(state: TrainState, numbers: Sequence[int]) -> Tensor:
    """The evaluation's samples of these numbers once more, uint8 [len(numbers), 3, R, R]: only their chunks are drawn.

    That costs less memory than to keep thousands of samples until it is known which of them are wanted.
    """
    wanted = [(index, CHUNK) for index in sorted({number // CHUNK for number in numbers})]
    spec, n_classes = state.recipe.generator, len(state.classes)
    drawn = draw_images(state.sampling_generator, spec, wanted, SAMPLE_SEED, state.world.device, n_classes=n_classes)
    found: dict[int, Tensor] = {}
    for fakes, (index, _) in zip(drawn, wanted):  # in this order `drawn` is exhausted, which ends evaluation mode
        found |= {number: fakes[number % CHUNK] for number in numbers if number // CHUNK == index}
    return torch.stack([found[number] for number in numbers])


def _shrunk(images: Tensor) -> Tensor:
    """uint8 [N, 3, R, R] below twice SIDE pixels: at full size the picture of a 1,024 px trial would have 25 MB."""
    times = images.shape[-1] // SIDE
    return images if times < 2 else F.avg_pool2d(images.float(), times).round().byte()
