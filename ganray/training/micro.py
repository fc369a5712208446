"""Micro-batches: a step's gradient from several passes of fewer images each, where memory is short.

What is added up equals the gradient of the whole batch where every term is a mean over single images; recipes of
other kinds are refused (`ganray.recipe.refusals.micro`). Images of the whole batch are held, the networks'
activations of one part of it at a time.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ganray.models.outputs import ImagePair
from ganray.training.game import Game
from ganray.training.inputs import Batch, each
from ganray.training.state import TrainState
from ganray.training.updates import autocast
from ganray.tricks.ema import is_spectral_vector


class Divisible(Protocol):
    """A batch of whatever a pass looks at."""

    def __len__(self) -> int: ...

    def of(self, rows: slice) -> Self:
        """The same of some of its images."""
        ...


T = TypeVar("T", bound=Divisible)


def is_split(state: TrainState, n: int) -> bool:
    """Whether n images are more than one pass may hold."""
    size = state.recipe.runtime.micro_batch
    return size is not None and size < n


def micro_batches(state: TrainState, network: nn.Module, whole: T) -> Iterator[tuple[T, float]]:
    """The parts of a batch, each with its share of the images, which its losses are to be weighted by.

    One part without `runtime.micro_batch`. The power iterations of the network's spectral norm begin anew for each
    part, so that all parts meet the same weights and the last one leaves the vectors where the whole batch would.
    """
    n, size = len(whole), state.recipe.runtime.micro_batch
    if size is None or size >= n:
        yield whole, 1.0
        return
    vectors = spectral_vectors(network)
    begun = [vector.clone() for vector in vectors]
    for start in range(0, n, size):
        for vector, before in zip(vectors, begun):
            vector.copy_(before)
        yield whole.of(slice(start, start + size)), min(size, n - start) / n


def spectral_vectors(network: nn.Module) -> list[Tensor]:
    """The singular vectors that spectral norm keeps, of all layers."""
    return [buffer for name, buffer in network.named_buffers() if is_spectral_vector(name)]


def backward(terms: Iterable[Tensor], share: float) -> None:
    """Add the gradient of their sum, weighted by a part's share of the batch."""
    (torch.stack([*terms]).sum() * share).backward()


class Readings:
    """The whole batch's scalars from those of its parts, which are means over their images."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, scalars: dict[str, Tensor], share: float) -> None:
        for name, value in scalars.items():
            part = value.detach() * share
            self.sums[name] = self.sums[name] + part if name in self.sums else part


def make_fakes(state: TrainState, game: Game, batch: Batch) -> ImagePair:
    """What G makes of the batch's latents. In micro-batches, G's activations are not kept but made again for its
    gradient, with the same random numbers.
    """
    with autocast(state):
        if not is_split(state, len(batch)):
            return game.generate(batch.z, batch.labels)
        made: list[ImagePair] = [
            checkpoint(game.generate, part.z, part.labels, use_reentrant=False)
            for part, _ in micro_batches(state, state.generator, batch)
        ]
    small = [pair.small for pair in made if pair.small is not None]
    return ImagePair(torch.cat([pair.full for pair in made]), torch.cat(small) if small else None)


@contextmanager
def gathered(state: TrainState, x_fake: ImagePair) -> Iterator[ImagePair]:
    """The fakes for passes through D whose gradients are to reach G: in micro-batches all at once, at the end.

    Otherwise each part would send its gradient through the whole of G.
    """
    if not is_split(state, len(x_fake.full)):
        yield x_fake
        return
    leaves = each(x_fake, lambda x: x.detach().requires_grad_())
    yield leaves
    images: list[Tensor] = []
    gradients: list[Tensor] = []
    for x, leaf in zip(x_fake, leaves):
        if x is not None and leaf is not None and leaf.grad is not None:  # D need not look at the small ones
            images.append(x)
            gradients.append(leaf.grad)
    torch.autograd.backward(images, gradients)
