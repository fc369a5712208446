"""Options of the generators: each changes the network, and none of them at its default changes anything."""

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from ganray.models.layers import NoiseInjection
from ganray.models.options import PixelNorm, SelfAttention
from ganray.models.registry import build_generator
from ganray.models.upsampling import LastingDropout, upsampling
from ganray.recipe.generators import Generator

DCGAN_OPTIONS = [
    {"up": "nearest"},
    {"up": "pixel_shuffle"},
    {"norm": "instance"},
    {"norm": "pixel"},
    {"norm": "none"},
    {"activation": "leaky_relu"},
    {"activation": "elu"},
    {"activation": "silu"},
    {"attention": [8]},
    {"attention": [8, 16]},
    {"dropout": 0.3},
    {"noise": True},
    {"output": "linear"},
]
RESNET_OPTIONS = [
    *(option for option in DCGAN_OPTIONS if "up" not in option),
    {"up": "transposed"},
    {"up": "pixel_shuffle"},
    {"hierarchical": True},
    {"orthogonal_init": True},
]
FASTGAN_OPTIONS = [{"activation": "relu"}, {"activation": "leaky_relu"}, {"noise": False}, {"skip": False}]
OPTIONS = [
    *(("dcgan", option) for option in DCGAN_OPTIONS),
    *(("resnet", option) for option in RESNET_OPTIONS),
    *(("fastgan", option) for option in FASTGAN_OPTIONS),
]
SIDES = {"dcgan": 32, "resnet": 32, "fastgan": 64}


def make(name, **options):
    spec = TypeAdapter(Generator).validate_python({"name": name, "width": 4, "latent_dim": 8, **options})
    torch.manual_seed(0)
    return build_generator(spec, SIDES[name])


def awake(network):
    """Weights that start at zero, of noise and attention, at a value that shows."""
    for module in network.modules():
        if isinstance(module, NoiseInjection):
            nn.init.constant_(module.weight, 0.5)
        if isinstance(module, SelfAttention):
            nn.init.constant_(module.gamma, 0.5)
    return network


def latents(n=3):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(2))


def made(network, seed=3):
    torch.manual_seed(seed)
    return network(latents()).full


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=str)
def test_an_option_changes_the_images_and_every_parameter_learns(name, option):
    generator = awake(make(name, **option))
    images = made(generator)
    side = SIDES[name]
    assert images.shape == (3, 3, side, side)
    assert images.isfinite().all()
    assert not torch.equal(images, made(awake(make(name))))
    pair = generator(latents())
    sum((x * torch.randn_like(x)).sum() for x in pair if x is not None).backward()
    lost = [k for k, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert not lost
    assert all(p.grad.isfinite().all() for p in generator.parameters())


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=str)
def test_the_gradient_by_the_latent_can_be_differentiated(name, option):
    # Path length regularisation needs it. In evaluation mode, where no latent feels another.
    generator = awake(make(name, **option)).eval()
    z = latents().requires_grad_()
    torch.manual_seed(3)
    (gradient,) = torch.autograd.grad(generator(z).full.square().sum(), z, create_graph=True)
    assert gradient.any()
    gradient.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in generator.parameters() if p.grad is not None)
    assert any(p.grad is not None and p.grad.any() for p in generator.parameters())


@pytest.mark.parametrize("name", ["dcgan", "fastgan", "resnet"])
def test_labels_are_ignored_by_generators_without_classes(name):
    generator = awake(make(name)).eval()
    plain = made(generator)
    torch.manual_seed(3)
    assert torch.equal(generator(latents(), torch.tensor([0, 1, 2])).full, plain)


def test_the_default_dcgan_is_the_plain_stack_of_the_paper():
    # The paper's layers written out: equal weights, equal images, and the random numbers that follow are equal.
    torch.manual_seed(5)
    reference = []
    for i, (a, b) in enumerate(((8, 16), (16, 8), (8, 4), (4, 3))):
        if i:
            norm = nn.BatchNorm2d(a)
            nn.init.normal_(norm.weight, 1.0, 0.02)
            reference += [norm, nn.ReLU()]
        up = nn.ConvTranspose2d(a, b, 4, *((2, 1) if i else (1, 0)), bias=False)
        nn.init.normal_(up.weight, 0.0, 0.02)
        reference.append(up)
    after = torch.rand(1)
    network = nn.Sequential(*reference)
    torch.manual_seed(5)
    spec = TypeAdapter(Generator).validate_python({"name": "dcgan", "width": 4, "latent_dim": 8})
    generator = build_generator(spec, 32)
    assert torch.equal(torch.rand(1), after)
    ours = generator.state_dict()
    assert [name.removeprefix("stages.") for name in ours] == list(network.state_dict())
    assert all(torch.equal(ours[f"stages.{name}"], value) for name, value in network.state_dict().items())
    assert torch.equal(generator(latents()).full, torch.tanh(network(latents()[:, :, None, None])))


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_dropout_and_noise_act_in_evaluation_too(name):
    for option in ({"dropout": 0.3}, {"noise": True}):
        generator = awake(make(name, **option)).eval()
        assert not torch.equal(made(generator, seed=3), made(generator, seed=4))
        assert torch.equal(made(generator, seed=3), made(generator, seed=3))
    assert torch.equal(made(make(name).eval(), seed=3), made(make(name).eval(), seed=4))


