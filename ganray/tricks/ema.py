"""Exponential moving average of the generator, from which samples are drawn."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def make_ema(generator: nn.Module, decay: float) -> AveragedModel:
    """A frozen copy of `generator` in eval mode, to be moved by `update_ema` after each of its steps.

    Pass the bare module, not its DDP wrapper. The first update copies the generator; after its states t_1 .. t_k
    the average is d^(k-1) t_1 + (1-d) * sum over i = 2 .. k of d^(k-i) t_i, with d for `decay`.
    """
    ema = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
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


def _is_copied(name: str, buffer: Tensor) -> bool:
    spectral = ".parametrizations." in f".{name}" and name.endswith(("._u", "._v"))
    return spectral or not buffer.is_floating_point()
