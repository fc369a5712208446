"""Micro-batches: their gradient is the whole batch's for every component that allows them, and for no other."""

import contextlib
import copy
from unittest import mock

import pytest
import torch

from ganray.models.outputs import ImagePair
from ganray.recipe.recipe import Recipe
from ganray.recipe.refusals.micro import why_not_micro
from ganray.training.inputs import next_batch
from ganray.training.micro import make_fakes, spectral_vectors
from ganray.training.step import train_step
from tests.conformance.games import begin, content, little, pictures, play
from tests.conformance.test_switches import COMPONENTS, NAMES, with_component

MICRO = 3
"""Of the four images of a batch: one part of three and one of a single image."""
ALIKE, UNLIKE = 2e-5, 1e-3
"""Largest difference of two gradients, relative to the network's largest one."""
WARM_UP = {"discriminator_steps": 3}
"""Steps before the one that is compared, so that moving averages hold something; it is to be a turn of G."""
G = little("dcgan", latent_dim=8, norm="none")


@contextlib.contextmanager
def same_draws():
    """Every random draw is the same for each image, however many there are; latents and orders stay random.

    (A mode of torch's would end at the backward pass, in which G's activations are made again.)
    """

    def unless_given(constant, drawn):
        return lambda *args, generator=None, **options: (
            drawn(*args, generator=generator, **options) if generator else constant(*args, **options)
        )

    def integers(*args, **options):
        low, high, shape = args if len(args) == 3 else (0, *args)
        return torch.full(shape, low + (high - low) // 3, **options)

    constants = {
        "rand": lambda *shape, **options: torch.zeros(*shape, **options) + 0.3,
        "randn": lambda *shape, **options: torch.zeros(*shape, **options) + 0.3,
        "rand_like": lambda x, **options: torch.full_like(x, 0.3, **options),
        "randn_like": lambda x, **options: torch.full_like(x, 0.3, **options),
        "randint": integers,
        "randperm": torch.arange,
    }
    with contextlib.ExitStack() as stack:
        for name, constant in constants.items():
            stack.enter_context(mock.patch.object(torch, name, unless_given(constant, getattr(torch, name))))
        uniform = mock.patch.object(torch.Tensor, "uniform_", lambda x, low, high: x.fill_(low + 0.3 * (high - low)))
        stack.enter_context(uniform)
        yield


def speak_up(state, game, images):
    """Fresh logits are about 1e-4, where every loss is linear: D's weights grow until they are about 1."""
    x = ImagePair(images.float() / 127.5 - 1, None)
    labels = state.labels
    for _ in range(40):
        with torch.no_grad():
            if game.judge(x, labels=labels).logits.abs().mean() > 1:
                return
            for p in state.discriminator.parameters():
                p.mul_(1.3)


def tree_of(component):
    """The component in a recipe where nothing else looks at the batch as a whole."""
    _, tree = with_component(component)
    if tree["generator"]["name"] != "fastgan":
        tree["generator"]["norm"] = "none"
    if component.name == "wasserstein":
        tree["objective"]["penalties"] = [{"name": "wgan_gp"}]
    for penalty in tree["objective"].get("penalties", []):
        penalty |= {"cutmix": {"probability": 1.0}, "lecam": {"weight": 10.0}}.get(penalty["name"], {})
    return tree


def after_a_step(recipe, micro, warm_up):
    """Gradients, readings and all that has state after one step in passes of `micro` images."""
    state, game = begin(recipe)
    images = pictures(recipe.data.resolution)
    speak_up(state, game, images)
    for _ in range(warm_up):
        train_step(state, game, images)
    state.recipe = recipe.model_copy(update={"runtime": recipe.runtime.model_copy(update={"micro_batch": micro})})
    for optimizer in (state.optimizer_d, state.optimizer_g):  # both networks stay where they are
        optimizer.param_groups[0]["lr"] = 0.0
    with same_draws():
        stats = train_step(state, game, images)
    networks = {"d": state.discriminator, "g": state.generator, "extras": state.extras}
    gradients = {
        role: {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
        for role, network in networks.items()
    }
    vectors = {role: spectral_vectors(networks[role]) for role in "dg"}
    return gradients, stats, dict(state.extras.named_buffers()), vectors


def difference(found, expected):
    """The largest one, relative to the largest value expected."""
    assert found.keys() == expected.keys()
    assert all(torch.isfinite(x).all() for x in (*found.values(), *expected.values()))
    largest = max((float(x.abs().max()) for x in expected.values()), default=0.0)
    return max((float((found[n] - x).abs().max()) for n, x in expected.items()), default=0.0) / max(largest, 1e-12)


def compare(tree, warm_up=4):
    """How far micro-batches are from the whole batch, and why they are refused."""
    recipe = Recipe.model_validate(tree)
    gradients, stats, buffers, vectors = after_a_step(recipe, MICRO, warm_up)
    expected, stats_expected, buffers_expected, vectors_expected = after_a_step(recipe, None, warm_up)
    worst = max(difference(gradients[role], expected[role]) for role in expected)
    if worst < ALIKE:
        assert {n: float(x) for n, x in stats.items()} == pytest.approx(
            {n: float(x) for n, x in stats_expected.items()}, rel=1e-4, abs=1e-5
        )
        for role, expected_here in vectors_expected.items():
            assert all(torch.equal(a, b) for a, b in zip(vectors[role], expected_here, strict=True))
        worst = max(
            [worst, *(difference({"x": buffers[n].float()}, {"x": x.float()}) for n, x in buffers_expected.items())]
        )
    return worst, why_not_micro(recipe)


def check(worst, why_not):
    """Either the same within the rounding, and allowed; or clearly another, and refused."""
    assert worst < ALIKE or worst > UNLIKE
    assert (why_not is None) == (worst < ALIKE), why_not


@pytest.mark.parametrize("component", COMPONENTS, ids=NAMES)
def test_the_gradient_is_the_whole_batchs_or_the_recipe_is_refused(component):
    check(*compare(tree_of(component), WARM_UP.get(component.name, 4)))


OTHERS = {
    "batch norm in G": {"generator": {**G, "norm": "batch"}},
    "pixel norm in G": {"generator": {**G, "norm": "pixel", "attention": [8], "noise": True}},
    "resnet with instance norm": {"generator": little("resnet", latent_dim=8, norm="instance", hierarchical=True)},
    "batch norm in D": {"discriminator": little("dcgan", norm="batch")},
    "group norm in D": {"discriminator": little("dcgan", norm="group")},
    "spectral norm in D": {
        "discriminator": little("patch", spectral_norm=True, attention=[8]),
        "objective": {"penalties": [{"name": "r1"}], "weight_penalties": [{"name": "orthogonal", "network": "both"}]},
    },
    "minibatch_std": {"discriminator": little("dcgan", minibatch_std=True)},
    "minibatch_discrimination": {"discriminator": little("dcgan", minibatch_discrimination=4)},
    "regions": {
        "discriminator": little("multi_scale_patch", regions=True), "data": {"source": "synthetic", "resolution": 64},
    },
    "pull-away": {
        "discriminator": little("autoencoder"), "objective": {"loss": {"name": "ebgan", "pull_away": 0.5}},
    },
    "much at once": {
        "objective": {"loss": {"name": "rpgan"}, "penalties": [{"name": "r1"}, {"name": "r2"}]},
        "tricks": [{"name": "flips"}, {"name": "ada", "kimg": 0.05, "interval": 1}, {"name": "replay", "capacity": 8},
                   {"name": "clip_gradients"}, {"name": "instance_noise"}],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_the_same_of_fields_and_of_many_components_together(name):
    plain = content(generator=copy.deepcopy(G), objective={"loss": {"name": "non_saturating"}})
    check(*compare({**plain, **copy.deepcopy(OTHERS[name])}))


def test_pretraining_moves_latents_and_generator_as_the_whole_batch_does():
    tree = content(generator=copy.deepcopy(G), tricks=[{"name": "pretrain", "kimg": 0.1}])
    recipe = Recipe.model_validate(tree)
    assert "loss_d" not in after_a_step(recipe, MICRO, 0)[1]
    check(*compare(tree, warm_up=1))


def test_what_is_made_again_for_gs_gradient_is_made_of_the_same_random_numbers():
    noisy = {**G, "noise": True, "dropout": 0.5}
    recipe = Recipe.model_validate(content(generator=noisy, runtime={"micro_batch": MICRO}))
    state, game = begin(recipe)
    batch = next_batch(state, pictures(32))
    with torch.no_grad():
        for p in state.generator.parameters():  # noise has a weight of zero at first
            p.add_(0.1 * (p.ndim == 1))
    torch.manual_seed(5)
    plain = torch.cat([game.generate(z).full for z in batch.z.split(MICRO)])
    expected = torch.autograd.grad(plain.square().sum(), state.parameters_g)
    torch.manual_seed(5)
    made = make_fakes(state, game, batch).full
    assert torch.equal(made, plain)
    torch.manual_seed(6)
    found = torch.autograd.grad(made.square().sum(), state.parameters_g)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(found, expected))


def test_no_network_sees_more_images_at_once_than_it_may():
    tree = OTHERS["much at once"]
    recipe = Recipe.model_validate(content(generator=copy.deepcopy(G), runtime={"micro_batch": 2}, **tree))
    state, game = begin(recipe)
    seen = {"g": [], "d": []}
    state.generator.register_forward_pre_hook(lambda network, given: seen["g"].append(len(given[0])))
    state.discriminator.register_forward_hook(lambda network, given, said: seen["d"].append(len(said.heads[0])))
    train_step(state, game, pictures(32))
    assert (set(seen["g"]), set(seen["d"])) == ({2}, {2})
    assert len(seen["g"]) == 4, "each of two parts is made for D, and again for G's gradient"


def test_as_many_images_as_there_are_is_no_micro_batch():
    tree = content(generator=copy.deepcopy(G), tricks=[{"name": "ema"}, {"name": "diffaugment"}])
    curves = [
        play(Recipe.model_validate({**tree, "runtime": {"micro_batch": micro}}), 3)[1] for micro in (None, 4, 100)
    ]
    assert curves[0] == curves[1] == curves[2]
