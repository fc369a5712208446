"""One step of the game, as the algorithm reads: D on reals and fakes, then G through the frozen D."""

from functools import partial

import torch
from torch import Tensor

from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.objectives.adversarial import over_heads
from ganray.objectives.penalties import Judged
from ganray.training.distributed import average_buffers, average_gradients, global_mean
from ganray.training.game import Game, judge_both
from ganray.training.inputs import Batch, Made, Shown, next_batch, seen_by_discriminator, show
from ganray.training.micro import Readings, backward, gathered, make_fakes, micro_batches
from ganray.training.parts import Stats, discriminator_parts, generator_parts, judge_plainly
from ganray.training.pretrain import is_pretraining, pretrain_step
from ganray.training.sampling import quarter
from ganray.training.state import TrainState
from ganray.training.updates import autocast, clip, frozen, gradient_norm, set_rates
from ganray.tricks.adaptive import decision_boundary
from ganray.tricks.ema import update_ema
from ganray.tricks.top_k import share_at, top_k_logits


def train_step(state: TrainState, game: Game, images: Tensor) -> Stats:
    """Show one batch of real images to the game. `images`: uint8 [N, 3, R, R] on the training device."""
    batch = next_batch(state, images)
    set_rates(state)
    stats = pretrain_step(state, game, batch) if is_pretraining(state) else game_step(state, game, batch)
    state.step += 1
    state.images_shown += state.recipe.budget.batch_size
    return stats


def game_step(state: TrainState, game: Game, batch: Batch) -> Stats:
    """One update of D, and one of G where it is G's turn."""
    turn = generators_turn(state)
    with torch.set_grad_enabled(turn):
        x_fake = make_fakes(state, game, batch)
    stats = discriminator_step(state, game, batch, x_fake)
    if turn:
        stats |= generator_step(state, game, batch, x_fake)
    else:  # G has made images all the same, and each worker's have moved the statistics of its batch norm
        average_buffers(state.generator, state.world)
    # Only now: G's step goes through D as well and moves the statistics of its batch norm.
    average_buffers(state.discriminator, state.world)
    return stats


def discriminator_step(state: TrainState, game: Game, batch: Batch, x_fake: ImagePair) -> Stats:
    """Reals and fakes through D; its loss, its further tasks, its penalties; one update."""
    state.optimizer_d.zero_grad(set_to_none=True)
    readings, logits_real, logits_fake = Readings(), [], []
    for shown, share in micro_batches(state, state.discriminator, show(state, batch, x_fake)):
        losses, real, fake = discriminator_losses(state, game, shown)
        backward(losses.values(), share)
        readings.add(losses, share)
        logits_real.append(real.detach())
        logits_fake.append(fake.detach())
    average_gradients(state.parameters_d, state.world)
    grad_norm = gradient_norm(state.parameters_d)
    real, fake = torch.cat(logits_real), torch.cat(logits_fake)
    update_discriminator(state, real, fake)
    means = {"logits_real": real.float().mean(), "logits_fake": fake.float().mean()}
    return {**means, **readings.sums, "grad_norm_d": grad_norm.detach()}


def discriminator_losses(state: TrainState, game: Game, shown: Shown) -> tuple[Stats, Tensor, Tensor]:
    """What D minimises, by name, and its logits [N, L] of reals and fakes."""
    part = quarter(state.recipe.seed, state.step) if game.perception.distance else None
    labels = shown.batch.labels
    with autocast(state):
        judged_real, judged_fake = judge_both(state, game, shown.seen_real, shown.seen_fake, labels, part)
    loss_d = over_heads(game.adversarial.discriminator, judged_real.heads, judged_fake.heads)
    judged = Judged(
        judge=judge_plainly(state, labels),
        x_real=shown.seen_real.full.float(),
        x_fake=shown.seen_fake.full.float(),
        clean_real=shown.real.full.float(),
        clean_fake=shown.fake.full.float(),
        real=judged_real,
        fake=judged_fake,
        batch_mean=global_mean,
        loss=partial(over_heads, game.adversarial.discriminator),
    )
    parts = discriminator_parts(state, game.perception.distance, shown.batch, judged, judged_real, judged_fake)
    return {"loss_d": loss_d, **parts}, judged_real.logits, judged_fake.logits


def update_discriminator(state: TrainState, logits_real: Tensor, logits_fake: Tensor) -> None:
    """One step of D's optimizer, unless D is to sit it out, and of whatever follows D's logits."""
    batch_size, balance = state.recipe.budget.batch_size, state.extras.balance
    followers = [each for each in (state.extras.ada, state.extras.apa) if each]
    if followers or balance:
        boundary = decision_boundary(state.recipe, logits_real, logits_fake, global_mean)
        for follower in followers:
            follower.observe(logits_real, batch_size, global_mean, boundary)
        if balance:
            balance.observe(logits_real, logits_fake, global_mean, boundary)
            if balance.wins:
                return
    clip(state, state.parameters_d)
    state.optimizer_d.step()
    for penalty in state.extras.weights_d:
        penalty.update(state.discriminator)


def generator_step(state: TrainState, game: Game, batch: Batch, x_fake: ImagePair) -> Stats:
    """One update of G through the frozen D, then of the EMA."""
    state.optimizer_g.zero_grad(set_to_none=True)
    readings = Readings()
    with frozen(state.parameters_d), gathered(state, x_fake) as fakes:
        for made, share in micro_batches(state, state.discriminator, Made(batch, fakes)):
            losses = generator_losses(state, game, made)
            backward(losses.values(), share)
            readings.add(losses, share)
    average_gradients(state.parameters_g, state.world)
    grad_norm = gradient_norm(state.parameters_g)
    clip(state, state.parameters_g)
    state.optimizer_g.step()
    for penalty in state.extras.weights_g:
        penalty.update(state.generator)
    average_buffers(state.generator, state.world)
    if state.ema is not None:
        update_ema(state.ema, state.generator)
    return {**readings.sums, "grad_norm_g": grad_norm.detach()}


def generator_losses(state: TrainState, game: Game, made: Made) -> Stats:
    """What G minimises, by name."""
    batch, x_fake = made.batch, made.x_fake
    with autocast(state):
        judged = game.judge(seen_by_discriminator(state, x_fake), labels=batch.labels)
        judged_real = judge_reals(state, game, batch) if game.needs_real else None
    top_k = state.recipe.trick("top_k")
    heads = top_k_logits(judged.heads, share_at(top_k, state.progress)) if top_k else judged.heads
    heads_real = judged_real.heads if judged_real else tuple(head.detach() for head in heads)
    loss_g = over_heads(game.adversarial.generator, heads_real, heads)
    return {"loss_g": loss_g, **generator_parts(state, game.adversarial.code, batch, x_fake.full, judged, judged_real)}


def judge_reals(state: TrainState, game: Game, batch: Batch) -> DiscriminatorOutput:
    """What D says of the reals in G's step: nothing to learn from, only to compare with."""
    with torch.no_grad():
        return game.judge(seen_by_discriminator(state, ImagePair(batch.x_real, None)), labels=batch.labels)


def generators_turn(state: TrainState) -> bool:
    """Whether G makes a step too: each time, or each n-th under `discriminator_steps`."""
    several = state.recipe.trick("discriminator_steps")
    return several is None or (state.step + 1) % several.n == 0
