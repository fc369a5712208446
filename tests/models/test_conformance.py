"""What every generator and every discriminator must do; a new registry entry is tested for free."""

import copy

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ganray.errors import RecipeError
from ganray.models.outputs import DiscriminatorOutput, ImagePair
from ganray.models.registry import DISCRIMINATORS, GENERATORS, build_discriminator, build_generator
from ganray.recipe.discriminators import DISCRIMINATOR_RESOLUTIONS, Discriminator
from ganray.recipe.generators import GENERATOR_RESOLUTIONS, Generator

# Besides the defaults of every entry: switches that change the network.
GENERATOR_VARIANTS = [{"name": "fastgan", "skip": False}]
DISCRIMINATOR_VARIANTS = [
    {"name": "fastgan", "decode": None},
    {"name": "fastgan", "spectral_norm": False},
    {"name": "dcgan", "norm": "batch"},
    {"name": "dcgan", "norm": "instance"},
    {"name": "dcgan", "spectral_norm": True},
]
GENERATOR_SETTINGS = [{"name": name} for name in GENERATORS] + GENERATOR_VARIANTS
DISCRIMINATOR_SETTINGS = [{"name": name} for name in DISCRIMINATORS] + DISCRIMINATOR_VARIANTS


def label(settings):
    return "-".join(str(value) for value in settings.values())


def make_generator(settings, resolution=None):
    spec = TypeAdapter(Generator).validate_python({"width": 4, "latent_dim": 8, **settings})
    torch.manual_seed(0)
    return build_generator(spec, resolution or GENERATOR_RESOLUTIONS[settings["name"]][0])


def make_discriminator(settings, resolution=None):
    spec = TypeAdapter(Discriminator).validate_python({"width": 4, **settings})
    torch.manual_seed(0)
    return build_discriminator(spec, resolution or DISCRIMINATOR_RESOLUTIONS[settings["name"]][0])


def side(settings):
    return DISCRIMINATOR_RESOLUTIONS[settings["name"]][0]


def images(n, resolution, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return ImagePair(torch.rand(n, 3, resolution, resolution, generator=rng) * 2 - 1, None)


def latents(n=3, seed=2):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))


def parameters_without_gradient(network):
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and (
            parameter.grad is None or not parameter.grad.isfinite().all() or not parameter.grad.any()
        ):
            yield name


def with_noise(network):
    """Noise weights start at zero: give every scalar parameter a value, so that noise shows in the output."""
    for parameter in network.parameters():
        if parameter.numel() == 1:
            nn.init.constant_(parameter, 0.5)
    return network


@pytest.mark.parametrize("settings", GENERATOR_SETTINGS, ids=label)
@pytest.mark.parametrize("factor", [1, 2])
def test_generator_makes_images_of_its_resolution_in_range(settings, factor):
    resolution = factor * GENERATOR_RESOLUTIONS[settings["name"]][0]
    generator = make_generator(settings, resolution)
    assert generator.latent_dim == 8
    pair = generator(100 * latents())
    assert isinstance(pair, ImagePair)
    assert pair.full.shape == (3, 3, resolution, resolution)
    for image in pair:
        if image is not None:
            assert image.shape[:2] == (3, 3)
            assert image.shape[2] == image.shape[3] <= resolution
            assert image.abs().max() <= 1


@pytest.mark.parametrize("settings", GENERATOR_SETTINGS, ids=label)
def test_generator_every_parameter_gets_a_gradient(settings):
    generator = make_generator(settings)
    outputs = [image for image in generator(latents()) if image is not None]
    sum((image * torch.randn_like(image)).sum() for image in outputs).backward()
    assert not list(parameters_without_gradient(generator))


@pytest.mark.parametrize("settings", GENERATOR_SETTINGS, ids=label)
def test_generator_is_deterministic_given_the_seed(settings):
    # Training mode comes first, so that evaluation has batch statistics and power iterations to repeat.
    first, second = (with_noise(make_generator(settings)) for _ in range(2))
    for training in (True, False):
        outputs = []
        for generator in (first, second):
            torch.manual_seed(3)
            outputs.append(generator.train(training)(latents()).full)
        assert torch.equal(*outputs)


