"""U-Net discriminators: their layers counted by hand, and what joins the two halves."""

import pytest
import torch
from torch import nn

from ganray.models.discriminators.dcgan import DCGANDiscriminator
from ganray.models.discriminators.unet import UNetDiscriminator
from ganray.models.outputs import ImagePair
from ganray.recipe import discriminators as specs

SHAPES = ["unet_gan", "real_esrgan"]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def build(shape="unet_gan", resolution=32, width=4, **options):
    torch.manual_seed(0)
    return UNetDiscriminator(specs.UNetDiscriminator(name="unet", shape=shape, width=width, **options), resolution)


def images(n=2, side=32):
    return ImagePair(torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1, None)


@pytest.mark.parametrize("resolution", [32, 64, 256])
@every_shape
def test_heads_and_maps(shape, resolution):
    with torch.no_grad():
        output = build(shape, resolution)(images(2, resolution))
    pixels = (2, 1, resolution, resolution)
    assert output.pixels.shape == pixels
    assert output.pixels is output.heads[-1]
    if shape == "unet_gan":
        assert [head.shape for head in output.heads] == [(2,), pixels]
        sides = [resolution // 2**i for i in range(1, 10) if resolution // 2**i >= 4]
        channels = [4 * min(8, 2**i) for i in range(len(sides))]
    else:
        assert [head.shape for head in output.heads] == [pixels]
        sides, channels = [resolution // 2**i for i in range(4)], [4, 8, 16, 32]
    assert [f.shape for f in output.features] == [(2, c, side, side) for c, side in zip(channels, sides)]
    assert output.pooled.shape == (2, channels[-1])


@pytest.mark.parametrize("layers", [1, 2, 4])
@every_shape
def test_layers_down_and_as_many_up(shape, layers):
    discriminator = build(shape, 64, layers=layers)
    output = discriminator(images(2, 64))
    assert [head.shape for head in output.heads] == [(2,), (2, 1, 64, 64)][shape == "real_esrgan" :]
    assert len(discriminator.ups) == layers
    assert output.features[-1].shape[-1] == 64 >> layers


@pytest.mark.parametrize(("shape", "default"), [("unet_gan", 4), ("real_esrgan", 3)])
def test_the_usual_number_of_layers_is_the_default(shape, default):
    plain, told = build(shape, 64), build(shape, 64, layers=default)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), told.parameters(), strict=True))


def test_parameters_of_unet_gan_at_64():
    down = [3, 64, 128, 256, 512]
    encoder = sum(16 * a * b + b for a, b in zip(down, [*down[1:], 1]))  # with the head
    # 4 -> 8 px from the bottleneck; then from what concatenation makes twice as wide; the last at 64 px.
    up = [(512, 256), (512, 128), (256, 64), (128, 64)]
    decoder = sum(9 * a * b + b for a, b in up) + 64 + 1
    assert sum(p.numel() for p in build("unet_gan", 64, width=64).parameters()) == encoder + decoder


def test_parameters_of_real_esrgan_are_the_published_ones():
    # The authors' layers at 64 features (arXiv 2107.10833, Fig. 6), but for biases, which theirs have in the first
    # and the last layer alone.
    layers = [(9, 3, 64), (16, 64, 128), (16, 128, 256), (16, 256, 512), (9, 512, 256), (9, 256, 128), (9, 128, 64)]
    layers += [(9, 64, 64), (9, 64, 64), (9, 64, 1)]
    weights = sum(k * a * b for k, a, b in layers)
    assert weights + 64 + 1 == 4_376_897
    biases = sum(b for _, _, b in layers)
    for resolution in (32, 64):
        discriminator = build("real_esrgan", resolution, width=64)
        assert sum(p.numel() for p in discriminator.parameters()) == weights + biases


def test_the_global_logit_is_that_of_dcgan():
    unet = build("unet_gan", 64)
    torch.manual_seed(0)
    dcgan = DCGANDiscriminator(specs.DCGANDiscriminator(name="dcgan", width=4), 64)
    for ours, theirs in zip(unet(images(3, 64)).features, dcgan(images(3, 64)).features):
        assert torch.equal(ours, theirs)
    assert torch.equal(unet(images(3, 64)).heads[0], dcgan(images(3, 64)).heads[0])


@every_shape
def test_every_map_of_the_encoder_is_joined(shape):
    # Cut one layer up after the other: whatever is deeper than the cut reaches the pixels no more, and the maps
    # above the cut still do.
    discriminator = build(shape)
    joined = len(discriminator.ups) - (shape == "unet_gan")  # the last layer of unet_gan has nothing to join
    for cut in range(len(discriminator.ups)):
        maps = [f.detach().clone().requires_grad_() for f in discriminator(images()).features]
        hook = discriminator.ups[cut].register_forward_hook(lambda _, __, y: torch.zeros_like(y))
        pixels = discriminator.pixel_head(discriminator._decode(maps))
        hook.remove()
        # The layer `cut` is followed by the map `joined - 1 - cut` of the encoder, and by the ones above it.
        reached = range(max(0, joined - cut))
        gradients = torch.autograd.grad(pixels.square().sum(), maps, allow_unused=True, materialize_grads=True)
        assert [bool(g.any()) for g in gradients] == [i in reached for i in range(len(maps))]


@every_shape
def test_a_pixels_logit_looks_at_its_surroundings_above_all(shape):
    # With the bottleneck cut off, a pixel moves the logits near it, and hardly any other.
    discriminator = build(shape, 64).double()
    discriminator.ups[0].register_forward_hook(lambda _, __, y: torch.zeros_like(y))
    x = images(1, 64).full.double()
    moved = x.clone()
    moved[:, :, 8, 8] += 1
    with torch.no_grad():
        change = (discriminator(ImagePair(moved, None)).pixels - discriminator(ImagePair(x, None)).pixels).abs()[0, 0]
    assert change[8, 8] > 0
    assert change[:24, :24].sum() > 0.9 * change.sum()


@pytest.mark.parametrize(("shape", "mode"), [("real_esrgan", "bilinear"), ("unet_gan", "nearest")])
def test_maps_are_up_sampled_as_in_the_papers(shape, mode):
    discriminator = build(shape)
    seen = []
    discriminator.ups[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    bottleneck = discriminator(images()).features[-1]
    torch.testing.assert_close(seen[0], nn.Upsample(scale_factor=2, mode=mode)(bottleneck))
