"""Data parallelism for two networks: gradients are averaged by hand after each backward pass.

DistributedDataParallel expects one forward per backward; a GAN step has several per network, and penalties
differentiate twice. One flattened all-reduce per network and step has none of those limits.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ganray.errors import GanrayError, RecipeError
from ganray.training.pulse import Pulse

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The workers of one trial: my rank, how many we are, and the device that I compute on."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    pulse: Pulse = field(default_factory=Pulse, repr=False, compare=False)
    """This worker's signs of life."""

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """My part of a global batch. Raises ValueError where it cannot be split evenly."""
        if batch_size % self.size:
            raise ValueError(f"batch_size {batch_size} cannot be split over {self.size} workers")
        part = batch_size // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def broadcast(self, value: Any) -> Any:
        """The main worker's value, on every worker."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def any(self, flag: bool) -> bool:
        """Whether any worker says so."""
        return any(self.gather(flag))

    def mean(self, reading: dict[str, float]) -> dict[str, float]:
        """The mean of every worker's readings, the same on all of them."""
        readings = self.gather(reading)
        return {name: sum(r[name] for r in readings) / len(readings) for name in reading}

    def gather(self, value: Any) -> list[Any]:
        """Every worker's value in rank order, on every worker."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def on_main(self, act: Callable[[], T]) -> T:
        """What `act` returns on the main worker, on every worker; what it raises there, all of them raise.

        Collective. Without it, a full disk on the main worker would leave the others waiting for it.
        """
        result, error = _attempt(act) if self.is_main else (None, None)
        self._raise_together(error, is_turn=self.is_main)
        value: T = self.broadcast(result)
        return value

    def in_turn(self, act: Callable[[], T]) -> T:
        """What `act` returns on this worker; the main one goes first, so that the others find what it cached.

        Collective: what any worker raises, all of them raise.
        """
        result: Any = None
        for is_turn in (self.is_main, not self.is_main):
            error = None
            if is_turn:
                result, error = _attempt(act)
            self._raise_together(error, is_turn)
        value: T = result
        return value

    def _raise_together(self, error: Exception | None, is_turn: bool) -> None:
        """Raise what any worker raised; those whose turn it was not wait here for the others."""
        # An exception of another library may not survive pickling: its text does.
        told = error if error is None or isinstance(error, GanrayError) else RuntimeError(f"{_name(error)}: {error}")
        with contextlib.nullcontext() if is_turn else self.pulse.waiting(f"another worker's turn ({self.pulse.what})"):
            gathered = self.gather(told)
        others = [e for e in gathered if e is not None]
        if error is not None:
            raise error
        if others:
            raise others[0]


def _attempt(act: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return act(), None
    except Exception as error:
        return None, error


def _name(error: Exception) -> str:
    return type(error).__name__


def average_gradients(parameters: Iterable[nn.Parameter], world: World) -> None:
    """Replace each gradient by its mean over the workers; a missing one counts as zero, on one worker too.

    (FastGAN's small output is judged by no DCGAN discriminator: Adam must see the same in every world.)
    """
    gradients: list[Tensor] = []
    for p in parameters:
        if p.requires_grad:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            gradients.append(p.grad)
    if world.size > 1:
        _average(gradients, world)


def average_buffers(module: nn.Module, world: World) -> None:
    """Replace each floating-point buffer (batch norm's statistics) by its mean over the workers."""
    if world.size > 1:
        _average([b for b in module.buffers() if b.is_floating_point()], world)


def broadcast_module(module: nn.Module, world: World) -> None:
    """Give every worker the main worker's parameters and buffers."""
    if world.size > 1:
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, src=0)


@torch.no_grad()
def _average(tensors: list[Tensor], world: World) -> None:
    if not tensors:
        return
    flat = torch.cat([t.reshape(-1).float() for t in tensors])
    dist.all_reduce(flat)
    flat /= world.size
    for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors])):
        tensor.copy_(mean.reshape(tensor.shape))


def global_mean(x: Tensor, dim: int | None = None) -> Tensor:
    """The mean over all workers' elements, differentiable: for losses that compare with a batch's mean."""
    mean = x.mean() if dim is None else x.mean(dim)
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return mean
    from torch.distributed.nn.functional import all_reduce

    total: Tensor = all_reduce(mean)
    return total / dist.get_world_size()


def global_batch(x: Tensor) -> Tensor:
    """Every worker's rows, [W * N, ...] of my [N, ...], differentiable: for losses that compare samples."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return x
    from torch.distributed.nn.functional import all_reduce

    # Each worker adds its rows to zeros: torch's differentiable all_gather is on its way out.
    n, rank = len(x), dist.get_rank()
    rows = x.new_zeros(n * dist.get_world_size(), *x.shape[1:])
    rows = rows.index_copy(0, torch.arange(rank * n, (rank + 1) * n, device=x.device), x)
    total: Tensor = all_reduce(rows)
    return total


@contextmanager
def torchrun_world(device: str) -> Iterator[World]:
    """The world that torchrun's environment describes, or a single process without it."""
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    local = int(os.environ.get("LOCAL_RANK", 0))
    chosen = pick_device(device, local)
    if size == 1:
        yield World(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(rank, size, chosen)
    finally:
        dist.destroy_process_group()


def pick_device(wanted: str, local_rank: int = 0) -> torch.device:
    """`auto` takes a GPU where there is one. Raises RecipeError where `cuda` is asked for and absent."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise RecipeError("the device is to be cuda, but torch sees no GPU; set it to auto (runtime.device: auto)")
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device
