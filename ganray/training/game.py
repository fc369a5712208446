"""The recipe's networks and losses as callables."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.objectives.adversarial import AdversarialLoss, build_adversarial
from ganray.objectives.reconstruction import Distance, Features
from ganray.recipe.recipe import Recipe
from ganray.training.distributed import global_batch, global_mean
from ganray.training.state import TrainState


@dataclass(frozen=True)
class Perception:
    """Networks that losses look through; None where the recipe needs none."""

    distance: Distance | None = None
    """Compares reconstructions with what they rebuild."""
    features: Features | None = None
    """Feature maps of the embedded extractor."""


@dataclass(frozen=True)
class Game:
    """What a step calls."""

    generate: Callable[..., ImagePair]
    judge: Callable[..., DiscriminatorOutput]
    adversarial: AdversarialLoss
    perception: Perception
    needs_real: bool
    """G's step needs what D says of the reals."""


def build_game(state: TrainState, perception: Perception = Perception()) -> Game:
    """Turn the recipe into callables."""
    recipe = state.recipe
    wrap = torch.compile if recipe.runtime.compile else (lambda network: network)
    adversarial = build_adversarial(
        recipe.objective.loss,
        label_smoothing=recipe.trick("label_smoothing"),
        soft_labels=recipe.trick("soft_labels"),
        label_flips=recipe.trick("label_flips"),
        noisy_margins=recipe.trick("noisy_margins"),
        batch_mean=global_mean,
        gather=global_batch,
    )
    further = state.extras.generator_losses
    return Game(
        generate=wrap(state.generator),
        judge=wrap(state.discriminator),
        adversarial=adversarial,
        perception=perception,
        needs_real=adversarial.needs_real or any(loss.needs_real for loss in further),
    )


def needs_features(recipe: Recipe) -> bool:
    """Whether any loss of the recipe looks through the embedded extractor."""
    decode, pretrain = getattr(recipe.discriminator, "decode", None), recipe.trick("pretrain")
    return (
        any(loss.name in ("content", "style") for loss in recipe.objective.generator_losses)
        or bool(decode and decode.distance == "perceptual")
        or bool(pretrain and pretrain.perceptual)
    )


def judge_both(
    state: TrainState, game: Game, real: ImagePair, fake: ImagePair, labels: Tensor | None, quarter: int | None
) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
    """Reals and fakes through D: two batches (hack 4 of the GAN hacks), or one where the recipe joins them."""
    if not state.recipe.trick("joined_batches"):
        return game.judge(real, quarter=quarter, labels=labels), game.judge(fake, labels=labels)
    small = fake.small
    if small is not None:
        resized = F.interpolate(real.full, size=small.shape[-1], mode="nearest")
        small = torch.cat([resized.to(small.dtype), small])
    joined = ImagePair(torch.cat([real.full.to(fake.full.dtype), fake.full]), small)
    judged = game.judge(joined, quarter=quarter, labels=None if labels is None else labels.repeat(2))
    n = len(real.full)
    return judged.of(slice(n)), judged.of(slice(n, None))
