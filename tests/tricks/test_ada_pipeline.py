"""ADA's augmentations: the paper's ranges and probabilities, exactness where nothing is mixed, gradients."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from ganray.tricks import ada_pipeline
from ganray.tricks.ada_pipeline import PIPELINE, augment_at, blit, color, geometry

ALL = tuple(PIPELINE)


def images(n=4, side=16, dtype=torch.float32):
    return torch.rand(n, 3, side, side, dtype=dtype) * 2 - 1


def smooth(n, side, dtype=torch.float64):
    """One picture n times, of a few low frequencies, so that resampling hardly errs."""
    y, x = (torch.arange(side, dtype=dtype) / side).view(-1, 1), torch.arange(side, dtype=dtype) / side
    waves = [torch.sin(3 * x + 2 * y), torch.cos(4 * x - y), torch.sin(2 * x * y + 1)]
    return torch.stack(waves)[None].expand(n, 3, side, side) * 0.8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("p", [0.0, torch.tensor(0.0)], ids=["float", "tensor"])
def test_probability_zero_is_the_identity_bit_for_bit(p, dtype):
    x = images(side=18).to(dtype) * 1.3  # outside [-1, 1] too
    assert torch.equal(augment_at(x, ALL, p), x)


@pytest.mark.parametrize("name", ALL)
def test_images_for_which_nothing_was_drawn_are_untouched(name):
    torch.manual_seed(0)
    x = images(200)
    untouched = (augment_at(x, (name,), 0.1) == x).flatten(1).all(dim=1)
    assert 40 < untouched.sum() < 195  # and p = 0.1 leaves most of them alone
    assert not untouched.all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("side", [4, 9, 32])
def test_any_size_same_shape_finite_and_the_input_is_kept(name, side):
    x = images(5, side)
    before = x.clone()
    out = augment_at(x, (name,), 1.0)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert out.isfinite().all()
    assert not torch.equal(out, x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", ALL)
def test_gradients_against_finite_differences(name):
    x = torch.randn(2, 3, 5, 5, dtype=torch.double, requires_grad=True)

    def augment(x):
        torch.manual_seed(3)
        return augment_at(x, (name,), 0.7)

    assert torch.autograd.gradcheck(augment, x, fast_mode=True)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_deterministic_and_as_many_draws_at_any_probability(p):
    x = images()
    torch.manual_seed(0)
    first = augment_at(x, ALL, p)
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(first, augment_at(x, ALL, p))
    torch.manual_seed(0)
    augment_at(x, ALL, 0.3)
    assert torch.equal(after, torch.rand(1))


def test_the_order_is_the_papers_whatever_the_recipe_says():
    x = images()
    torch.manual_seed(0)
    first = augment_at(x, ("color", "blit"), 1.0)
    torch.manual_seed(0)
    assert torch.equal(first, color(blit(x, 1.0), 1.0))


@pytest.mark.parametrize("name", ALL)
def test_no_image_sees_another(name):
    x = images()
    other = x.clone()
    other[1:] = images(3)
    torch.manual_seed(0)
    first = augment_at(x, (name,), 1.0)[0]
    torch.manual_seed(0)
    assert torch.equal(first, augment_at(other, (name,), 1.0)[0])


def test_blit_moves_pixels_by_one_of_its_transforms():
    """Against every mirror, turn and shift, made with rot90, flip and a reflected border."""
    torch.manual_seed(0)
    side, n = 16, 400
    x = torch.arange(1.0, 3 * side * side + 1).view(1, 3, side, side)
    expected = {}
    for mirror in (False, True):
        for turns in range(4):
            turned = (x.flip(-1) if mirror else x).rot90(turns, (-2, -1))
            padded = torch.nn.functional.pad(turned, (2, 2, 2, 2), mode="reflect")
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    shifted = padded[0, :, 2 - dy : 2 - dy + side, 2 - dx : 2 - dx + side]
                    expected[shifted.numpy().tobytes()] = (mirror, turns, dy, dx)
    drawn = [expected[out.contiguous().numpy().tobytes()] for out in blit(x.expand(n, 3, side, side).contiguous(), 1.0)]
    assert 0.4 < sum(mirror for mirror, *_ in drawn) / n < 0.6
    for turns in range(4):
        assert 0.17 < sum(d[1] == turns for d in drawn) / n < 0.33
    # round(U(-2, 2)): 1/4 for each of -1, 0, 1 and 1/8 for the ends
    for axis in (2, 3):
        for shift, share in ((-2, 1 / 8), (-1, 1 / 4), (0, 1 / 4), (1, 1 / 4), (2, 1 / 8)):
            assert sum(d[axis] == shift for d in drawn) / n == pytest.approx(share, abs=0.08)


def test_each_part_of_blit_is_applied_with_probability_p():
    """A mirrored image is one of half of p; the rest at p = 0.5: (1 - p/2)(1 - 3p/4)(1 - p + p/16) unmoved."""
    torch.manual_seed(0)
    x = images(1, 16).expand(4000, 3, 16, 16)
    unmoved = (blit(x, 0.5) == x).flatten(1).all(dim=1).float().mean().item()
    assert unmoved == pytest.approx(0.75 * 0.625 * (0.5 + 0.5 / 16), abs=4 * 0.0069)


def test_geometry_draws_the_papers_distributions():
    """Read back from the maps: scales by their determinant and singular values, shifts by the origin."""
    torch.manual_seed(0)
    n = 20000
    maps, drawn = ada_pipeline._source_of_output(torch.zeros(n, 3, 8, 8, dtype=torch.float64), 1.0)
    assert drawn.all()
    linear = maps[:, :2, :2]
    assert torch.equal(maps[:, 2], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(n, 3))
    octaves = torch.linalg.det(linear).log2() / 2  # the stretch keeps the area
    assert octaves.mean().item() == pytest.approx(0.0, abs=0.006)
    assert octaves.std().item() == pytest.approx(0.2, rel=0.03)
    stretch = torch.linalg.svdvals(linear)  # scale * 2^|a| and scale * 2^-|a|, a ~ N(0, 0.2^2)
    assert ((stretch[:, 0] / stretch[:, 1]).log2() / 2).mean().item() == pytest.approx(
        0.2 * math.sqrt(2 / math.pi), rel=0.03
    )
    # The origin goes to linear @ shift; in units of half the side the shift has 2 * 0.125.
    shift = torch.linalg.solve(linear, maps[:, :2, 2:])
    assert shift.std().item() == pytest.approx(0.25, rel=0.03)
    angle = torch.atan2(linear[:, 1, 0], linear[:, 0, 0])
    assert angle.abs().mean().item() == pytest.approx(math.pi / 2, rel=0.03)


def test_the_two_rotations_together_happen_with_probability_p():
    """1 - (1 - p_rot)^2 = p. Without scaling, stretch and shift, which the test reads off, a map is a rotation."""
    torch.manual_seed(0)
    n, p = 20000, 0.3
    maps, drawn = ada_pipeline._source_of_output(torch.zeros(n, 3, 8, 8, dtype=torch.float64), p)
    off_diagonal = maps[:, 0, 1].abs() > 0
    assert off_diagonal.double().mean().item() == pytest.approx(p, abs=0.013)  # four standard errors
    assert drawn.double().mean().item() == pytest.approx(1 - (1 - p) ** 4, abs=0.013)


def test_a_still_map_hardly_changes_a_smooth_image():
    x = smooth(1, 32)
    still = torch.eye(3, dtype=torch.float64)[None]
    out = ada_pipeline._resample(x, still)[..., 2:-2, 2:-2]  # a reflected border has a kink
    torch.testing.assert_close(out, x[..., 2:-2, 2:-2], atol=1e-3, rtol=0)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact_up_to_the_filter(turns):
    """The filter is symmetric: turning before or after it is the same."""
    x = images(1, 16, torch.float64)
    still = torch.eye(3, dtype=torch.float64)[None]
    cos, sin = [(0, 1), (-1, 0), (0, -1)][turns - 1]
    turned = torch.tensor([[[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]], dtype=torch.float64)
    filtered = ada_pipeline._resample(x, still)
    torch.testing.assert_close(ada_pipeline._resample(x, turned), filtered.rot90(turns, (-2, -1)))


def test_a_map_reads_the_image_where_it_says():
    """A picture that is linear in its places, halved in size and shifted: what each pixel shows is known.

    (A cubic kernel of torch's, a = -0.75, does not quite keep straight lines; a pixel is 0.06 wide here.)
    """
    side = 32
    place = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 2 - 1
    x = torch.stack([place.expand(side, side), place[:, None].expand(side, side), torch.zeros(side, side)])[None]
    source = torch.tensor([[[0.5, 0, 0.2], [0, 0.4, -0.1], [0, 0, 1]]], dtype=torch.float64)
    out = ada_pipeline._resample(x, source)[0]
    torch.testing.assert_close(out[0], (0.5 * place + 0.2).expand(side, side), atol=3e-3, rtol=0)
    torch.testing.assert_close(out[1], (0.4 * place - 0.1)[:, None].expand(side, side), atol=3e-3, rtol=0)


def test_what_the_smaller_image_cannot_show_is_filtered_out():
    """The finest stripes, shrunk by 1.6: single samples alias with full contrast, the mean of four does not."""
    stripes = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 3, 32, 32)
    source = torch.tensor([[[1.6, 0, 0.03], [0, 1.6, 0.02], [0, 0, 1]]])
    assert ada_pipeline._resample(stripes.double(), source.double()).square().mean() < 0.15 * 0.5


def test_borders_are_reflected_not_filled():
    x = torch.full((64, 3, 16, 16), 0.7)
    torch.manual_seed(0)
    torch.testing.assert_close(geometry(x, 1.0), x)
    assert torch.equal(blit(x, 1.0), x)


def test_every_image_is_resampled_alike_alone_or_in_company():
    """On the CPU only the drawn images are resampled; the result is that of resampling all."""
    torch.manual_seed(0)
    x = images(8)
    torch.manual_seed(1)
    out = geometry(x, 0.2)
    torch.manual_seed(1)
    source, drawn = ada_pipeline._source_of_output(x, 0.2)
    assert 0 < drawn.sum() < 8
    expected = torch.where(drawn[:, None, None, None], ada_pipeline._resample(x, source), x)
    torch.testing.assert_close(out, expected)


def color_by_hand(pixel, brightness, contrast, flip, angle, saturation):
    """The five parts one after the other on one colour, as the appendix says."""
    v = torch.ones(3, dtype=torch.float64) / math.sqrt(3)
    pixel = (pixel + brightness) * contrast
    if flip:
        pixel = pixel - 2 * v * (v @ pixel)
    across = pixel - v * (v @ pixel)
    pixel = v * (v @ pixel) + across * math.cos(angle) + torch.linalg.cross(v, pixel) * math.sin(angle)
    return v * (v @ pixel) + (pixel - v * (v @ pixel)) * saturation


def test_the_color_matrix_is_the_five_parts_in_turn(monkeypatch):
    """With draws given: uniform 0.25 (a flip; hue -pi/2) and normal 0.5 and -0.4 and 1.2 in turn."""
    normals, uniforms = iter([0.5, -0.4, 1.2]), iter([0.25, 0.25])
    monkeypatch.setattr(ada_pipeline, "_normal", lambda x: torch.full((1,), next(normals), dtype=x.dtype))
    monkeypatch.setattr(
        ada_pipeline,
        "_uniform",
        lambda x, low, high: torch.full((1,), low + (high - low) * next(uniforms), dtype=x.dtype),
    )
    pixel = torch.tensor([0.3, -0.5, 0.9], dtype=torch.float64)
    out = color(pixel.view(1, 3, 1, 1), 1.0).flatten()
    expected = color_by_hand(pixel, 0.1, 2 ** (0.5 * -0.4), True, -math.pi / 2, 2**1.2)
    torch.testing.assert_close(out, expected)


def test_color_has_the_papers_ranges():
    """Luma and chroma are read back: luma = sign * contrast * (luma + b), chroma = saturation * contrast * turned."""
    torch.manual_seed(0)
    n = 8000
    matrix, drawn = ada_pipeline._color_matrix(torch.zeros(n, 3, 1, 1, dtype=torch.float64), 1.0)
    assert drawn.all()
    v = torch.ones(3, dtype=torch.float64) / math.sqrt(3)
    signed = torch.einsum("i,nij,j->n", v, matrix[:, :, :3], v)
    assert (signed < 0).double().mean().item() == pytest.approx(0.5, abs=0.025)
    contrast = signed.abs()
    assert contrast.log2().std().item() == pytest.approx(0.5, rel=0.04)
    brightness = (matrix[:, :, 3] @ v) / signed / math.sqrt(3)
    assert brightness.std().item() == pytest.approx(0.2, rel=0.04)
    hue = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64) / math.sqrt(2)
    turned = matrix[:, :, :3] @ hue
    saturation = turned.norm(dim=1) / contrast
    assert saturation.log2().std().item() == pytest.approx(1.0, rel=0.04)
    assert saturation.log2().mean().item() == pytest.approx(0.0, abs=0.05)
    angle = torch.acos(cosine_similarity(turned, hue.expand(n, 3)).clamp(-1, 1))  # uniform in [0, pi]
    assert angle.mean().item() == pytest.approx(math.pi / 2, rel=0.03)
    assert angle.std().item() == pytest.approx(math.pi / math.sqrt(12), rel=0.04)


def test_bf16_images_are_transformed_in_full_precision():
    x = images(4, 16)
    torch.manual_seed(0)
    reference = augment_at(x.bfloat16().float(), ALL, 1.0)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = augment_at(x.bfloat16(), ALL, 1.0)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, reference.bfloat16())
