"""Latents: their distributions, the truncation trick, and great circles between them."""

import math

import torch
from torch import Tensor

from ganray.errors import GanrayError
from ganray.recipe.generators import Latent


def shape_latents(z: Tensor, kind: Latent) -> Tensor:
    """N(0, 1) draws `[..., D]` as latents of the recipe's distribution, same shape; `normal` leaves them alone.

    `uniform` goes through the normal distribution function, to [-1, 1] in each coordinate: 2 Phi(z) - 1.
    `sphere` is scaled to the radius sqrt(D), uniform over its surface as the Gaussian has no preferred direction.
    """
    match kind:
        case "normal":
            return z
        case "uniform":
            return torch.erf(z / math.sqrt(2))
        case "sphere":
            return z * (math.sqrt(z.shape[-1]) / torch.linalg.vector_norm(z, dim=-1, keepdim=True))


def truncate(z: Tensor, psi: float) -> Tensor:
    """N(0, 1) draws as draws of the normal distribution cut off at plus and minus `psi`, same shape.

    The truncation trick of BigGAN (arXiv 1809.11096) draws coordinates beyond the threshold again.
    This maps quantiles to quantiles instead, which gives the same distribution without further draws: one seed
    gives related images at every `psi`. Raises GanrayError where `psi` is not above 0.
    """
    if not psi > 0:
        raise GanrayError(f"truncation is the largest latent coordinate and must be above 0, not {psi:g}; try 0.7")
    within = math.erf(psi / math.sqrt(2))  # the mass of N(0, 1) between -psi and psi
    # In float64: in float32 a large z has no probability left beyond it.
    quantiles = within * torch.erf(z.double() / math.sqrt(2))
    return (math.sqrt(2) * torch.erfinv(quantiles)).clamp(-psi, psi).to(z.dtype)


def require_truncatable(kind: Latent) -> None:
    """Raises GanrayError, with the reason, where latents of this kind have no tail to cut off."""
    if kind != "normal":
        reason = "never leave [-1, 1]" if kind == "uniform" else "all have the same length"
        raise GanrayError(
            f"truncation cuts off the tails of normal latents, but those of generator.latent: {kind} {reason}; "
            f"leave it out, or use a generator trained with latent: normal"
        )


def slerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Spherical interpolation from `a` (t = 0) to `b` (t = 1) along the great circle (arXiv 1609.04468).

    `a`, `b`: `[..., D]`; `t`: a number, or a tensor that broadcasts against `[..., 1]`. Vectors of one length keep it
    and the angle grows evenly with t. Parallel vectors, and opposite ones, between which no great circle is
    marked out, are joined by a straight line.
    """
    unit_a, unit_b = (x / torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (a, b))
    # Exact for small and for large angles alike, where acos of the cosine loses half of the digits.
    angle = 2 * torch.atan2(
        torch.linalg.vector_norm(unit_a - unit_b, dim=-1, keepdim=True),
        torch.linalg.vector_norm(unit_a + unit_b, dim=-1, keepdim=True),
    )
    sine = torch.sin(angle)
    straight = sine.abs() < 1e-4
    safe = torch.where(straight, torch.ones_like(sine), sine)
    t = torch.as_tensor(t, dtype=a.dtype, device=a.device)
    weight_a = torch.where(straight, 1 - t, torch.sin((1 - t) * angle) / safe)
    weight_b = torch.where(straight, t.expand_as(sine), torch.sin(t * angle) / safe)
    return weight_a * a + weight_b * b


def path_between(z_from: Tensor, z_to: Tensor, t: float, kind: Latent, truncation: float | None = None) -> Tensor:
    """Latents at the share `t` of the way between those of two sets of N(0, 1) draws, `[N, D]`.

    Latents on a sphere turn by equal angles. A great circle would leave the cube of uniform latents and the range of
    truncated ones, so there the draws behind them are interpolated.
    """
    if kind == "sphere":
        z_from, z_to = shape_latents(z_from, kind), shape_latents(z_to, kind)
    z = slerp(z_from, z_to, t)
    if truncation is not None:
        require_truncatable(kind)
        z = truncate(z, truncation)
    return shape_latents(z, kind)
