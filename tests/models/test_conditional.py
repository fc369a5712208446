"""Labels around every generator and every discriminator."""

import copy
from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from ganray.models.conditional import LabelledDiscriminator, LabelledGenerator, feature_channels
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.models.registry import DISCRIMINATORS, GENERATORS, build_discriminator, build_generator
from ganray.recipe import objective as specs
from ganray.recipe.discriminators import Discriminator
from ganray.recipe.generators import Generator

SIDE, N_CLASSES = 64, 3
CONDITIONINGS = [get_args(m.model_fields["name"].annotation)[0] for m in get_args(get_args(specs.Conditioning)[0])]


def conditioning(name):
    return TypeAdapter(specs.Conditioning).validate_python({"name": name})


def make_generator(name, n_classes=N_CLASSES):
    spec = TypeAdapter(Generator).validate_python({"name": name, "width": 4, "latent_dim": 8})
    torch.manual_seed(0)
    return build_generator(spec, SIDE, n_classes)


def make_discriminator(name, how=None, **settings):
    spec = TypeAdapter(Discriminator).validate_python({"name": name, "width": 4, **settings})
    torch.manual_seed(0)
    return build_discriminator(spec, SIDE, N_CLASSES if how else 0, conditioning(how) if how else None)


def images(n=2, seed=1):
    return ImagePair(torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * 2 - 1)


def latents(n=2):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(2))


def seeded(call, *args, **kwargs):
    """Noise and random regions inside a network are the same at each call."""
    torch.manual_seed(3)
    return call(*args, **kwargs)


