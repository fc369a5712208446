"""Further losses of the generator, added to its adversarial loss. All compute in full precision."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganray.objectives.reconstruction import Features, perceptual
from ganray.recipe.penalties import GeneratorLoss as GeneratorLossSpec

MODE_SEEKING_EPSILON = 1e-5
"""Keeps the inverse finite where all fakes are alike."""
SMALLEST_SQUARE = 1e-12
"""Mean square of what a distance is divided by, at least."""


@dataclass(frozen=True)
class Generated:
    """What G made in this step, and what it is compared with."""

    generate: Callable[[Tensor], Tensor]
    """z [N, latent_dim] -> images [N, 3, R, R]; not compiled, labels bound, twice differentiable."""
    z: Tensor
    """[N, latent_dim]."""
    x_fake: Tensor
    """[N, 3, R, R] with its graph to G, not augmented."""
    x_real: Tensor
    """[N, 3, R, R], not augmented."""
    features_fake: tuple[Tensor, ...]
    """D's feature maps [N, C, h, w] of the fakes as D saw them, with their graph."""
    features_real: tuple[Tensor, ...] | None = None
    """The same of the reals, without graph; given where any loss has `needs_real`."""
    pair: tuple[Tensor, Tensor] | None = None
    """(rebuilt, target) [N, 3, R, R]: G of the training images' own latents; given where any has `needs_pair`."""
    batch_mean: Callable[..., Tensor] = torch.mean
    """Mean over all workers' batches, differentiable: of all elements of x, or `batch_mean(x, 0)` of its samples."""
    labelled: bool = False
    """Whether G makes images of classes: image i of its label i, and `generate` too."""


