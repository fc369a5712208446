"""Penalties on weights against values computed by hand."""

from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganray.objectives.weight_penalties import WEIGHT_PENALTIES, build_weight_penalties, filter_matrices, orthogonal
from ganray.recipe import penalties as specs

SPECS = {
    "orthogonal": specs.Orthogonal(name="orthogonal", weight=0.5, network="both"),
    "historical_averaging": specs.HistoricalAveraging(name="historical_averaging", weight=2.0),
    "weight_clipping": specs.WeightClipping(name="weight_clipping", limit=0.1),
}
ADDING = [name for name, cls in WEIGHT_PENALTIES.items() if cls.adds_loss]


def build(spec, network):
    return build_weight_penalties([spec], network, "discriminator")[spec.name]


def small_network(dtype=torch.double):
    torch.manual_seed(0)
    return nn.Sequential(
        spectral_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 3, 2), nn.Linear(5, 2)
    ).to(dtype)


def step(network):
    """Every parameter moves, as by an optimizer."""
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p))


def test_the_registry_holds_every_weight_penalty_of_the_recipe():
    union = get_args(specs.WeightPenalty)[0]
    names = {get_args(m.model_fields["name"].annotation)[0] for m in get_args(union)}
    assert names == set(WEIGHT_PENALTIES) == set(SPECS)


@pytest.mark.parametrize(
    ("network", "expected"), [("generator", (True, False)), ("discriminator", (False, True)), ("both", (True, True))]
)
@pytest.mark.parametrize("name", ADDING)
def test_they_are_built_for_the_networks_that_the_recipe_names(name, network, expected):
    spec = SPECS[name].model_copy(update={"network": network})
    built = [build_weight_penalties([spec], small_network(), role) for role in ("generator", "discriminator")]
    assert tuple(name in modules for modules in built) == expected


def test_clipping_is_for_the_discriminator_and_adds_no_loss():
    assert not list(build_weight_penalties([SPECS["weight_clipping"]], small_network(), "generator"))
    assert not build(SPECS["weight_clipping"], small_network()).adds_loss


@pytest.mark.parametrize("name", ADDING)
def test_gradient_against_finite_differences(name):
    network = small_network().eval()  # spectral norm's vectors must not move from one call to the next
    names, weights = zip(*network.named_parameters())
    penalty = build(SPECS[name], network)
    penalty.update(network)
    step(network)

    def value(*weights):
        wrapped = _Called(network, penalty)
        changed = {f"network.{name}": weight for name, weight in zip(names, weights)}
        return torch.func.functional_call(wrapped, changed, ())

    assert value(*weights) > 0
    assert torch.autograd.gradcheck(value, weights, fast_mode=True)


class _Called(nn.Module):
    """A penalty of a network as a forward pass, so that functional_call can replace the network's weights."""

    def __init__(self, network, penalty):
        super().__init__()
        self.network, self.penalty = network, penalty

    def forward(self):
        return self.penalty(self.network)


@pytest.mark.parametrize("name", SPECS)
def test_state_survives_a_resume(name):
    network = small_network(torch.float)
    penalty = build(SPECS[name], network)
    for _ in range(3):
        step(network)
        penalty.update(network)
    resumed = build(SPECS[name], network)
    resumed.load_state_dict(penalty.state_dict())
    assert all("." not in key for key in penalty.state_dict())
    network.eval()
    step(network)
    for each in (penalty, resumed):
        each.update(network)
    if penalty.adds_loss:
        assert torch.equal(penalty(network), resumed(network))
    assert all(torch.equal(a, b) for a, b in zip(penalty.buffers(), resumed.buffers()))


@pytest.mark.parametrize("name", SPECS)
def test_none_draws_random_numbers(name):
    network = small_network()
    before = torch.get_rng_state()
    penalty = build(SPECS[name], network)
    penalty.update(network)
    if penalty.adds_loss:
        penalty(network)
    assert torch.equal(before, torch.get_rng_state())


# Orthogonal regularisation


def test_orthogonal_by_hand():
    # rows (1, 2), (3, 4), (0, 1): products 11, 2, 4, each twice among the off-diagonal elements
    assert orthogonal(torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]])).item() == 2 * (121 + 4 + 16)


def test_filters_at_right_angles_cost_nothing_whatever_their_length():
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.double))
    assert orthogonal(rotation * torch.tensor([[1.0], [2.0], [5.0], [0.1]])).item() == pytest.approx(0, abs=1e-20)


