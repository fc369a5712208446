"""Draws images from a generator so that image `i` depends on the seed and `i` alone, whatever the workers."""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from ganray.data.grid import to_uint8
from ganray.models.latents import path_between, require_truncatable, shape_latents, truncate
from ganray.recipe.generators import Generator

CHUNK = 25
"""Images drawn at a time. Part of the definition of a sample: each chunk seeds its own noise."""


def chunks(n_images: int) -> list[tuple[int, int]]:
    """(index, size) of the chunks that make up `n_images`."""
    sizes = [CHUNK] * (n_images // CHUNK) + ([n_images % CHUNK] if n_images % CHUNK else [])
    return list(enumerate(sizes))


@torch.inference_mode()
def draw_images(
    generator: nn.Module,
    spec: Generator,
    wanted: Iterable[tuple[int, int]],
    seed: int,
    device: torch.device,
    *,
    n_classes: int = 0,
    label: int | None = None,
    truncation: float | None = None,
) -> Iterator[Tensor]:
    """Yield uint8 [size, 3, R, R] per chunk, as a PNG would store it, in evaluation mode, RNGs left alone.

    Where there are classes, image `i` is of class `label`, or else of class `i` modulo `n_classes`, so that all
    classes are drawn alike. `truncation` is the largest coordinate of the latents.
    Raises GanrayError where latents of the spec's kind cannot be truncated.
    """
    if truncation is not None:
        require_truncatable(spec.latent)
    with _evaluating(generator):
        for index, size in wanted:
            with _seeded(seed, index, device):
                # A whole chunk is made even where less is wanted: the noise inside a generator is drawn for the
                # whole batch, so that image i would else depend on how many follow.
                z = torch.randn(CHUNK, spec.latent_dim)
                z = shape_latents(z if truncation is None else truncate(z, truncation), spec.latent)
                numbers = index * CHUNK + torch.arange(CHUNK)
                images = _made(generator, z, _labels(numbers, n_classes, label), device)[:size]
            yield to_uint8(images)


def sample_images(
    generator: nn.Module,
    spec: Generator,
    n_images: int,
    seed: int,
    device: torch.device,
    *,
    n_classes: int = 0,
    label: int | None = None,
    truncation: float | None = None,
) -> Tensor:
    """uint8 [n_images, 3, R, R] on the device; see `draw_images`."""
    drawn = draw_images(
        generator, spec, chunks(n_images), seed, device, n_classes=n_classes, label=label, truncation=truncation
    )
    return torch.cat(list(drawn))


@torch.inference_mode()
def interpolate_images(
    generator: nn.Module,
    spec: Generator,
    rows: int,
    columns: int,
    seed: int,
    device: torch.device,
    *,
    n_classes: int = 0,
    label: int | None = None,
    truncation: float | None = None,
) -> Iterator[Tensor]:
    """Yield uint8 [columns, 3, R, R] per row, which goes from one latent to the next row's first, both included.

    Along great circles (arXiv 1609.04468). Noise inside the generator is the same all along a row, and so is the
    class: `label`, or else the row's number modulo `n_classes`.
    Raises GanrayError where latents of the spec's kind cannot be truncated.
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.stack([torch.randn(spec.latent_dim, generator=rng) for _ in range(rows + 1)])
    with _evaluating(generator):
        for index, size in chunks(rows):
            row = index * CHUNK + torch.arange(size)
            labels = _labels(row, n_classes, label)
            made: list[Tensor] = []  # of [size, 3, R, R], one per column
            for column in range(columns):
                between = path_between(z[row], z[row + 1], column / max(1, columns - 1), spec.latent, truncation)
                with _seeded(seed, index, device):
                    made.append(to_uint8(_made(generator, between, labels, device)))
            yield from torch.stack(made, dim=1)


@contextlib.contextmanager
def _evaluating(generator: nn.Module) -> Iterator[None]:
    was_training = generator.training
    generator.eval()
    try:
        yield
    finally:
        generator.train(was_training)


@contextlib.contextmanager
def _seeded(seed: int, index: int, device: torch.device) -> Iterator[None]:
    """The RNGs of one chunk, and as they were afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed((seed * 1_000_003 + index) % 2**62)
        yield


def _labels(numbers: Tensor, n_classes: int, label: int | None) -> Tensor | None:
    """int64 [N]: the class of each image by its number; None where there are no classes."""
    if not n_classes:
        return None
    return numbers % n_classes if label is None else torch.full_like(numbers, label)


def _made(generator: nn.Module, z: Tensor, labels: Tensor | None, device: torch.device) -> Tensor:
    images: Tensor = (generator(z.to(device)) if labels is None else generator(z.to(device), labels.to(device))).full
    return images
