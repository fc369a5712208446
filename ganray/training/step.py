"""One step of the game, as the algorithm reads: D on reals and fakes, then G through the frozen D."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.objectives.adversarial import AdversarialLoss, build_adversarial
from ganray.objectives.penalties import Penalty, build_penalty
from ganray.objectives.reconstruction import Distance, reconstruction_loss
from ganray.training.distributed import average_buffers, average_gradients, global_mean
from ganray.training.sampling import latents, quarter
from ganray.training.state import TrainState
from ganray.tricks.diffaugment import diff_augment
from ganray.tricks.ema import update_ema
from ganray.tricks.flips import random_flip

Stats = dict[str, Tensor]
"""Scalars of one step, on the device: reading them waits for it, so the loop reads them rarely."""


@dataclass(frozen=True)
class Game:
    """The recipe's losses and tricks as callables, and the networks as they are called."""

    generate: Callable[[Tensor], ImagePair]
    judge: Callable[..., DiscriminatorOutput]
    adversarial: AdversarialLoss
    penalties: tuple[Penalty, ...]
    policy: tuple[str, ...]
    flips: bool
    distance: Distance | None
    decode_weight: float
    precision: str


def build_game(state: TrainState, distance: Distance | None) -> Game:
    """Turn the recipe into callables; `distance` compares reconstructions where the recipe decodes."""
    recipe = state.recipe
    wrap = torch.compile if recipe.runtime.compile else (lambda network: network)
    augment = recipe.trick("diffaugment")
    decode = getattr(recipe.discriminator, "decode", None)
    return Game(
        generate=wrap(state.generator),
        judge=wrap(state.discriminator),
        adversarial=build_adversarial(
            recipe.objective.loss,
            label_smoothing=recipe.trick("label_smoothing"),
            noisy_margins=recipe.trick("noisy_margins"),
            batch_mean=global_mean,
        ),
        penalties=tuple(build_penalty(spec) for spec in recipe.objective.penalties),
        policy=augment.policy if augment else (),
        flips=recipe.trick("flips") is not None,
        distance=distance if decode else None,
        decode_weight=decode.weight if decode else 0.0,
        precision=recipe.runtime.precision,
    )


def train_step(state: TrainState, game: Game, images: Tensor) -> Stats:
    """Show one batch of real images to the game. `images`: uint8 [N, 3, R, R] on the training device."""
    x_real = next_reals(state, game, images)
    z = next_latents(state)
    with autocast(state, game):
        x_fake = game.generate(z)
    stats = discriminator_step(state, game, x_real, _each(x_fake, Tensor.detach))
    stats |= generator_step(state, game, x_real, x_fake)
    # Only now: G's step goes through D as well and moves the statistics of its batch norm.
    average_buffers(state.discriminator, state.world)
    state.step += 1
    state.images_shown += state.recipe.budget.batch_size
    return stats


def discriminator_step(state: TrainState, game: Game, x_real: Tensor, x_fake: ImagePair) -> Stats:
    """Separate batches of reals and fakes, reconstruction of the reals, penalties; one update of D."""
    state.optimizer_d.zero_grad(set_to_none=True)
    part = quarter(state.recipe.seed, state.step) if game.distance else None
    real, fake = augment(ImagePair(x_real, None), game.policy), augment(x_fake, game.policy)
    with autocast(state, game):
        judged_real = game.judge(real, quarter=part)
        judged_fake = game.judge(fake)
    loss = game.adversarial.discriminator(judged_real.logits.float(), judged_fake.logits.float())
    stats = {
        "logits_real": judged_real.logits.detach().float().mean(),
        "logits_fake": judged_fake.logits.detach().float().mean(),
        "loss_d": loss.detach(),
    }
    if game.distance and judged_real.reconstructions:
        full, small, rebuilt_quarter, index = judged_real.reconstructions
        stats["reconstruction"] = reconstruction_loss(real.full, full, small, rebuilt_quarter, index, game.distance)
        loss = loss + game.decode_weight * stats["reconstruction"]
    penalty = penalise(state, game, real.full, fake.full)
    if penalty is not None:
        stats["penalty"] = penalty
        loss = loss + penalty
    loss.backward()
    average_gradients(state.discriminator.parameters(), state.world)
    stats["grad_norm_d"] = gradient_norm(state.discriminator)
    state.optimizer_d.step()
    return {name: value.detach() for name, value in stats.items()}


def generator_step(state: TrainState, game: Game, x_real: Tensor, x_fake: ImagePair) -> Stats:
    """One update of G through the frozen D, then of the EMA."""
    state.optimizer_g.zero_grad(set_to_none=True)
    with frozen(state.discriminator), autocast(state, game):
        logits_fake = game.judge(augment(x_fake, game.policy)).logits
        logits_real = logits_fake.detach()
        if game.adversarial.needs_real:
            with torch.no_grad():
                logits_real = game.judge(augment(ImagePair(x_real, None), game.policy)).logits
    loss = game.adversarial.generator(logits_real.float(), logits_fake.float())
    loss.backward()
    average_gradients(state.generator.parameters(), state.world)
    grad_norm = gradient_norm(state.generator)
    state.optimizer_g.step()
    average_buffers(state.generator, state.world)
    if state.ema is not None:
        update_ema(state.ema, state.generator)
    return {"loss_g": loss.detach(), "grad_norm_g": grad_norm}


def penalise(state: TrainState, game: Game, x_real: Tensor, x_fake: Tensor) -> Tensor | None:
    """The sum of the penalties that are due at this step, in full precision; None where none is."""
    due = [p for p in game.penalties if state.step % p.every == 0]
    if not due:
        return None

    def discriminate(x: Tensor) -> Tensor:
        # Never the compiled network: torch.compile has no double backward.
        logits: Tensor = state.discriminator(ImagePair(x, None)).logits
        return logits

    return torch.stack([p(discriminate, x_real.float(), x_fake.float()) for p in due]).sum()


def next_reals(state: TrainState, game: Game, images: Tensor) -> Tensor:
    """My share of the next real images: float [n, 3, R, R] in [-1, 1], mirrored where the recipe says so."""
    share = state.world.share(state.sampler.batch_size)
    picked = state.sampler.next_batch()[share]
    x = images[picked.to(images.device)].to(state.world.device)
    if game.flips:
        x = random_flip(x)
    x_real = x.float() / 127.5 - 1
    return x_real.contiguous(memory_format=torch.channels_last) if state.recipe.runtime.channels_last else x_real


def next_latents(state: TrainState) -> Tensor:
    """My share of this step's latents: float [n, latent_dim]."""
    recipe = state.recipe
    z = latents(recipe.seed, state.step, recipe.budget.batch_size, recipe.generator.latent_dim)
    return z[state.world.share(recipe.budget.batch_size)].to(state.world.device)


def augment(images: ImagePair, policy: tuple[str, ...]) -> ImagePair:
    """The same random policy on reals and fakes, on each output of G."""
    if not policy:
        return images
    return _each(images, lambda x: diff_augment(x, policy))


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No weight gradients for this network: G's step passes through D and must not pay for D's."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def autocast(state: TrainState, game: Game) -> torch.autocast:
    """bf16 where the recipe's runtime says so."""
    return torch.autocast(state.world.device.type, dtype=torch.bfloat16, enabled=game.precision == "bf16")


def gradient_norm(network: nn.Module) -> Tensor:
    """The Euclidean norm of all gradients together."""
    return torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])


def _each(pair: ImagePair, change: Callable[[Tensor], Tensor]) -> ImagePair:
    return ImagePair(change(pair.full), None if pair.small is None else change(pair.small))
