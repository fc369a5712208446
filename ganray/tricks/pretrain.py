"""A latent per training image, learned together with G before the game begins (GLO, arXiv 1707.05776)."""

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganray.recipe.generators import Latent

MEAN_SQUARE: dict[Latent, float] = {"normal": 1.0, "sphere": 1.0, "uniform": 1 / 3}
"""Of the coordinates of each kind of latent."""


class Workers(Protocol):
    """What is needed of the workers of a trial (`training.distributed.World` is one)."""

    @property
    def size(self) -> int: ...

    def gather(self, value: Any) -> list[Any]:
        """Every worker's value in rank order, on every worker."""
        ...


class ImageLatents(nn.Module):
    """`latents` [n_images, latent_dim] float32, a buffer, on the sphere of radius sqrt(latent_dim).

    That is where N(0, 1) draws lie, nearly; the paper's unit sphere scaled to what G is given later. Latents uniform
    in [-1, 1] are shorter, and for them the radius is sqrt(latent_dim / 3).
    Drawn from torch's global generator on the CPU. Every worker holds all of them, the same on each.
    """

    latents: Tensor

    def __init__(self, n_images: int, latent_dim: int, kind: Latent = "normal") -> None:
        super().__init__()
        self.mean_square = MEAN_SQUARE[kind]
        self.register_buffer("latents", on_sphere(torch.randn(n_images, latent_dim), self.mean_square))

    def rows(self, indices: Tensor) -> Tensor:
        """The latents of these images [N, latent_dim]: a leaf that takes a gradient, for `step`."""
        return self.latents[indices.to(self.latents.device)].requires_grad_()

    @torch.no_grad()
    def step(self, indices: Tensor, grad: Tensor, lr: float, workers: Workers | None = None) -> None:
        """Gradient descent on these latents, then back onto the sphere.

        `indices` [N] and `grad` [N, latent_dim]: of this worker's images, the gradient of the loss's MEAN over its
        N images. The step is `lr` as the paper means it: on each image's own loss, in units of the unit sphere; so
        neither batch size, number of workers nor latent_dim change what a rate does. Collective where `workers` has
        more than one: all apply everyone's steps, in rank order, and stay the same. An image that occurs twice
        takes both steps at once.
        """
        device = self.latents.device
        # u = z / r, r the radius, so dL/du = r dL/dz, and a step in u is one of r times its length in z.
        moves = -lr * len(indices) * (self.latents.shape[1] * self.mean_square) * grad.detach().float()
        if workers is not None and workers.size > 1:
            told = workers.gather((indices.cpu(), moves.cpu()))
            indices, moves = (torch.cat(parts) for parts in zip(*told))
        indices, moves = indices.to(device), moves.to(device)
        self.latents.index_add_(0, indices, moves)
        self.latents[indices] = on_sphere(self.latents[indices], self.mean_square)


def on_sphere(z: Tensor, mean_square: float = 1.0) -> Tensor:
    """Rows [N, d] scaled to that mean square of their coordinates; 1 is the length sqrt(d)."""
    return functional.normalize(z, dim=1) * math.sqrt(mean_square * z.shape[1])
