"""What surrounds a backward pass: precision, frozen networks, learning rates, the size of gradients."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganray.training.optimizers import clip_gradients, rate_factor, set_rate
from ganray.training.state import TrainState


def set_rates(state: TrainState) -> None:
    """The learning rates of this step, by kimg alone, so that a resumed trial has them too."""
    optimizers = state.recipe.optimizers
    if optimizers.schedule is not None:
        factor = rate_factor(optimizers.schedule, state.kimg, state.recipe.budget.kimg)
        set_rate(state.optimizer_g, optimizers.generator, factor)
        set_rate(state.optimizer_d, optimizers.discriminator, factor)


def clip(state: TrainState, parameters: list[nn.Parameter]) -> None:
    """Gradients that are averaged already, so that every worker scales them alike."""
    if spec := state.recipe.trick("clip_gradients"):
        clip_gradients(parameters, spec.max_norm)


@contextmanager
def frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """No weight gradients for these: G's step passes through D and must not pay for D's."""
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


def autocast(state: TrainState) -> torch.autocast:
    """bf16 where the recipe's runtime says so."""
    enabled = state.recipe.runtime.precision == "bf16"
    return torch.autocast(state.world.device.type, dtype=torch.bfloat16, enabled=enabled)


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """The Euclidean norm of all gradients together."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
