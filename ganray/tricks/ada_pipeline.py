"""ADA's augmentations as the appendix of arXiv 2006.06676 lists them, each applied with probability p per image.

All draws are from torch's global generator on the images' device; as many at any p, so that the draws that follow
do not depend on it. An image that no sub-transform was drawn for comes out bit for bit as it went in.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

SHIFT = 0.125  # largest whole-pixel shift, and standard deviation of the fractional one, as a share of the side
SCALE_OCTAVES = 0.2  # standard deviations, in powers of two
CONTRAST_OCTAVES = 0.5
SATURATION_OCTAVES = 1.0
BRIGHTNESS_STD = 0.2


def augment_at(x: Tensor, pipeline: Sequence[str], p: Tensor | float) -> Tensor:
    """Images [N, 3, R, R] in [-1, 1] through the named families, in the paper's order; colours may leave [-1, 1]."""
    # bf16 has 8 bits: too few for positions and for rounding to be the same in reals and fakes.
    with torch.autocast(x.device.type, enabled=False):
        out = x if x.dtype == torch.float64 else x.float()
        for name, transform in PIPELINE.items():
            if name in pipeline:
                out = transform(out, p)
    return out.to(x.dtype)


def blit(x: Tensor, p: Tensor | float) -> Tensor:
    """Mirror, quarter turns, shifts by whole pixels: pixels are moved, never mixed; borders are reflected."""
    mirrored = _drawn(x, p) & (_uniform(x, 0, 1) < 0.5)
    x = torch.where(_per_image(mirrored), x.flip(-1), x)
    turns = _drawn(x, p) * torch.randint(4, (len(x),), device=x.device)
    x = torch.where(_per_image(turns % 2 == 1), x.rot90(1, (-2, -1)), x)
    x = torch.where(_per_image(turns >= 2), x.flip(-1, -2), x)
    drawn = _drawn(x, p)
    for dim in (2, 3):
        by = (_uniform(x, -SHIFT, SHIFT) * x.shape[dim]).round().long() * drawn
        x = _shift(x, by, dim)
    return x


def geometry(x: Tensor, p: Tensor | float) -> Tensor:
    """Scaling, rotation, scaling along one axis, rotation, shift: one affine map, images resampled once.

    The paper resamples bilinearly at twice the resolution between two wavelet filters (sym6). Here each output
    pixel is the mean of 2 x 2 bicubic samples: free of aliasing down to half the size (fewer than 1 image in 2,000
    is shrunk more), and a little softer: at half of the Nyquist frequency 0.91 is left, at Nyquist 0.69.
    """
    source, drawn = _source_of_output(x, p)
    if x.device.type == "cpu":  # where asking which images are drawn is free, and resampling the others is not
        rows = drawn.nonzero().flatten()
        return x.index_copy(0, rows, _resample(x[rows], source[rows]))
    return torch.where(_per_image(drawn), _resample(x, source), x)


def color(x: Tensor, p: Tensor | float) -> Tensor:
    """Brightness, contrast, luma flip, hue rotation, saturation: one affine map of the colour [3, 4] per image."""
    matrix, drawn = _color_matrix(x, p)
    # Not as a matrix product: the GPU's would round to TF32.
    mixed = (matrix[:, :3, :3, None, None] * x[:, None]).sum(dim=2) + matrix[:, :3, 3, None, None]
    return torch.where(_per_image(drawn), mixed, x)


PIPELINE: dict[str, Callable[[Tensor, Tensor | float], Tensor]] = {"blit": blit, "geometry": geometry, "color": color}


def _source_of_output(x: Tensor, p: Tensor | float) -> tuple[Tensor, Tensor]:
    """Where each output position comes from, [N, 3, 3] on coordinates of -1 to 1; and whether any map was drawn.

    This is the inverse of the paper's map: each factor is inverted, in reversed order. Every distribution is
    symmetric under inversion, so the draws are used as they are.
    """
    # Two rotations, each so rare that one of them happens with probability p.
    p_rotation = 1 - (1 - torch.as_tensor(p)).sqrt()
    gates = [_drawn(x, q) for q in (p, p_rotation, p, p_rotation, p)]
    scale = _octaves(x, SCALE_OCTAVES, gates[0])
    before = _uniform(x, -math.pi, math.pi) * gates[1]
    stretch = _octaves(x, SCALE_OCTAVES, gates[2])
    after = _uniform(x, -math.pi, math.pi) * gates[3]
    shift_x, shift_y = (2 * SHIFT * _normal(x) * gates[4] for _ in range(2))
    zero, one = torch.zeros_like(scale), torch.ones_like(scale)
    source = _matrix([[scale, zero, zero], [zero, scale, zero], [zero, zero, one]])
    source = _product(source, _rotation(before))
    source = _product(source, _matrix([[stretch, zero, zero], [zero, 1 / stretch, zero], [zero, zero, one]]))
    source = _product(source, _rotation(after))
    source = _product(source, _matrix([[one, zero, shift_x], [zero, one, shift_y], [zero, zero, one]]))
    return source, torch.stack(gates).any(dim=0)