def test_the_filters_of_a_network_are_summed():
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Conv2d(1, 2, 1, bias=True))
    network[0].weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    network[1].weight.data = torch.tensor([2.0, 3.0]).view(2, 1, 1, 1)
    assert build(SPECS["orthogonal"], network)(network).item() == pytest.approx(0.5 * 2 * (121 + 36))


def test_transposed_convolutions_have_their_filters_in_the_second_dimension():
    layer = nn.ConvTranspose2d(3, 5, 2)
    (filters,) = filter_matrices(layer)
    assert filters.shape == (5, 3 * 2 * 2)
    assert torch.equal(filters[1], layer.weight[:, 1].flatten())


def test_under_spectral_norm_the_normalised_weight_counts():
    layer = spectral_norm(nn.Linear(6, 4)).double()
    for _ in range(200):  # until the power iterations have converged
        layer(torch.zeros(1, 6, dtype=torch.double))
    original = layer.parametrizations.weight.original
    normalised = original / torch.linalg.matrix_norm(original, ord=2)
    (filters,) = filter_matrices(layer)
    torch.testing.assert_close(filters, normalised)
    build(SPECS["orthogonal"], layer)(layer).backward()
    assert original.grad.abs().sum() > 0


def test_embeddings_biases_and_frozen_weights_are_left_out():
    network = nn.Sequential(nn.Embedding(3, 4), spectral_norm(nn.Embedding(3, 4)), nn.BatchNorm2d(3), nn.Linear(4, 3))
    assert [m.shape for m in filter_matrices(network)] == [(3, 4)]
    network[3].requires_grad_(False)
    assert not list(filter_matrices(network))


# Historical averaging


def test_historical_averaging_by_hand():
    network = nn.Linear(2, 1)
    penalty = build(SPECS["historical_averaging"], network)

    def become(weight, bias):
        network.weight.data = torch.tensor([weight])
        network.bias.data = torch.tensor([bias])

    become([5.0, 5.0], 5.0)
    assert penalty(network).item() == 0  # nothing is past yet
    for weight, bias in (([1.0, 2.0], 0.0), ([3.0, 0.0], 3.0), ([5.0, 4.0], 0.0)):
        become(weight, bias)
        penalty.update(network)
    become([4.0, 2.0], 3.0)  # the average is (3, 2), 1
    value = penalty(network)
    assert value.item() == pytest.approx(2 * (1 + 0 + 4))
    value.backward()
    torch.testing.assert_close(network.weight.grad, torch.tensor([[4.0, 0.0]]))
    torch.testing.assert_close(network.bias.grad, torch.tensor([8.0]))


def test_the_first_penalty_has_a_gradient_of_zero():
    network = nn.Linear(2, 1)
    build(SPECS["historical_averaging"], network)(network).backward()
    assert (network.weight.grad == 0).all()


def test_averages_are_named_after_the_parameters_and_frozen_ones_have_none():
    network = nn.Sequential(spectral_norm(nn.Linear(3, 2)), nn.Linear(2, 2), nn.Linear(2, 1))
    network[1].requires_grad_(False)
    penalty = build(SPECS["historical_averaging"], network)
    assert set(penalty.state_dict()) == {
        "steps", "average/0/parametrizations/weight/original", "average/0/bias", "average/2/weight", "average/2/bias",
    }  # fmt: skip
    assert not any(b.requires_grad for b in penalty.buffers())


def test_a_parameter_may_be_called_like_an_attribute():
    network = nn.ParameterDict({"spec": nn.Parameter(torch.ones(2)), "steps": nn.Parameter(torch.ones(2))})
    penalty = build(SPECS["historical_averaging"], network)
    penalty.update(network)
    assert penalty(network).item() == 0


# Weight clipping


def test_clipping_brings_every_trainable_parameter_within_the_limit():
    network = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    network[0].weight.data = torch.tensor([[0.5, -0.05]])
    network[0].bias.data = torch.tensor([-3.0])
    network[1].weight.data.fill_(7.0)
    network[1].requires_grad_(False)
    build(SPECS["weight_clipping"], network).update(network)
    torch.testing.assert_close(network[0].weight.data, torch.tensor([[0.1, -0.05]]))
    torch.testing.assert_close(network[0].bias.data, torch.tensor([-0.1]))
    assert network[1].weight.item() == 7.0
