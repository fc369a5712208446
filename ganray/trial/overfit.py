"""Whether D knows its training images by heart: what it says of them, of slightly changed ones, and of fakes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ganray.evaluation.sampling import chunks, draw_images
from ganray.models.outputs import ImagePair
from ganray.training.pretrain import is_pretraining
from ganray.training.state import TrainState
from ganray.tricks.adaptive import fixed_boundary

IMAGES = 100
"""Training images that are looked at, evenly spaced, and as many fakes."""

SEED = 2
"""Of the fakes' latents."""


@dataclass(frozen=True)
class Overfit:
    """ADA's two heuristics (arXiv 2006.06676, eq. 1), with changed training images in place of held-out ones."""

    lost: float | None
    """r_v = (E[D_train] - E[D_changed]) / (E[D_train] - E[D_gen]): 0 none, 1 complete.

    None where D hardly tells training images from fakes: the quotient would be noise. Changes that D was trained
    with (DiffAugment, ADA) are nothing new to it, so r_v stays near 0 under them.
    """
    sure: float | None
    """r_t = E[sign(D_train - boundary)]: 1 where D takes every one for real; None for losses without a boundary."""


@torch.no_grad()
def measure_overfitting(state: TrainState, images: Tensor) -> Overfit:
    """Judge training images `images` (uint8 [N, 3, R, R]), changed ones and fakes of the raw generator.

    Leaves networks, statistics and random numbers as they are. Nothing is known before the game has begun.
    """
    if is_pretraining(state):
        return Overfit(None, None)
    picked = torch.linspace(0, len(images) - 1, min(IMAGES, len(images))).long()
    x_real = images[picked.to(images.device)].to(state.world.device).float() / 127.5 - 1
    labels = None if state.labels is None else state.labels[picked.to(state.labels.device)].to(state.world.device)
    with _evaluating(state):
        train = _judge(state, x_real, labels)
        changed = _judge(state, slightly_changed(x_real), labels)
        fake = _judge(state, *_fakes(state))
    return Overfit(lost=_lost(train, changed, fake), sure=_sure(state, train))


def slightly_changed(x: Tensor) -> Tensor:
    """x [N, 3, R, R], mirrored and moved diagonally by R / 32 pixels, the rim mirrored too.

    Images that could be among the training images, but are not. (Not brighter or darker ones: a D that has learnt
    next to nothing may well go by the brightness. A WGAN-GP of 300 steps "loses" twice its advantage by 5 % of it.)
    """
    side = x.shape[-1]
    by = max(1, side // 32)
    return F.pad(x, (by, by, by, by), mode="reflect").flip(-1)[..., :side, :side]


def _fakes(state: TrainState) -> tuple[Tensor, Tensor | None]:
    """Fakes [N, 3, R, R] in [-1, 1] of the generator that D plays against, not of its average; and their labels."""
    recipe, n_classes = state.recipe, len(state.classes)
    drawn = draw_images(
        state.generator, recipe.generator, chunks(IMAGES), SEED, state.world.device, n_classes=n_classes
    )
    x_fake = torch.cat(list(drawn)).float() / 127.5 - 1
    return x_fake, torch.arange(IMAGES, device=x_fake.device) % n_classes if n_classes else None


def _judge(state: TrainState, x: Tensor, labels: Tensor | None) -> Tensor:
    """The mean logit of each image [N]; at most a training batch at a time, so that it fits where training does."""
    n = max(2, state.recipe.budget.batch_size // state.world.size)
    logits = []
    for rows in (slice(start, start + n) for start in range(0, len(x), n)):
        output = state.discriminator(ImagePair(x[rows], None), labels=None if labels is None else labels[rows])
        logits.append(output.logits.float().mean(dim=1))
    return torch.cat(logits)


def _lost(train: Tensor, changed: Tensor, fake: Tensor) -> float | None:
    advantage = train.mean() - fake.mean()
    spread = (train.std(correction=0) + fake.std(correction=0)) / 2
    return float((train.mean() - changed.mean()) / advantage) if advantage > spread else None


def _sure(state: TrainState, train: Tensor) -> float | None:
    boundary = fixed_boundary(state.recipe)
    return None if boundary is None else float((train - boundary).sign().mean())


@contextmanager
def _evaluating(state: TrainState) -> Iterator[None]:
    """D in evaluation mode, so that no statistics move, and the random numbers as they were."""
    device, was_training = state.world.device, state.discriminator.training
    state.discriminator.eval()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        state.discriminator.train(was_training)