class Flat(nn.Module):
    """A discriminator that can be followed by hand: the image's mean and maximum are its features."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.asked_quarter = None

    def forward(self, images, *, quarter=None, labels=None):
        self.asked_quarter = quarter
        x = images.full
        features = torch.stack([x.mean(dim=(1, 2, 3)), x.amax(dim=(1, 2, 3))], dim=1) * self.scale
        pixels = x[:, :1]
        return DiscriminatorOutput(
            heads=(features[:, 0], pixels, features[:, 1:]), features=(x, features[:, :, None, None]), pixels=pixels
        )

    def stages_from_image(self):
        return [self]


# The number of pooled features


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_feature_channels_of_every_discriminator(name):
    network = make_discriminator(name)
    list(network.modules())[-1].eval()  # a part in another mode than the rest
    modes = [module.training for module in network.modules()]
    state, rng = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    found = feature_channels(network, SIDE)
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert found == network(images()).pooled.shape[1]


def test_feature_channels_leaves_rng_and_modes_of_any_network():
    class Unruly(Flat):
        def forward(self, images, **kwargs):
            torch.rand(3)
            assert not self.training
            assert not torch.is_grad_enabled()
            return super().forward(images, **kwargs)

    network = Unruly()
    rng = torch.get_rng_state()
    assert feature_channels(network, 8) == 2
    assert network.training
    assert torch.equal(torch.get_rng_state(), rng)


@pytest.mark.parametrize("how", CONDITIONINGS)
def test_feature_channels_of_a_labelled_discriminator(how):
    assert feature_channels(LabelledDiscriminator(Flat(), N_CLASSES, conditioning(how), 8), 8) == 2


# Generators


@pytest.mark.parametrize("name", GENERATORS)
def test_the_label_changes_what_every_generator_makes(name):
    generator = make_generator(name)
    assert isinstance(generator, LabelledGenerator)
    assert generator.latent_dim == 8
    # Of copies: in training mode a power iteration changes the weights from call to call.
    first, again, other = (
        seeded(copy.deepcopy(generator), latents(), torch.tensor(labels)).full for labels in ([0, 1], [0, 1], [0, 2])
    )
    assert first.shape == (2, 3, SIDE, SIDE)
    assert torch.equal(first, again)
    assert not torch.equal(first[1], other[1])
    # In evaluation mode another's label does not matter.
    generator.eval()
    first, other = (seeded(generator, latents(), torch.tensor(labels)).full for labels in ([0, 1], [0, 2]))
    torch.testing.assert_close(first[0], other[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_parameter_of_a_labelled_generator_gets_a_gradient(name):
    generator = make_generator(name)
    made = generator(latents(3), torch.arange(3))
    sum((image * torch.randn_like(image)).sum() for image in made if image is not None).backward()
    assert generator.embedding.weight.grad.any(dim=1).all()
    missing = [key for key, p in generator.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing


@pytest.mark.parametrize("name", GENERATORS)
def test_labelled_generator_state_round_trip(name):
    generator, restored = make_generator(name), make_generator(name)
    nn.init.zeros_(restored.embedding.weight)
    restored.load_state_dict(generator.state_dict())
    made = [seeded(network.eval(), latents(), torch.tensor([1, 2])).full for network in (generator, restored)]
    assert torch.equal(*made)


def test_the_wrapped_generator_gets_latent_plus_embedding_and_the_labels():
    class Echo(nn.Module):
        latent_dim = 8

        def forward(self, z, labels=None):
            return ImagePair(z, labels)

    generator = LabelledGenerator(Echo(), N_CLASSES)
    labels = torch.tensor([2, 0])
    z, passed_on = generator(latents(), labels)
    assert torch.equal(z, latents() + generator.embedding.weight[labels])
    assert torch.equal(passed_on, labels)


def test_a_labelled_generator_wants_labels():
    with pytest.raises(ValueError, match="give labels"):
        make_generator("dcgan")(latents())


# Discriminators


@pytest.mark.parametrize("how", CONDITIONINGS)
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_with_every_conditioning(name, how):
    network = make_discriminator(name, how)
    labels = torch.tensor([0, 2])
    output = network(images(), labels=labels)
    assert (output.classes is None) == (how != "acgan")
    terms = [head.mean() for head in output.heads]
    if output.classes is not None:
        assert output.classes.shape == (2, N_CLASSES)
        terms.append(nn.functional.cross_entropy(output.classes, labels))
    torch.stack(terms).sum().backward()
    own = [p for key, p in network.named_parameters() if not key.startswith("unlabelled")]
    assert own
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in own)


@pytest.mark.parametrize("how", CONDITIONINGS)
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_labels_change_every_head_under_projection_and_nothing_under_acgan(name, how):
    network = make_discriminator(name, how).eval()
    first, other = (seeded(network, images(), labels=torch.tensor(labels)) for labels in ([0, 1], [0, 2]))
    for a, b in zip(first.heads, other.heads):
        torch.testing.assert_close(a[0], b[0])
        assert torch.equal(a[1], b[1]) == (how == "acgan")
    plain = seeded(network.unlabelled, images())
    assert all(torch.equal(a, b) for a, b in zip(plain.features, first.features))
    if how == "acgan":
        assert all(torch.equal(a, b) for a, b in zip(plain.heads, first.heads))


@pytest.mark.parametrize("how", CONDITIONINGS)
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_labelled_discriminator_state_round_trip(name, how):
    network, restored = make_discriminator(name, how), make_discriminator(name, how)
    seeded(network, images(), labels=torch.tensor([0, 1]))  # power iterations move
    restored.load_state_dict(network.state_dict())
    labels = torch.tensor([1, 2])
    outputs = [seeded(n.eval(), images(), labels=labels) for n in (network, restored)]
    assert torch.equal(outputs[0].logits, outputs[1].logits)
    if how == "acgan":
        assert torch.equal(outputs[0].classes, outputs[1].classes)


@pytest.mark.parametrize("how", CONDITIONINGS)
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_stages_are_those_of_the_wrapped_network(name, how):
    network = make_discriminator(name, how)
    # Parameters, as a list of stages may be made afresh at each call.
    found, expected = (
        [id(p) for stage in n.stages_from_image() for p in stage.parameters()] for n in (network, network.unlabelled)
    )
    assert found == expected
    assert found


def test_projection_by_hand():
    network = LabelledDiscriminator(Flat(), N_CLASSES, conditioning("projection"), 8)
    with torch.no_grad():
        network.embedding.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, -1.0]]))
    x = torch.full((2, 3, 8, 8), 0.25)
    x[1, 0, 0, 0] = 0.25 + 192 * 0.5  # mean 0.75, maximum 96.25
    output = network(ImagePair(x), labels=torch.tensor([1, 2]), quarter=3)
    # Features [0.25, 0.25] and [0.75, 96.25]: 0.25 of class 1, 1.5 - 96.25 of class 2.
    added = torch.tensor([0.25, 1.5 - 96.25])
    torch.testing.assert_close(output.heads[0], torch.tensor([0.25, 0.75]) + added)
    torch.testing.assert_close(output.heads[1], x[:, :1] + added.view(2, 1, 1, 1))
    torch.testing.assert_close(output.heads[2], (torch.tensor([0.25, 96.25]) + added)[:, None])
    assert torch.equal(output.pixels, output.heads[1])
    assert network.unlabelled.asked_quarter == 3


def test_projection_is_spectrally_normalised_where_the_network_is():
    for spectral in (False, True):
        network = make_discriminator("dcgan", "projection", spectral_norm=spectral)
        for _ in range(30):
            network(images(), labels=torch.tensor([0, 1]))
        largest = torch.linalg.matrix_norm(network.embedding.weight, ord=2).item()
        assert (largest == pytest.approx(1.0, rel=1e-3)) == spectral


@pytest.mark.parametrize("spectral", [False, True])
def test_projection_can_be_differentiated_twice(spectral):
    network = make_discriminator("dcgan", "projection", spectral_norm=spectral)
    x = images().full.requires_grad_()
    logits = network(ImagePair(x), labels=torch.tensor([0, 1])).logits
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    gradient.square().sum().backward()
    own = dict(network.embedding.named_parameters())
    assert all(p.grad.isfinite().all() and p.grad.any() for p in own.values())


def test_projection_wants_labels_and_acgan_does_not():
    with pytest.raises(ValueError, match="give labels"):
        make_discriminator("dcgan", "projection")(images())
    assert make_discriminator("dcgan", "acgan")(images()).classes is not None


@pytest.mark.parametrize("how", CONDITIONINGS)
def test_wrapping_leaves_the_network_as_it_was(how):
    plain, labelled = make_discriminator("fastgan"), make_discriminator("fastgan", how)
    state = labelled.unlabelled.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in plain.state_dict().items())
