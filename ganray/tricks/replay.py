"""Old fakes shown to D again (arXiv 1612.07828, section 2.3)."""

from typing import Any

import torch
from torch import Tensor, nn

from ganray.recipe import tricks as specs


class Replay(nn.Module):
    """A fixed number of old fakes in 8 bits, in buffers, so that a resumed training goes on exactly.

    Each worker keeps its part of `capacity`. While there is room, every fake is kept. Once full, the fakes of a
    batch that D has just seen for the first time overwrite places drawn at random: a fake stays for
    capacity / ((1 - share) * batch) steps in the mean, with the tail of a geometric distribution (as in the paper;
    a true reservoir sample, uniform over the whole history, would be made of early noise).
    """

    full: Tensor
    small: Tensor | None
    held: Tensor

    def __init__(self, spec: specs.Replay, n_workers: int, resolution: int, small_side: int | None) -> None:
        super().__init__()
        self.share = spec.share
        self.size = max(1, spec.capacity // n_workers)
        self.register_buffer("full", _empty(self.size, resolution))
        self.register_buffer("small", None if small_side is None else _empty(self.size, small_side))
        self.register_buffer("held", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def mix(self, full: Tensor, small: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The batch with some fakes replaced by old ones, both outputs of G alike; then the new ones are kept.

        `full` [N, 3, R, R], `small` [N, 3, S, S] or None, in [-1, 1], before augmentation; what comes back is cut
        off from G. Each image is replaced with probability `share`, none while nothing is held.
        """
        n, device = len(full), full.device
        is_old = (torch.rand(n, device=device) < self.share) & (self.held > 0)
        chosen = (torch.rand(n, device=device) * self.held).long().clamp(max=self.size - 1)
        place, is_kept = self._places(is_old)
        self.held.copy_((self.held + len(place)).clamp(max=self.size))
        mixed = _exchange(self.full, full, is_old, chosen, place, is_kept)
        if small is None or self.small is None:
            return mixed, small
        return mixed, _exchange(self.small, small, is_old, chosen, place, is_kept)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Of what one of another number of workers held, as much as there is room for."""
        for name in ("full", "small"):
            saved, own = state_dict.get(prefix + name), getattr(self, name)
            if saved is not None and own is not None and saved.shape[1:] == own.shape[1:]:
                kept = saved[: self.size]
                state_dict[prefix + name] = torch.cat([kept.to(own.device), own[len(kept) :]])
        if (held := state_dict.get(prefix + "held")) is not None:
            state_dict[prefix + "held"] = held.clamp(max=self.size)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _places(self, is_old: Tensor) -> tuple[Tensor, Tensor]:
        """Where the first fakes of the batch go, each to a place of its own, and whether they do, [at most size].

        Without asking the device how many are held.
        """
        n = min(len(is_old), self.size)
        has_room = self.held < self.size
        in_turn = (self.held + torch.arange(n, device=is_old.device)) % self.size
        at_random = torch.randperm(self.size, device=is_old.device)[:n]
        return torch.where(has_room, in_turn, at_random), has_room | ~is_old[:n]


def _exchange(memory: Tensor, x: Tensor, is_old: Tensor, chosen: Tensor, place: Tensor, is_kept: Tensor) -> Tensor:
    """Read the chosen old fakes into the batch, then write the new ones that are kept."""
    mixed = _where(is_old, _decoded(memory[chosen], x), x)
    memory[place] = _where(is_kept, _encoded(x[: len(place)]), memory[place])
    return mixed


def _empty(size: int, side: int) -> Tensor:
    return torch.zeros(size, 3, side, side, dtype=torch.uint8)


def _encoded(x: Tensor) -> Tensor:
    """[-1, 1] to 0 .. 255, as the reals are stored; what is outside is cut."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).byte()


def _decoded(pixels: Tensor, like: Tensor) -> Tensor:
    return (pixels.float() / 127.5 - 1).to(like.dtype)


def _where(flags: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.where(flags[:, None, None, None], x, y)
