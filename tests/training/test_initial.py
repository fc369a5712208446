"""Weights from an earlier training, and layers that stay as they are."""

import re

import fsspec
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from ganray.errors import RecipeError, WeightsError
from ganray.models.outputs import ImagePair
from ganray.models.registry import DISCRIMINATORS, build_discriminator, build_generator
from ganray.recipe.discriminators import DISCRIMINATOR_RESOLUTIONS, Discriminator
from ganray.recipe.initial import Initial
from ganray.recipe.optimizers import SGD, AdamW, RMSprop
from ganray.training.checkpoint import FORMAT, VERSION, save_checkpoint, write_atomically
from ganray.training.distributed import World, average_gradients
from ganray.training.freeze import freeze_stages
from ganray.training.initial import load_initial
from ganray.training.optimizers import build_optimizer
from ganray.training.updates import frozen
from ganray.tricks.ema import make_ema, update_ema


def small(seed, *, sizes=(4, 6, 2)):
    torch.manual_seed(seed)
    a, b, c = sizes
    return nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.Linear(b, c))


@pytest.fixture
def write(tmp_path):
    """A checkpoint of two networks, with an EMA of G where one is given."""

    def make(generator, discriminator, ema=None):
        path = tmp_path / "earlier.pt"
        content = {
            "format": FORMAT,
            "version": VERSION,
            "generator": generator.state_dict(),
            "discriminator": None if discriminator is None else discriminator.state_dict(),
            "ema": None if ema is None else ema.state_dict(),
        }
        write_atomically(content, path)
        return path

    return make


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_everything_is_taken_where_everything_agrees(write):
    old_g, old_d, new_g, new_d = (small(seed) for seed in range(4))
    old_g(torch.randn(8, 4))  # moves batch norm's statistics
    assert load_initial(Initial(checkpoint=str(write(old_g, old_d))), new_g, new_d) == []
    assert same(new_g, old_g)
    assert same(new_d, old_d)


def test_g_takes_the_average_where_there_is_one(write):
    old_g, old_d, new_g, new_d = (small(seed) for seed in range(4))
    ema = make_ema(small(5), 0.9)
    assert load_initial(Initial(checkpoint=str(write(old_g, old_d, ema))), new_g, new_d) == []
    assert same(new_g, ema.module)
    assert not same(new_g, old_g)


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_one_network_can_be_left_alone(write, role):
    old_g, old_d, new_g, new_d = (small(seed) for seed in range(4))
    load_initial(Initial(checkpoint=str(write(old_g, old_d)), **{role: False}), new_g, new_d)
    assert same(new_g, small(2)) == (role == "generator")
    assert same(new_d, small(3)) == (role == "discriminator")


def test_a_recipe_that_takes_neither_is_refused():
    with pytest.raises(ValidationError, match="nothing is taken"):
        Initial(checkpoint="x", generator=False, discriminator=False)


def test_what_does_not_fit_keeps_its_start_and_is_told(write):
    old, new, other = small(0), small(1, sizes=(4, 6, 3)), small(2)
    new.append(nn.Linear(3, 1))
    fresh = {name: value.clone() for name, value in new.state_dict().items()}
    left_out = load_initial(Initial(checkpoint=str(write(old, small(3)))), new, other)
    assert left_out == [
        "generator.2.weight: [3, 6] here, [2, 6] in the checkpoint",
        "generator.2.bias: [3] here, [2] in the checkpoint",
        "generator.3.weight: not in the checkpoint",
        "generator.3.bias: not in the checkpoint",
    ]
    for name, value in new.state_dict().items():
        expected = fresh[name] if name[0] in "23" else old.state_dict()[name]
        assert torch.equal(value, expected), name


def test_the_copies_are_the_networks_own(write):
    old, new = small(0), small(1)
    path = write(old, small(2))
    load_initial(Initial(checkpoint=str(path), discriminator=False), new, small(3))
    assert all(p.requires_grad and p.is_leaf for p in new.parameters())
    with torch.no_grad():
        new[0].weight.zero_()
    assert (old[0].weight != 0).any()


def test_buffers_that_agree_are_not_enough(write):
    old, new = small(0), small(1, sizes=(5, 6, 2))
    new[0], new[1], new[2] = nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)  # num_batches_tracked agrees
    with pytest.raises(WeightsError, match=r"none of its generator's 9 tensors.*0\.weight.*initial\.generator: false"):
        load_initial(Initial(checkpoint=str(write(old, small(2)))), new, small(3))


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "nowhere.pt"
    with pytest.raises(WeightsError, match=re.escape(str(path))):
        load_initial(Initial(checkpoint=str(path)), small(0), small(1))


def test_an_import_without_a_discriminator_says_what_to_do(write):
    initial = Initial(checkpoint=str(write(small(0), None)))
    with pytest.raises(WeightsError, match=r"no discriminator.*initial\.discriminator: false"):
        load_initial(initial, small(1), small(2))
    assert load_initial(initial.model_copy(update={"discriminator": False}), small(1), small(2)) == []


def test_nothing_random_is_drawn(write):
    path, new = write(small(0), small(1)), (small(2), small(3))
    before = torch.get_rng_state()
    load_initial(Initial(checkpoint=str(path)), *new)
    assert torch.equal(before, torch.get_rng_state())


