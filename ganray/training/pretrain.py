"""Before the game: G learns to rebuild the training images, each from a latent of its own (arXiv 1707.05776)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ganray.objectives.reconstruction import perceptual
from ganray.training.distributed import average_buffers, average_gradients
from ganray.training.game import Game
from ganray.training.inputs import Batch
from ganray.training.micro import Readings, backward, micro_batches
from ganray.training.state import TrainState
from ganray.training.updates import autocast, clip, gradient_norm
from ganray.tricks.ema import update_ema


def is_pretraining(state: TrainState) -> bool:
    """Whether the game has not begun yet."""
    spec = state.recipe.trick("pretrain")
    return spec is not None and state.images_shown < round(spec.kimg * 1000)


def pretrain_step(state: TrainState, game: Game, batch: Batch) -> dict[str, Tensor]:
    """One step of G, and of the latents of the images shown, towards the images themselves."""
    spec, latents = state.recipe.trick("pretrain"), state.extras.latents
    assert spec is not None
    assert latents is not None
    state.optimizer_g.zero_grad(set_to_none=True)
    readings, moves = Readings(), []
    for part, share in micro_batches(state, state.generator, batch):
        z = latents.rows(part.indices)
        with autocast(state):
            rebuilt = game.generate(z, part.labels).full
        loss = F.l1_loss(rebuilt.float(), part.x_unflipped)
        if spec.perceptual and game.perception.features:
            loss = loss + spec.perceptual * perceptual(game.perception.features, rebuilt.float(), part.x_unflipped)
        backward([loss], share)
        readings.add({"reconstruction": loss}, share)
        assert z.grad is not None
        moves.append(z.grad)
    average_gradients(state.parameters_g, state.world)
    grad_norm = gradient_norm(state.parameters_g)
    clip(state, state.parameters_g)
    state.optimizer_g.step()
    latents.step(batch.indices, torch.cat(moves), spec.latent_lr, state.world)
    average_buffers(state.generator, state.world)
    if state.ema is not None:
        update_ema(state.ema, state.generator)
    return {**readings.sums, "grad_norm_g": grad_norm}


def rebuild(state: TrainState, batch: Batch) -> Tensor:
    """What G makes of the latents of the images shown, [n, 3, R, R]; the latents stay as pre-training left them."""
    latents = state.extras.latents
    assert latents is not None  # the recipe is refused without `pretrain`
    images: Tensor = state.generator(latents.rows(batch.indices).detach(), batch.labels).full
    return images
