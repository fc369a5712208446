"""What the rules know of the networks is what the networks are."""

import pytest
import torch
from torch import nn

from ganray.models.discriminators.projected import ProjectedHead
from ganray.models.options import SelfAttention
from ganray.models.outputs import ImagePair
from ganray.models.registry import DISCRIMINATORS, GENERATORS, build_discriminator, build_generator
from ganray.recipe.recipe import Recipe
from ganray.recipe.refusals.facts import (
    has_batch_norm,
    map_sides,
    mixes_samples,
    n_latent_parts,
    n_stages,
    smallest_maps,
)
from ganray.recipe.refusals.networks import LEAST_PATCH_MAP

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
SIDES = (8, 16, 32, 64, 128)

NORMED = ("dcgan", "patch", "unet", "resnet")
D_SPECS = [
    *({"name": name, "norm": norm} for name in NORMED for norm in ("none", "batch", "layer")),
    {"name": "patch", "layers": 1},
    {"name": "multi_scale_patch", "layers": 2, "scales": 2, "regions": True},
    {"name": "unet", "shape": "real_esrgan"},
    *({"name": name, "layers": layers} for name in ("dcgan", "unet") for layers in (1, 3)),
    {"name": "unet", "shape": "real_esrgan", "layers": 4},
    {"name": "resnet", "depth": 2},
    {"name": "fastgan", "decode": None},
    {"name": "autoencoder"},
]
G_SPECS = [
    {"name": "dcgan"},
    {"name": "dcgan", "norm": "pixel"},
    {"name": "resnet"},
    {"name": "resnet", "norm": "instance"},
    {"name": "resnet", "hierarchical": True},
    {"name": "resnet", "norm": "pixel", "hierarchical": True},
    {"name": "fastgan"},
]


def recipe(resolution, **parts):
    generator = "dcgan" if resolution <= 256 else "fastgan"
    parts = {"generator": {"name": generator}, "discriminator": {"name": "patch"}, **parts}
    loss = "ebgan" if parts["discriminator"]["name"] == "autoencoder" else "hinge"
    for network in parts.values():
        network.update(width=4)
    data = {"source": "x", "resolution": resolution}
    return Recipe.model_validate({"data": data, "objective": {"loss": {"name": loss}}, **parts})


def discriminator(spec, resolution):
    made = recipe(resolution, discriminator=dict(spec)).discriminator
    return made, build_discriminator(made, resolution)


def generator(spec, resolution):
    made = recipe(resolution, generator=dict(spec)).generator
    return made, build_generator(made, resolution)


def test_the_lists_above_miss_no_architecture():
    # The projected discriminator needs Lite0 and has a test of its own.
    assert {spec["name"] for spec in D_SPECS} == set(DISCRIMINATORS) - {"projected"}
    assert {spec["name"] for spec in G_SPECS} == set(GENERATORS)


def holds_batch_norm(network):
    return any(isinstance(module, BATCH_NORMS) for module in network.modules())


@pytest.mark.parametrize("spec", D_SPECS, ids=str)
def test_discriminators(spec):
    made, network = discriminator(spec, 64)
    assert has_batch_norm(made) == holds_batch_norm(network)
    assert n_stages(made, 64) == len(network.stages_from_image())


MIXING = ({"minibatch_std": True}, {"minibatch_discrimination": 3})
IN_TRAINING = [*D_SPECS, *({"name": name, **options} for name in NORMED for options in MIXING)]


@pytest.mark.parametrize("spec", [s for s in IN_TRAINING if not s.get("regions")], ids=str)  # (draws its quarters)
def test_what_mixes_samples(spec):
    """In training, an image's logits depend on its batch where the rules say so, and nowhere else."""
    torch.manual_seed(0)
    made, network = discriminator(spec, 64)
    network.double()
    images = torch.rand(4, 3, 64, 64, dtype=torch.double) * 2 - 1
    with torch.no_grad():
        together, alone = (network(ImagePair(x, None)).logits[:2] for x in (images, images[:2]))
    assert mixes_samples(made) != torch.allclose(together, alone, rtol=1e-9)


def test_the_projected_discriminator_trains_no_batch_norm():
    # Its heads are all that is trained; the rest would load Lite0.
    made = recipe(64, discriminator={"name": "projected"}).discriminator
    assert not has_batch_norm(made)
    assert not holds_batch_norm(ProjectedHead(8, 4, 16, 0, spectral=True))


@pytest.mark.parametrize(("name", "resolution"), [("fastgan", 128), ("fastgan", 512), ("dcgan", 32), ("unet", 32)])
def test_stages_at_other_resolutions(name, resolution):
    made, network = discriminator({"name": name} | ({"decode": None} if name == "fastgan" else {}), resolution)
    assert n_stages(made, resolution) == len(network.stages_from_image())


@pytest.mark.parametrize("spec", G_SPECS, ids=str)
def test_generators(spec):
    made, network = generator(spec, 64)
    assert has_batch_norm(made) == holds_batch_norm(network)
    if made.name == "resnet" and made.hierarchical:
        assert n_latent_parts(64) == len(network.parts)


def attending(network):
    return sum(isinstance(module, SelfAttention) for module in network.modules())


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "dcgan"},
        {"name": "resnet"},
        {"name": "unet"},
        {"name": "unet", "shape": "real_esrgan"},
        {"name": "dcgan", "layers": 3},
        {"name": "unet", "layers": 2},
        {"name": "unet", "shape": "real_esrgan", "layers": 2},
        {"name": "patch", "layers": 2},
        {"name": "patch", "layers": 4},
        {"name": "multi_scale_patch", "layers": 2, "scales": 3},
        {"name": "multi_scale_patch", "layers": 2, "scales": 1, "regions": True},
    ],
    ids=str,
)
def test_attention_stands_on_the_maps_that_are_there(spec):
    made, _ = discriminator(spec, 128)
    there = map_sides(made, 128)
    for side in SIDES:
        network = build_discriminator(made.model_copy(update={"attention": (side,)}), 128)
        assert bool(attending(network)) == (side in there), side


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_attention_of_generators(name):
    made, _ = generator({"name": name}, 64)
    assert map_sides(made, 64) == (8, 16, 32)
    for side in map_sides(made, 64):
        assert attending(build_generator(made.model_copy(update={"attention": (side,)}), 64)) == 1


def test_the_least_patch_map_is_just_enough():
    for spec, resolution in (({"name": "patch", "layers": 3}, 32), ({"name": "patch", "layers": 5}, 128)):
        made, network = discriminator(spec, resolution)
        assert smallest_maps(made, resolution) == [LEAST_PATCH_MAP]
        (head,) = network(ImagePair(torch.zeros(2, 3, resolution, resolution), None)).heads
        assert head.shape == (2, 1, 2, 2)
