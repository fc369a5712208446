"""Where the weights start from: an earlier training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganray.data.fetched import fetched
from ganray.errors import WeightsError
from ganray.recipe.initial import Initial
from ganray.training.checkpoint import read_checkpoint
from ganray.training.distributed import broadcast_module
from ganray.training.state import TrainState


def start_from(state: TrainState, initial: Initial) -> list[str]:
    """Give a fresh state, its EMA too, the weights of an earlier training; return what keeps its fresh values.

    Collective: the main worker reads the file. Raises WeightsError on every worker where it does not fit.
    """
    left_out = state.world.on_main(lambda: load_initial(initial, state.generator, state.discriminator))
    for network in (state.generator, state.discriminator):
        broadcast_module(network, state.world)
    if state.ema is not None:
        state.ema.module.load_state_dict(state.generator.state_dict())
    return left_out


def load_initial(initial: Initial, generator: nn.Module, discriminator: nn.Module) -> list[str]:
    """Copy what agrees in name and shape from a checkpoint; return what keeps its fresh values, and why.

    G takes the checkpoint's EMA where there is one. Weights of a network without labels fit the one that labels were
    added to. Raises WeightsError where the file is missing or damaged, has nothing for a network that is to be
    filled, or lacks a layer of D that is frozen already.
    """
    path = fetched(initial.checkpoint)
    saved = read_checkpoint(path)
    left_out: list[str] = []
    if initial.generator:
        left_out += _fit(generator, _sampling_weights(saved), "generator", path)
    if initial.discriminator:
        left_out += _fit(discriminator, saved["discriminator"], "discriminator", path)
    return left_out


def _sampling_weights(saved: dict[str, Any]) -> Mapping[str, Tensor]:
    if saved.get("ema") is None:
        weights: Mapping[str, Tensor] = saved["generator"]
        return weights
    prefix = "module."
    return {name.removeprefix(prefix): value for name, value in saved["ema"].items() if name.startswith(prefix)}


@torch.no_grad()
def _fit(network: nn.Module, saved: Mapping[str, Tensor] | None, role: str, path: Path) -> list[str]:
    """Fill `network` in place; what was left out as `role.name: reason`."""
    remedy = f"check initial.checkpoint, or set initial.{role}: false to begin it afresh"
    if saved is None:
        raise WeightsError(f"{path} holds no {role}; {remedy}")
    if not any(name.startswith("unlabelled.") for name in saved):
        network = getattr(network, "unlabelled", network)
    own = network.state_dict()
    left_out = {name: reason for name, tensor in own.items() if (reason := _mismatch(tensor, saved.get(name)))}
    if all(name in left_out for name, _ in network.named_parameters()):
        example = next(iter(left_out.items()), ("nothing", "no parameters"))
        raise WeightsError(
            f"{path}: none of its {role}'s {len(saved)} tensors fits this recipe's {role} "
            f"(for example {example[0]}: {example[1]}); {remedy}"
        )
    _refuse_frozen(network, left_out, path)
    for name, tensor in own.items():
        if name not in left_out:
            tensor.copy_(saved[name])
    return [f"{role}.{name}: {reason}" for name, reason in left_out.items()]


def _refuse_frozen(network: nn.Module, left_out: Mapping[str, str], path: Path) -> None:
    """FreezeD must not keep random layers: what is frozen has to be in the checkpoint."""
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    for name, reason in left_out.items():
        if name in frozen:
            raise WeightsError(
                f"{path}: freeze_d would freeze random weights of the discriminator ({name}: {reason}); use a "
                f"checkpoint of the same discriminator and resolution, or drop freeze_d"
            )


def _mismatch(own: Tensor, saved: Tensor | None) -> str | None:
    if saved is None:
        return "not in the checkpoint"
    if own.shape != saved.shape:
        return f"{list(own.shape)} here, {list(saved.shape)} in the checkpoint"
    return None
