"""Draws images from a generator so that image `i` depends on the seed and `i` alone, whatever the workers."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from ganray.data.grid import to_uint8

CHUNK = 25
"""Images drawn at a time. Part of the definition of a sample: each chunk seeds its own noise."""


def chunks(n_images: int) -> list[tuple[int, int]]:
    """(index, size) of the chunks that make up `n_images`."""
    sizes = [CHUNK] * (n_images // CHUNK) + ([n_images % CHUNK] if n_images % CHUNK else [])
    return list(enumerate(sizes))


@torch.inference_mode()
def draw_images(
    generator: nn.Module, latent_dim: int, wanted: Iterable[tuple[int, int]], seed: int, device: torch.device
) -> Iterator[Tensor]:
    """Yield uint8 [size, 3, R, R] per chunk, as a PNG would store it, in evaluation mode, RNGs left alone."""
    was_training = generator.training
    generator.eval()
    try:
        for index, size in wanted:
            devices = [device] if device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed((seed * 1_000_003 + index) % 2**62)
                # A whole chunk is made even where less is wanted: the noise inside a generator is drawn for the
                # whole batch, so that image i would else depend on how many follow.
                images = generator(torch.randn(CHUNK, latent_dim).to(device)).full[:size]
            yield to_uint8(images)
    finally:
        generator.train(was_training)


def sample_images(generator: nn.Module, latent_dim: int, n_images: int, seed: int, device: torch.device) -> Tensor:
    """uint8 [n_images, 3, R, R] on the device."""
    return torch.cat(list(draw_images(generator, latent_dim, chunks(n_images), seed, device)))
