"""What each step sees: real images in shuffled epochs, and latents; both depend on seed and step alone.

Every worker derives the global batch and takes its share, so two workers see what one would have seen.
"""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from ganray.models.latents import shape_latents
from ganray.recipe.generators import Latent

LATENT_STREAM, ORDER_STREAM, QUARTER_STREAM, CHANCE_STREAM = 1, 2, 3, 4


def stream(seed: int, kind: int, index: int) -> torch.Generator:
    """A CPU generator for one purpose at one step."""
    # Any injective-enough mix will do: torch's Mersenne twister scrambles its seed.
    return torch.Generator().manual_seed((seed * 1_000_003 + kind) * 2_147_483_647 % 2**62 + index)


@dataclass
class ImageSampler:
    """Indices of real images: without end, each epoch a new permutation. Its state is its position."""

    n_images: int
    batch_size: int
    seed: int
    position: int = 0

    def next_batch(self) -> Tensor:
        """int64 [batch_size]: the next images of the global batch."""
        picked: list[Tensor] = []
        missing = self.batch_size
        while missing:
            epoch, offset = divmod(self.position, self.n_images)
            part = permutation(self.n_images, self.seed, epoch)[offset : offset + missing]
            picked.append(part)
            self.position += len(part)
            missing -= len(part)
        return torch.cat(picked)


@functools.lru_cache(maxsize=2)
def permutation(n_images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in one epoch, int64 [n_images]; kept, as each of its batches asks for it."""
    return torch.randperm(n_images, generator=stream(seed, ORDER_STREAM, epoch))


def latents(seed: int, step: int, batch_size: int, latent_dim: int, kind: Latent = "normal") -> Tensor:
    """The global batch of latents of one step: float32 [batch_size, latent_dim] on the CPU."""
    z = torch.randn(batch_size, latent_dim, generator=stream(seed, LATENT_STREAM, step))
    return shape_latents(z, kind)


def quarter(seed: int, step: int) -> int:
    """Which quarter of the feature map is decoded at this step, the same on every worker."""
    return int(torch.randint(4, (), generator=stream(seed, QUARTER_STREAM, step)))


def chance(seed: int, step: int) -> float:
    """A number from [0, 1) that decides whether something is done at this step, the same on every worker."""
    return float(torch.rand(1, generator=stream(seed, CHANCE_STREAM, step)))
