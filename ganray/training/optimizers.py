"""Optimizers, their schedules and gradient clipping, from the recipe's specs."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from ganray.recipe import optimizers as specs


def build_optimizer(parameters: Iterable[nn.Parameter], spec: specs.Optimizer) -> torch.optim.Optimizer:
    """The spec's optimizer over those parameters that take a gradient; frozen ones are left out for good."""
    return OPTIMIZERS[spec.name]([p for p in parameters if p.requires_grad], spec)


def _adam(parameters: list[nn.Parameter], spec: specs.Adam) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=spec.lr, betas=(spec.beta1, spec.beta2))


def _adamw(parameters: list[nn.Parameter], spec: specs.AdamW) -> torch.optim.AdamW:
    betas = (spec.beta1, spec.beta2)
    return torch.optim.AdamW(parameters, lr=spec.lr, betas=betas, weight_decay=spec.weight_decay)


def _sgd(parameters: list[nn.Parameter], spec: specs.SGD) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=spec.lr, momentum=spec.momentum)


def _rmsprop(parameters: list[nn.Parameter], spec: specs.RMSprop) -> torch.optim.RMSprop:
    return torch.optim.RMSprop(parameters, lr=spec.lr, alpha=spec.alpha)


def rates_of(spec: specs.Optimizer) -> dict[str, Any]:
    """What this spec's optimizer would be told of each group: rates, betas, decay, whatever torch calls them."""
    group = build_optimizer([nn.Parameter(torch.zeros(1))], spec).param_groups[0]
    return {name: value for name, value in group.items() if name != "params"}


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter], Any], torch.optim.Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
}


def rate_factor(schedule: specs.Schedule | None, kimg: float, budget_kimg: float) -> float:
    """What both learning rates are multiplied by after `kimg` thousand images; 1 without a schedule.

    First a straight line from 0 to 1 over `warmup_kimg`, so that the very first step has rate 0; then the decay over
    what is left of the budget, and `final` beyond it. A function of kimg alone: a resumed trial has the same rates.
    """
    if schedule is None:
        return 1.0
    if kimg < schedule.warmup_kimg:
        return kimg / schedule.warmup_kimg
    if isinstance(schedule, specs.Constant):
        return 1.0
    left = budget_kimg - schedule.warmup_kimg
    progress = min(1.0, (kimg - schedule.warmup_kimg) / left) if left > 0 else 1.0
    height = DECAYS[schedule.name](progress)
    return schedule.final + (1 - schedule.final) * height


DECAYS: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,  # arXiv 1608.03983, eq. 5
}
"""From 1 at the start to 0 at the end."""


def set_rate(optimizer: torch.optim.Optimizer, spec: specs.Optimizer, factor: float) -> None:
    """Make the learning rate `factor` times the spec's. Call it before the step, resumed or not."""
    for group in optimizer.param_groups:
        group["lr"] = spec.lr * factor


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Scale the gradients so that their common Euclidean norm is at most `max_norm` (arXiv 1211.5063, section 3.2).

    Call it on gradients that are averaged over the workers: then it does the same on each. Shorter gradients stay
    bit for bit; those that are not finite stay so, for the health check to find.
    """
    nn.utils.clip_grad_norm_(parameters, max_norm)