class GeneratorLoss(nn.Module):
    """Base of G's further losses: `forward(generated)` is a scalar, times the weight and times `every`.

    To be called each `every` of G's steps; the factor keeps the mean over them (arXiv 1912.04958).
    """

    needs_real = False
    """Looks at D's features of the reals."""
    needs_pair = False
    """Looks at training images and what G makes of their own latents."""

    def __init__(self, spec: Any, features: Features | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.every: int = getattr(spec, "every", 1)

    def forward(self, generated: Generated) -> Tensor:
        weight: float = self.spec.weight * self.every
        return weight * self.measure(generated)

    def measure(self, generated: Generated) -> Tensor:
        """The loss without its weight, a scalar."""
        raise NotImplementedError


class FeatureMatching(GeneratorLoss):
    """|E f(x) - E f(G(z))|^2 of D's features f (arXiv 1606.03498, section 3.1), the mean over all of D's maps.

    Each map's distance, over channels and places, is divided by the squared length of E f(x): 1 is what a fake
    without any features costs, whatever the scale, number and size of the maps.
    """

    needs_real = True

    def measure(self, generated: Generated) -> Tensor:
        if generated.features_real is None:
            raise ValueError("feature_matching needs D's features of the reals: give features_real")
        mean = functools.partial(_mean_over_batch, generated)
        with torch.no_grad():
            wanted = [mean(feature) for feature in generated.features_real]
        found = [mean(feature) for feature in generated.features_fake]
        return torch.stack([_relative_error(a, b) for a, b in zip(found, wanted, strict=True)]).mean()


class L1(GeneratorLoss):
    """Mean absolute difference of each training image and what G makes of its own latent, in [-1, 1]."""

    needs_pair = True

    def measure(self, generated: Generated) -> Tensor:
        rebuilt, target = _pair(generated, self.spec.name)
        return F.l1_loss(rebuilt, target)


class Content(GeneratorLoss):
    """Perceptual distance of each training image and what G makes of its own latent (arXiv 1603.08155).

    `perceptual` of the decoders: feature vectors are scaled to length 1, so it lies between 0 and 4.
    """

    needs_pair = True

    def __init__(self, spec: Any, features: Features | None = None) -> None:
        super().__init__(spec, features)
        # In a partial, so that an extractor that is a module is not taken for a part of this one.
        self._distance = functools.partial(perceptual, _given(features))

    def measure(self, generated: Generated) -> Tensor:
        rebuilt, target = _pair(generated, self.spec.name)
        return self._distance(rebuilt, target)


class Style(GeneratorLoss):
    """Squared distance of the mean Gram matrices of fakes and of reals (arXiv 1603.08155).

    No fake has a real of its own, so the batches' mean Gram matrices are compared. Mean over the maps, each
    divided by the squared norm of the reals' matrix: raw ones differ a hundredfold from map to map.
    """

    def __init__(self, spec: Any, features: Features | None = None) -> None:
        super().__init__(spec, features)
        self._grams = functools.partial(_grams, _given(features))

    def measure(self, generated: Generated) -> Tensor:
        mean = functools.partial(_mean_over_batch, generated)
        with torch.no_grad():
            wanted = [mean(gram) for gram in self._grams(generated.x_real)]
        found = [mean(gram) for gram in self._grams(generated.x_fake)]
        return torch.stack([_relative_error(a, b) for a, b in zip(found, wanted)]).mean()


class ModeSeeking(GeneratorLoss):
    """1 / E[d(G(c, z1), G(c, z2)) / d(z1, z2)], d the mean absolute difference (MSGAN, arXiv 1903.05628).

    The paper maximises the ratio; its inverse is to be minimised. Pairs: the batch's first half with its second
    half. With labels, whose difference would be taken for the latents', each image with one that G makes afresh of
    the same label c and another image's latent, as the paper does: G runs once more. One image alone has no partner
    and costs nothing.
    """

    def measure(self, generated: Generated) -> Tensor:
        images, z = generated.x_fake.float(), generated.z.detach().float()
        half = len(z) // 2
        if not half:
            return 0.0 * images.sum()
        if generated.labelled:
            other_z = z.roll(half, dims=0)
            other_images = generated.generate(other_z).float()
        else:
            images, other_images = images[:half], images[half : 2 * half]
            z, other_z = z[:half], z[half : 2 * half]
        between_images = (images - other_images).abs().flatten(1).mean(dim=1)
        between_latents = (z - other_z).abs().mean(dim=1)
        ratio = generated.batch_mean(between_images / between_latents.clamp_min(MODE_SEEKING_EPSILON))
        return 1 / (ratio + MODE_SEEKING_EPSILON)


class PathLength(GeneratorLoss):
    """E(|J' y| - a)^2, J = dG/dz, y an image of noise, a the moving average of |J' y| (StyleGAN2, arXiv 1912.04958).

    y is drawn from N(0, 1) / sqrt(pixels), from torch's global generator, and G makes the images afresh from z.
    `mean_length` is a; it starts at 0. Not for a G with batch norm, which mixes the latents of a batch.
    """

    mean_length: Tensor

    def __init__(self, spec: Any, features: Features | None = None) -> None:
        super().__init__(spec, features)
        self.register_buffer("mean_length", torch.zeros(()))

    def measure(self, generated: Generated) -> Tensor:
        z = generated.z.detach().float().requires_grad_(True)
        images = generated.generate(z)
        noise = torch.randn_like(images, dtype=torch.float32) / (images.shape[-2] * images.shape[-1]) ** 0.5
        (gradient,) = torch.autograd.grad((images.float() * noise).sum(), z, create_graph=True)
        # vector_norm has gradient 0 at 0, where sqrt(sum of squares) would give NaN
        lengths: Tensor = torch.linalg.vector_norm(gradient, dim=1)  # [N]
        with torch.no_grad():
            mean = self.mean_length.lerp(generated.batch_mean(lengths.detach()), self.spec.decay)
            self.mean_length.copy_(mean)
        return (lengths - mean).square().mean()


GENERATOR_LOSSES: dict[str, type[GeneratorLoss]] = {
    "feature_matching": FeatureMatching,
    "l1": L1,
    "content": Content,
    "style": Style,
    "mode_seeking": ModeSeeking,
    "path_length": PathLength,
}


def build_generator_losses(specs: Sequence[GeneratorLossSpec], features: Features | None) -> nn.ModuleDict:
    """The losses that `specs` name, by name.

    `features` are the embedded extractor's maps. Raises ValueError where `content` or `style` come without.
    """
    return nn.ModuleDict({spec.name: GENERATOR_LOSSES[spec.name](spec, features) for spec in specs})


def _given(features: Features | None) -> Features:
    if features is None:
        raise ValueError("content and style need the feature maps of an extractor: pass features=")
    return features


def _pair(generated: Generated, name: str) -> tuple[Tensor, Tensor]:
    if generated.pair is None:
        raise ValueError(f"{name} compares training images with what G makes of their latents: give pair")
    rebuilt, target = generated.pair
    return rebuilt.float(), target.detach().float()


def _mean_over_batch(generated: Generated, x: Tensor) -> Tensor:
    return generated.batch_mean(x.float(), 0)


def _relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance over the squared length of `wanted`, a scalar; finite where `wanted` is all zeros."""
    return (found - wanted).square().mean() / wanted.square().mean().clamp_min(SMALLEST_SQUARE)


def _grams(features: Features, x: Tensor) -> list[Tensor]:
    """Gram matrices [N, C, C] of each feature map of the images, over C h w (arXiv 1603.08155)."""
    flat = [feature.float().flatten(2) for feature in features(x.float())]  # [N, C, h w] each
    return [f @ f.mT / (f.shape[1] * f.shape[2]) for f in flat]