def _resample(x: Tensor, source: Tensor) -> Tensor:
    """Each output pixel is the mean of four samples; what is outside is reflected at the outermost pixels."""
    side = x.shape[-1]
    # Quarter-pixel positions: [2 side], -1 and 1 are the borders of the image, half a pixel outside its centres.
    place = (torch.arange(2 * side, device=x.device, dtype=x.dtype) + 0.5) / side - 1
    (a, b, c), (d, e, f) = (source[:, row].T[:, :, None, None] for row in (0, 1))
    column, row = place[None, None, :], place[None, :, None]
    grid = torch.stack([a * column + b * row + c, d * column + e * row + f], dim=-1)  # [N, 2 side, 2 side, (x, y)]
    # grid_sample with align_corners takes -1 and 1 as the outermost centres, and so reflects without a double edge.
    grid = grid * (side / (side - 1))
    samples = functional.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=True)
    return functional.avg_pool2d(samples, 2)


def _color_matrix(x: Tensor, p: Tensor | float) -> tuple[Tensor, Tensor]:
    """The affine map of (r, g, b, 1), [N, 3, 4]; and whether any part of it was drawn, [N]."""
    gates = [_drawn(x, p) for _ in range(5)]
    brightness = BRIGHTNESS_STD * _normal(x) * gates[0]
    contrast = _octaves(x, CONTRAST_OCTAVES, gates[1])
    luma_sign = 1.0 - 2.0 * ((_uniform(x, 0, 1) < 0.5) & gates[2]).to(x.dtype)
    angle = _uniform(x, -math.pi, math.pi) * gates[3]
    saturation = _octaves(x, SATURATION_OCTAVES, gates[4])
    # Luma is the grey axis v = (1, 1, 1) / sqrt(3): `along` projects onto it, `across` onto the plane of the hues.
    along = torch.full((3, 3), 1 / 3, device=x.device, dtype=x.dtype)
    eye = torch.eye(3, device=x.device, dtype=x.dtype)
    across = eye - along
    linear = contrast[:, None, None] * eye
    linear = _product(across + luma_sign[:, None, None] * along, linear)
    linear = _product(_hue_rotation(angle, along, across), linear)
    linear = _product(along + saturation[:, None, None] * across, linear)
    # Brightness comes first in the paper: its shift goes through all the rest.
    shift = linear.sum(dim=2) * brightness[:, None]
    return torch.cat([linear, shift[:, :, None]], dim=2), torch.stack(gates).any(dim=0)


def _hue_rotation(angle: Tensor, along: Tensor, across: Tensor) -> Tensor:
    """Rotation about the grey axis, [N, 3, 3] (Rodrigues' formula)."""
    cross = along.new_tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    angle = angle[:, None, None]
    return along + angle.cos() * across + angle.sin() * cross


def _shift(x: Tensor, by: Tensor, dim: int) -> Tensor:
    """Rows or columns moved by whole pixels [N]; the border is reflected without repeating it."""
    last = x.shape[dim] - 1
    source = (torch.arange(last + 1, device=x.device) - by[:, None]).abs()
    source = last - (last - source).abs()
    shape = [len(x), 1, 1, 1]
    shape[dim] = last + 1
    # No pixel is used more than twice, and a sum of two is the same in either order: deterministic on GPUs too.
    return x.gather(dim, source.view(shape).expand_as(x))


def _drawn(x: Tensor, p: Tensor | float) -> Tensor:
    """Which images are transformed, bool [N]; none at p = 0, all at p = 1."""
    return torch.rand(len(x), device=x.device) < p


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    return torch.rand(len(x), device=x.device, dtype=x.dtype) * (high - low) + low


def _normal(x: Tensor) -> Tensor:
    return torch.randn(len(x), device=x.device, dtype=x.dtype)


def _octaves(x: Tensor, std: float, drawn: Tensor) -> Tensor:
    """Log-normal factors, 2 to the power of N(0, std^2); 1 where nothing was drawn."""
    return torch.exp2(std * _normal(x) * drawn)


def _per_image(flags: Tensor) -> Tensor:
    return flags[:, None, None, None]


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _rotation(angle: Tensor) -> Tensor:
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return _matrix([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b in full precision (the GPU's matrix product may round to TF32, a tenth of a pixel at 256 px)."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(dim=-2)