def test_dropout_keeps_the_mean():
    # Survivors are divided by the share that survives: the mean stays, and a share of `probability` is zero.
    dropout = LastingDropout(0.25).eval()
    torch.manual_seed(0)
    x = dropout(torch.ones(100_000))
    assert (x == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert x.unique().tolist() == pytest.approx([0, 4 / 3])


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_noise_of_weight_zero_leaves_the_images_alone(name):
    # Fresh noise has a weight of zero: the same images whatever is drawn.
    generator = make(name, noise=True).eval()
    assert torch.equal(made(generator, seed=3), made(generator, seed=4))


def test_attention_stands_on_the_maps_that_were_asked_for():
    generator = make("dcgan", attention=[8, 16])
    sides = []
    for module in generator.modules():
        if isinstance(module, SelfAttention):
            module.register_forward_hook(lambda m, inputs, y: sides.append(inputs[0].shape[-1]))
    made(generator)
    assert sides == [8, 16]


def test_pixel_norm_scales_every_pixel_of_every_hidden_map():
    generator = make("dcgan", norm="pixel")
    seen = []
    for module in generator.modules():
        if isinstance(module, PixelNorm):
            module.register_forward_hook(lambda m, inputs, y: seen.append(y.square().mean(1)))
    made(generator)
    assert [x.shape[-1] for x in seen] == [4, 8, 16]
    # Where a map is so small that the constant under the root counts, it stays below one.
    assert all((x < 1 + 1e-4).all() for x in seen)


@pytest.mark.parametrize("norm", ["instance", "pixel", "none"])
def test_without_batch_norm_no_image_feels_another(norm):
    generator = make("dcgan", norm=norm)
    assert torch.allclose(generator(latents()).full[:1], generator(latents()[:1]).full, atol=1e-5)


def test_without_norm_the_images_do_not_die_out():
    # At N(0, 0.02) and width 4 their deviation was 1e-5 (measured); batch norm's own start is 0.05.
    for up in ("transposed", "nearest", "pixel_shuffle"):
        assert 0.05 < made(make("dcgan", norm="none", up=up)).std().item() < 0.9


@pytest.mark.parametrize("kind", ["transposed", "nearest", "pixel_shuffle"])
def test_upsampling_by_hand(kind):
    stages = nn.Sequential(*upsampling(kind, 1, 1, bias=False))
    (layer,) = (m for m in stages if hasattr(m, "weight"))
    with torch.no_grad():
        if kind == "pixel_shuffle":  # each of the four channels has the pixel itself times 1, 2, 3, 4
            layer.weight.zero_()
            layer.weight[:, 0, 1, 1] = torch.tensor([1.0, 2.0, 3.0, 4.0])
            expected = [[1, 2], [3, 4]]
        else:
            layer.weight.fill_(1)
            # A single pixel of one: nearest makes four of them, all within reach of each other.
            expected = [[4, 4], [4, 4]] if kind == "nearest" else [[1, 1], [1, 1]]
    assert stages(torch.ones(1, 1, 1, 1))[0, 0].tolist() == expected
    assert stages(torch.ones(2, 1, 8, 8)).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_another_activation_halves_fastgans_convolutions(activation):
    glu, other = make("fastgan"), make("fastgan", activation=activation)
    shapes = [
        {name: m.weight.shape for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
        for network in (glu, other)
    ]
    assert list(shapes[0]) == list(shapes[1])
    assert all(a[0] == 2 * b[0] for a, b in zip(shapes[0].values(), shapes[1].values()))
    assert not [m for m in other.modules() if isinstance(m, nn.GLU)]


def test_fastgan_without_noise_is_the_network_whose_noise_weighs_nothing():
    quiet, noisy = make("fastgan", noise=False), make("fastgan")
    assert not [m for m in quiet.modules() if isinstance(m, NoiseInjection)]
    assert torch.equal(made(quiet), made(noisy))
    assert not torch.equal(made(quiet), made(awake(noisy)))
