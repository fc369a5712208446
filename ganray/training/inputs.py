"""What one step looks at: real images, their labels, latents; and what D gets to see of real and fake images."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganray.models.outputs import ImagePair
from ganray.training.sampling import latents
from ganray.training.state import TrainState
from ganray.tricks.diffaugment import diff_augment
from ganray.tricks.flips import random_flip
from ganray.tricks.instance_noise import instance_noise, noise_std


@dataclass(frozen=True)
class Batch:
    """My share of one step's global batch, on the training device."""

    indices: Tensor
    """int64 [n], the places of the real images in the training set."""
    x_real: Tensor
    """[n, 3, R, R] in [-1, 1], mirrored where the recipe says so."""
    x_unflipped: Tensor
    """The same images as they are in the set."""
    z: Tensor
    """[n, latent_dim]."""
    labels: Tensor | None
    """int64 [n], the classes of the reals; the fakes are made with the same, so their shares agree."""

    def __len__(self) -> int:
        return len(self.x_real)

    def of(self, rows: slice) -> "Batch":
        """The same of some of the images."""
        return Batch(
            indices=self.indices[rows],
            x_real=self.x_real[rows],
            x_unflipped=self.x_unflipped[rows],
            z=self.z[rows],
            labels=None if self.labels is None else self.labels[rows],
        )


@dataclass(frozen=True)
class Shown:
    """What D learns from in one step."""

    batch: Batch
    real: ImagePair
    """What D is told to be real, before noise and augmentation."""
    fake: ImagePair
    """Cut off from G."""
    seen_real: ImagePair
    seen_fake: ImagePair

    def __len__(self) -> int:
        return len(self.batch)

    def of(self, rows: slice) -> "Shown":
        """The same of some of the images."""
        pairs = (self.real, self.fake, self.seen_real, self.seen_fake)
        return Shown(self.batch.of(rows), *(each(pair, lambda x: x[rows]) for pair in pairs))


@dataclass(frozen=True)
class Made:
    """What G learns from in one step."""

    batch: Batch
    x_fake: ImagePair

    def __len__(self) -> int:
        return len(self.batch)

    def of(self, rows: slice) -> "Made":
        """The same of some of the images."""
        return Made(self.batch.of(rows), each(self.x_fake, lambda x: x[rows]))


def next_batch(state: TrainState, images: Tensor) -> Batch:
    """The next real images and latents. `images`: uint8 [N, 3, R, R]. The random draws are the flips alone."""
    recipe, world = state.recipe, state.world
    share = world.share(state.sampler.batch_size)
    indices = state.sampler.next_batch()[share]
    pixels = images[indices.to(images.device)].to(world.device)
    flipped = random_flip(pixels) if recipe.trick("flips") else pixels
    z = latents(recipe.seed, state.step, recipe.budget.batch_size, recipe.generator.latent_dim, recipe.generator.latent)
    return Batch(
        indices=indices,
        x_real=_scaled(flipped, recipe.runtime.channels_last),
        x_unflipped=_scaled(pixels, recipe.runtime.channels_last),
        z=z[share].to(world.device),
        labels=None if state.labels is None else state.labels[indices].to(world.device),
    )


def _scaled(pixels: Tensor, channels_last: bool) -> Tensor:
    x = pixels.float() / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


def show(state: TrainState, batch: Batch, x_fake: ImagePair) -> Shown:
    """The reals and fakes of D's step, as they are and as D sees them."""
    fake = fakes_for_discriminator(state, x_fake)
    real = reals_for_discriminator(state, batch.x_real, fake)
    return Shown(batch, real, fake, seen_by_discriminator(state, real), seen_by_discriminator(state, fake))


def seen_by_discriminator(state: TrainState, images: ImagePair) -> ImagePair:
    """Noise and augmentation, the same random policy for reals and fakes and for each output of G."""
    recipe = state.recipe
    noise, policy = recipe.trick("instance_noise"), recipe.trick("diffaugment")
    if noise:
        std = noise_std(noise, state.progress)
        images = each(images, lambda x: instance_noise(x, std))
    if policy:
        images = each(images, lambda x: diff_augment(x, policy.policy))
    if state.extras.ada:
        images = each(images, state.extras.ada.augment)
    return images


def fakes_for_discriminator(state: TrainState, x_fake: ImagePair) -> ImagePair:
    """The fakes that D learns from: cut off from G, some of them from earlier steps."""
    x_fake = each(x_fake, Tensor.detach)
    return ImagePair(*state.extras.replay.mix(*x_fake)) if state.extras.replay else x_fake


def reals_for_discriminator(state: TrainState, x_real: Tensor, x_fake: ImagePair) -> ImagePair:
    """What D is told to be real: the reals, and under APA some fakes."""
    if state.extras.apa:
        x_real = state.extras.apa.replace(x_real, x_fake.full.float())
    return ImagePair(x_real, None)


def each(pair: ImagePair, change: Callable[[Tensor], Tensor]) -> ImagePair:
    """Both outputs changed."""
    return ImagePair(change(pair.full), None if pair.small is None else change(pair.small))
