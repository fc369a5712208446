"""DCGAN's networks: the layers of the paper's Fig. 1, counted by hand."""

import pytest
import torch
from torch import nn

from ganray.models.outputs import ImagePair
from ganray.models.registry import build_discriminator, build_generator
from ganray.recipe.networks import DCGANDiscriminator, DCGANGenerator


def test_generator_at_64_has_the_layers_of_the_paper():
    generator = build_generator(DCGANGenerator(name="dcgan", width=128, latent_dim=100), 64)
    channels = [m.in_channels for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert channels == [100, 1024, 512, 256, 128]  # Fig. 1
    convolutions = 16 * (100 * 1024 + 1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    assert sum(p.numel() for p in generator.parameters()) == convolutions + 2 * (1024 + 512 + 256 + 128)
    assert generator(torch.randn(2, 100)).small is None


def test_channels_stop_at_eight_times_the_width():
    generator = build_generator(DCGANGenerator(name="dcgan", width=4, latent_dim=2), 256)
    channels = [m.in_channels for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert channels == [2, 32, 32, 32, 16, 8, 4]
    discriminator = build_discriminator(DCGANDiscriminator(name="dcgan", width=4), 256)
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [m.in_channels for m in convolutions] == [3, 4, 8, 16, 32, 32, 32]


@pytest.mark.parametrize(
    ("norm", "layer"), [("none", None), ("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d)]
)
def test_norm_is_on_every_stage_but_the_first(norm, layer):
    discriminator = build_discriminator(DCGANDiscriminator(name="dcgan", width=4, norm=norm), 64)
    norms = [m for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d | nn.InstanceNorm2d)]
    assert len(norms) == (0 if layer is None else 3)
    assert all(isinstance(m, layer) for m in norms)


def test_one_logit_per_image_and_the_maps_of_every_stage():
    output = build_discriminator(DCGANDiscriminator(name="dcgan", width=4), 32)(
        ImagePair(torch.zeros(2, 3, 32, 32), None)
    )
    assert output.logits.shape == (2,)
    assert [tuple(f.shape) for f in output.features] == [(2, 4, 16, 16), (2, 8, 8, 8), (2, 16, 4, 4)]


def test_spectral_norm_bounds_every_layer():
    discriminator = build_discriminator(DCGANDiscriminator(name="dcgan", width=4, spectral_norm=True), 32)
    for _ in range(50):
        discriminator(ImagePair(torch.zeros(1, 3, 32, 32), None))
    for module in discriminator.eval().modules():
        if isinstance(module, nn.Conv2d):
            largest = torch.linalg.matrix_norm(module.weight.flatten(1), ord=2)
            assert largest.item() == pytest.approx(1.0, abs=1e-3)