def test_from_a_real_training_to_another_resolution(dcgan, begin, tmp_path):
    """DCGAN of 32 px to 64 px: D has one stage more at its end; all of G's widths shift by one."""
    state, _, steps = begin(dcgan(tricks=[{"name": "ema", "decay": 0.5}]))
    steps(2)
    path = tmp_path / "small.pt"
    save_checkpoint(state, path)
    generator = build_generator(state.recipe.generator, 64)
    discriminator = build_discriminator(state.recipe.discriminator, 64)
    with pytest.raises(WeightsError, match=r"initial\.generator: false"):
        load_initial(Initial(checkpoint=str(path)), generator, discriminator)
    left_out = load_initial(Initial(checkpoint=str(path), generator=False), generator, discriminator)
    assert left_out
    assert all(name.startswith("discriminator.") for name in left_out)
    assert torch.equal(discriminator.stages[0][0].weight, state.discriminator.stages[0][0].weight)


def test_the_new_average_starts_from_the_loaded_weights(write):
    old, new = small(0), small(1)
    load_initial(Initial(checkpoint=str(write(old, small(2)))), new, small(3))
    ema = make_ema(new, 0.9)
    assert same(ema.module, old)
    update_ema(ema, new)
    assert same(ema.module, old)


# FreezeD


class Staged(nn.Module):
    """A network of which each layer is a stage."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def stages_from_image(self):
        return list(self.layers)


def discriminator_of(name):
    spec = TypeAdapter(Discriminator).validate_python({"name": name, "width": 4})
    torch.manual_seed(0)
    resolution = DISCRIMINATOR_RESOLUTIONS[name][0]
    return build_discriminator(spec, resolution), resolution


OPTIMIZERS = [
    AdamW(name="adamw", lr=0.05, weight_decay=0.5),
    SGD(name="sgd", lr=0.1, momentum=0.9),
    RMSprop(name="rmsprop", lr=0.05),
]
TRAINED_FROM_THE_IMAGE_ON = sorted(set(DISCRIMINATORS) - {"projected"})  # its first stages are frozen anyway


def train(discriminator, resolution, spec, steps=3):
    """Steps of D and passes of G's through it, as the training step makes them."""
    parameters = [p for p in discriminator.parameters() if p.requires_grad]
    optimizer = build_optimizer(parameters, spec)
    for _ in range(steps):
        x = ImagePair(torch.rand(2, 3, resolution, resolution) * 2 - 1, None)
        optimizer.zero_grad(set_to_none=True)
        discriminator(x).logits.float().square().mean().backward()
        average_gradients(discriminator.parameters(), World())
        optimizer.step()
        with frozen(parameters):
            assert not any(p.requires_grad for p in discriminator.parameters())


@pytest.mark.parametrize("spec", OPTIMIZERS, ids=lambda spec: spec.name)
def test_frozen_layers_do_not_move_and_the_others_do(spec):
    discriminator, resolution = discriminator_of("dcgan")
    freeze_stages(discriminator, 2)
    before = {name: p.detach().clone() for name, p in discriminator.named_parameters()}
    train(discriminator, resolution, spec)
    for name, p in discriminator.named_parameters():
        is_frozen = name.startswith(("stages.0.", "stages.1."))
        assert torch.equal(p, before[name]) == is_frozen, name
        assert p.requires_grad != is_frozen
        assert (p.grad is None) == is_frozen


@pytest.mark.parametrize("name", TRAINED_FROM_THE_IMAGE_ON)
def test_every_discriminator_can_be_frozen_from_the_image_on(name):
    discriminator, resolution = discriminator_of(name)
    first = {id(p) for p in discriminator.stages_from_image()[0].parameters()}
    assert first
    freeze_stages(discriminator, 1)
    before = {name: p.detach().clone() for name, p in discriminator.named_parameters()}
    train(discriminator, resolution, OPTIMIZERS[0])
    moved = {id(p) for name, p in discriminator.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert not moved & first


def test_gradients_still_reach_g_through_frozen_layers():
    discriminator, resolution = discriminator_of("dcgan")
    freeze_stages(discriminator, 2)
    x = torch.rand(2, 3, resolution, resolution, requires_grad=True)
    discriminator(ImagePair(x, None)).logits.sum().backward()
    assert (x.grad != 0).any()


def test_layers_that_the_checkpoint_has_not_trained_are_not_frozen(write):
    old, new = small(0), small(1, sizes=(5, 6, 2))  # the first layer sees another number of channels
    initial = Initial(checkpoint=str(write(small(2), old)), generator=False)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    freeze_stages(Staged(new), 1)
    with pytest.raises(WeightsError, match=r"freeze random weights.*0\.weight: \[6, 5\] here, \[6, 4\]"):
        load_initial(initial, small(3), new)
    assert all(torch.equal(value, before[name]) for name, value in new.state_dict().items())
    new.requires_grad_(True)
    assert load_initial(initial, small(3), new) == ["discriminator.0.weight: [6, 5] here, [6, 4] in the checkpoint"]


def test_more_layers_than_there_are_is_refused():
    discriminator, _ = discriminator_of("dcgan")  # 32 px: three stages
    with pytest.raises(RecipeError, match=r"freeze_d\.layers is 4, but this discriminator has 3 stages"):
        freeze_stages(discriminator, 4)
    assert all(p.requires_grad for p in discriminator.parameters())


def test_nothing_left_to_train_is_refused():
    with pytest.raises(RecipeError, match="leaves nothing"):
        freeze_stages(Staged(nn.Sequential(nn.Linear(2, 1))), 1)


def test_a_checkpoint_behind_a_uri(write, tmp_path):
    old_g, old_d, new_g, new_d = (small(seed) for seed in range(4))
    uri = f"memory://{tmp_path.name}/earlier.pt"
    fsspec.filesystem("memory").pipe_file(uri, write(old_g, old_d).read_bytes())
    assert load_initial(Initial(checkpoint=uri), new_g, new_d) == []
    assert same(new_g, old_g)
    with pytest.raises(WeightsError, match=f"{uri}x: no such file"):
        load_initial(Initial(checkpoint=uri + "x"), new_g, new_d)
