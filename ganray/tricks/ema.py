"""Exponential moving average of the generator, from which samples are drawn."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = list[Tensor] | tuple[Tensor, ...]
Average = Callable[[Tensors, Tensors, Tensor | int], None]
"""Moves the first tensors towards the second; the third is the number of updates before this one."""


def make_ema(generator: nn.Module, decay: float, warmup: bool = False) -> AveragedModel:
    """A frozen copy of `generator` in eval mode, to be moved by `update_ema` after each of its steps.

    Pass the bare module, not its DDP wrapper. The first update copies the generator; after its states t_1 .. t_k
    the average is d^(k-1) t_1 + (1-d) * sum over i = 2 .. k of d^(k-i) t_i, with d for `decay`. With `warmup`, d is
    at most (1 + t) / (10 + t) at the update that has t before it: 2/11 at the second, 0.9 at the 81st.
    """
    average = _warmed_average(decay) if warmup else get_ema_multi_avg_fn(decay)
    ema = AveragedModel(generator, multi_avg_fn=average, use_buffers=True)
    return ema.requires_grad_(False).eval()


@torch.no_grad()
def update_ema(ema: AveragedModel, generator: nn.Module) -> None:
    """Move parameters and buffers, such as batch norm's statistics, towards the generator's.

    Counters and spectral norm's vectors are copied: a mean of unit vectors is no unit vector, and the spectral
    norm computed from it would be too small.
    """
    ema.update_parameters(generator)
    for (name, averaged), current in zip(ema.module.named_buffers(), generator.buffers()):
        if _is_copied(name, current):
            averaged.copy_(current)


def _warmed_average(decay: float) -> Average:
    """The count is AveragedModel's own `n_averaged`, a buffer: a resumed average goes on where it was."""

    @torch.no_grad()
    def average(averaged: Tensors, current: Tensors, n_averaged: Tensor | int) -> None:
        if not averaged[0].is_floating_point():
            return  # counters are copied by `update_ema`
        t = torch.as_tensor(n_averaged, dtype=averaged[0].dtype)
        towards = 1 - ((1 + t) / (10 + t)).clamp(max=decay)
        change = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(change, towards)
        torch._foreach_add_(averaged, change)

    return average


def is_spectral_vector(name: str) -> bool:
    """Whether a buffer of this name is a singular vector that spectral norm keeps."""
    return ".parametrizations." in f".{name}" and name.endswith(("._u", "._v"))


def _is_copied(name: str, buffer: Tensor) -> bool:
    return is_spectral_vector(name) or not buffer.is_floating_point()
