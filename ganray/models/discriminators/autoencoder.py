"""EBGAN's discriminator (Zhao et al. 2017, arXiv 1609.03126, section 2.3): an auto-encoder, 32 to 256 px."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganray.models.layers import LEAK, conv
from ganray.models.options import doubled
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.recipe import discriminators as specs

LAST_SIDE = 4  # pixels; side of the map between the convolutions and the code


class AutoEncoderDiscriminator(nn.Module):
    """`ImagePair -> one head, logits [N]`: minus the energy, which is the mean squared error of rebuilding the image.

    Strided convolutions down to 4 x 4, a code of `code_dim` numbers, and back up again (nearest up-sampling and
    3 x 3 convolutions). Features: the encoder's maps; `code`: [N, code_dim]. No norm mixes the samples, so that an
    image's energy is its own and gradient penalties may be added. The decoder ends without tanh: augmented images
    leave [-1, 1], and have to be rebuilt too.
    """

    def __init__(self, spec: specs.AutoEncoderDiscriminator, resolution: int) -> None:
        super().__init__()
        spectral = spec.spectral_norm
        widths = doubled(spec.width, (resolution // LAST_SIDE).bit_length() - 1)
        n_last = widths[-1] * LAST_SIDE**2
        self.stages = nn.ModuleList(_down(a, b, spectral) for a, b in pairwise([3, *widths]))
        self.to_code = nn.Sequential(nn.Flatten(), _started(nn.Linear(n_last, spec.code_dim), spectral))
        self.from_code = nn.Sequential(
            _started(nn.Linear(spec.code_dim, n_last), spectral),
            nn.LeakyReLU(LEAK),
            nn.Unflatten(1, (widths[-1], LAST_SIDE, LAST_SIDE)),
        )
        self.decoder = nn.Sequential(
            *(_up(a, b, spectral) for a, b in pairwise(widths[::-1])),
            nn.Upsample(scale_factor=2, mode="nearest"),
            # Small weights: the first images are grey, and the first energies the contrast of the pictures.
            conv(spec.width, 3, 3, padding=1, spectral=spectral, bias=True),
        )

    def forward(
        self, images: ImagePair, *, quarter: int | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge images. `quarter` and `labels` are for other discriminators; this one ignores them."""
        x: Tensor = images.full
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        code: Tensor = self.to_code(x)  # [N, code_dim]
        rebuilt: Tensor = self.decoder(self.from_code(code))  # [N, 3, R, R]
        energy = (rebuilt.float() - images.full.float()).square().mean(dim=(1, 2, 3))
        return DiscriminatorOutput(heads=(-energy,), features=tuple(features), code=code)

    def stages_from_image(self) -> list[nn.Module]:
        """The encoder's stages in the order in which the image passes through them."""
        return list(self.stages)


def _down(channels_in: int, channels: int, spectral: bool) -> nn.Sequential:
    """`[N, C_in, h, h] -> [N, C, h/2, h/2]`."""
    return nn.Sequential(_started(nn.Conv2d(channels_in, channels, 4, 2, 1), spectral), nn.LeakyReLU(LEAK))


def _up(channels_in: int, channels: int, spectral: bool) -> nn.Sequential:
    """`[N, C_in, h, h] -> [N, C, 2h, 2h]`."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        _started(nn.Conv2d(channels_in, channels, 3, padding=1), spectral),
        nn.LeakyReLU(LEAK),
    )


def _started(layer: nn.Conv2d | nn.Linear, spectral: bool) -> nn.Module:
    # DCGAN's start, N(0, 0.02), counts on batch norm: without it, a code of such layers starts near zero.
    nn.init.kaiming_normal_(layer.weight, LEAK)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return spectral_norm(layer) if spectral else layer
