"""Penalties on the weights of a network, and what keeps its weights within bounds."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganray.objectives.logit_penalties import in_full
from ganray.recipe import penalties as specs

Role = Literal["generator", "discriminator"]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class WeightPenalty(nn.Module):
    """What is added to a network's own loss, and what happens to it after each step of its optimizer."""

    adds_loss: ClassVar[bool] = True
    """Whether `forward` is to be called."""
    spec: Any

    def __init__(self, spec: Any, network: nn.Module) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, network: nn.Module) -> Tensor:
        """The penalty with its weight, a scalar."""
        raise NotImplementedError

    def update(self, network: nn.Module) -> None:
        """To be called after each step of the network's optimizer in the game; pre-training goes without."""


class Orthogonal(WeightPenalty):
    """`orthogonal` of every matrix of filters of a network, summed."""

    spec: specs.Orthogonal

    def forward(self, network: nn.Module) -> Tensor:
        return self.spec.weight * torch.stack([orthogonal(filters) for filters in filter_matrices(network)]).sum()


def orthogonal(filters: Tensor) -> Tensor:
    """|W W' * (1 - I)|^2, filters W [out, in]: how far they are from being at right angles (arXiv 1809.11096).

    Their lengths are free.
    """
    products = in_full(filters) @ in_full(filters).T
    return (products - torch.diag(products.diagonal())).square().sum()


def filter_matrices(network: nn.Module) -> Iterator[Tensor]:
    """Every trainable weight of at least two dimensions as [out, -1], as the forward pass sees it.

    Under spectral norm that is the normalised weight; one in train mode makes a power iteration for it, as in a
    forward pass. Embeddings are left out: their rows are codes of classes, not filters.
    """
    for module in network.modules():
        if isinstance(module, (nn.Embedding, parametrize.ParametrizationList)):
            continue
        names = [name for name, _ in module.named_parameters(recurse=False)]
        names += getattr(module, "parametrizations", ())
        for weight in (getattr(module, name) for name in names):
            if weight.ndim > 1 and weight.requires_grad:
                by_output = weight.transpose(0, 1) if isinstance(module, _TRANSPOSED) else weight
                yield by_output.flatten(1)


class HistoricalAveraging(WeightPenalty):
    """weight * |theta - 1/t sum over i = 1 .. t of theta_i|^2 (arXiv 1606.03498, section 3.3).

    theta_i are the network's trainable parameters after its i-th step; before the first the penalty is 0. Their
    average is kept in buffers named after the parameters, with / for the dot.
    """

    spec: specs.HistoricalAveraging
    steps: Tensor

    def __init__(self, spec: specs.HistoricalAveraging, network: nn.Module) -> None:
        super().__init__(spec, network)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                self.register_buffer(_buffer_name(name), torch.zeros_like(parameter, requires_grad=False))

    def forward(self, network: nn.Module) -> Tensor:
        distances = [(in_full(theta) - average).square().sum() for theta, average in self._pairs(network)]
        return self.spec.weight * (self.steps > 0) * torch.stack(distances).sum()

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.steps += 1
        for theta, average in self._pairs(network):
            average.lerp_(theta, (1 / self.steps).to(average.dtype))

    def _pairs(self, network: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
        averages = dict(self.named_buffers())
        for name, theta in network.named_parameters():
            if (average := averages.get(_buffer_name(name))) is not None:
                yield theta, average


def _buffer_name(parameter: str) -> str:
    # Buffers must not have a dot in their names; the prefix keeps them apart from this module's own attributes.
    return f"average/{parameter.replace('.', '/')}"


class WeightClipping(WeightPenalty):
    """Clips every trainable parameter to [-limit, limit] (WGAN, arXiv 1701.07875, algorithm 1).

    Under spectral norm it is the weight before normalisation that is clipped.
    """

    adds_loss = False
    spec: specs.WeightClipping

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-self.spec.limit, self.spec.limit)


WEIGHT_PENALTIES: dict[str, type[WeightPenalty]] = {
    "orthogonal": Orthogonal,
    "historical_averaging": HistoricalAveraging,
    "weight_clipping": WeightClipping,
}


def build_weight_penalties(penalties: Sequence[specs.WeightPenalty], network: nn.Module, role: Role) -> nn.ModuleDict:
    """Those of the specs that apply to the network in this role, by name and in their order.

    Weight clipping applies to the discriminator alone. Build them when the network is on its device, and with the
    parameters that are not to be trained frozen already.
    """
    mine = [spec for spec in penalties if getattr(spec, "network", "discriminator") in (role, "both")]
    return nn.ModuleDict({spec.name: WEIGHT_PENALTIES[spec.name](spec, network) for spec in mine})
