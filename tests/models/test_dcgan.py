"""DCGAN's generator: the layers of the paper's Fig. 1, counted by hand."""

import torch
from torch import nn

from ganray.models.registry import build_generator
from ganray.recipe.generators import DCGANGenerator


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