@pytest.mark.parametrize("settings", GENERATOR_SETTINGS, ids=label)
def test_generator_copies_are_equal_and_apart(settings):
    generator = with_noise(make_generator(settings))
    generator(latents())  # batch-norm statistics and power iterations move
    copied = copy.deepcopy(generator)
    averaged = AveragedModel(generator, use_buffers=True)
    averaged.update_parameters(generator)
    restored = make_generator(settings)
    restored.load_state_dict(generator.state_dict())
    outputs = []
    for network in (generator, copied, averaged, restored):
        torch.manual_seed(3)
        outputs.append(network.eval()(latents()).full)
    assert all(torch.equal(outputs[0], output) for output in outputs[1:])
    kept = copy.deepcopy(copied.state_dict())
    with torch.no_grad():
        for tensor in generator.state_dict().values():
            tensor.zero_()
    assert all(torch.equal(kept[name], value) for name, value in copied.state_dict().items())


@pytest.mark.parametrize("settings", DISCRIMINATOR_SETTINGS, ids=label)
@pytest.mark.parametrize("factor", [1, 2])
def test_discriminator_output(settings, factor):
    resolution = factor * side(settings)
    output = make_discriminator(settings, resolution)(images(2, resolution))
    assert isinstance(output, DiscriminatorOutput)
    assert output.logits.shape[0] == 2
    assert output.logits.isfinite().all()
    assert output.reconstructions is None
    for feature in output.features or ():
        assert feature.ndim == 4
        assert feature.shape[0] == 2


@pytest.mark.parametrize("settings", DISCRIMINATOR_SETTINGS, ids=label)
def test_discriminator_every_parameter_gets_a_gradient(settings):
    discriminator = make_discriminator(settings)
    output = discriminator(images(2, side(settings)), quarter=1)
    loss = (output.logits * torch.randn_like(output.logits)).sum()
    if output.reconstructions is not None:
        assert output.reconstructions.quarter_index == 1
        for image in output.reconstructions[:3]:
            assert image.abs().max() <= 1
            loss = loss + (image * torch.randn_like(image)).sum()
    loss.backward()
    assert not list(parameters_without_gradient(discriminator))


@pytest.mark.parametrize("settings", DISCRIMINATOR_SETTINGS, ids=label)
def test_discriminator_gradient_reaches_the_image(settings):
    pair = images(2, side(settings))
    pair.full.requires_grad_()
    logits = make_discriminator(settings).eval()(pair).logits
    logits[0].sum().backward()
    assert pair.full.grad[0].any()
    assert not pair.full.grad[1].any()  # evaluation mode: no sample feels another


@pytest.mark.parametrize("settings", DISCRIMINATOR_SETTINGS, ids=label)
def test_discriminator_judges_each_sample_for_itself(settings):
    discriminator = make_discriminator(settings)
    batch = images(3, side(settings)).full
    mixes = any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules())
    # A power iteration in training mode would change the weights from call to call.
    wrapped = any("parametrizations" in name for name, _ in discriminator.named_parameters())
    discriminator.train(not mixes and not wrapped)
    together = discriminator(ImagePair(batch, None)).logits
    alone = torch.cat([discriminator(ImagePair(x[None], None)).logits for x in batch])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)
    assert (together[0] != together[1]).any()
    assert (together[1] != together[2]).any()


@pytest.mark.parametrize("settings", DISCRIMINATOR_SETTINGS, ids=label)
def test_discriminator_state_round_trip(settings):
    discriminator = make_discriminator(settings)
    discriminator(images(2, side(settings)))
    restored = make_discriminator(settings)
    restored.load_state_dict(discriminator.state_dict())
    pair = images(2, side(settings), seed=5)
    assert torch.equal(discriminator.eval()(pair).logits, restored.eval()(pair).logits)


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_every_generator_with_every_discriminator(generator, discriminator):
    resolution = max(GENERATOR_RESOLUTIONS[generator][0], DISCRIMINATOR_RESOLUTIONS[discriminator][0])
    made = make_generator({"name": generator}, resolution)
    judge = make_discriminator({"name": discriminator}, resolution).requires_grad_(False)
    judge(made(latents())).logits.mean().backward()
    assert all(parameter.grad is None for parameter in judge.parameters())
    # FastGAN's small output is not looked at by a discriminator that has no use for it.
    lost = [name for name in parameters_without_gradient(made) if not name.startswith("to_small")]
    assert not lost


@pytest.mark.parametrize("make", [make_generator, make_discriminator])
@pytest.mark.parametrize("resolution", [16, 96, 2048])
def test_unfit_resolution_is_refused(make, resolution):
    with pytest.raises(RecipeError, match=f"not at {resolution} px"):
        make({"name": "dcgan"}, resolution)
