"""One step of the game: who is moved by what, and that speed settings keep it finite."""

import functools

import pytest
import torch

from ganray.models.outputs import ImagePair
from ganray.objectives.generator_losses import ModeSeeking
from ganray.recipe.recipe import Recipe
from ganray.training.distributed import World, average_gradients, global_mean
from ganray.training.inputs import next_batch
from ganray.training.loop import prepare_device
from ganray.training.step import discriminator_step, generator_step
from ganray.training.updates import frozen
from tests.conformance.games import content, little, play


def parameters(network):
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def moved(network, before):
    return {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}


def test_the_discriminator_step_moves_the_discriminator_alone(dcgan, begin, images):
    # (With the hinge the last bias has no gradient at first: reals pull it up as much as fakes pull it down.)
    state, game, _ = begin(dcgan(objective={"loss": {"name": "non_saturating"}}))
    batch = next_batch(state, images())
    x_fake = game.generate(batch.z)
    before_g, before_d = parameters(state.generator), parameters(state.discriminator)
    discriminator_step(state, game, batch, x_fake)
    assert moved(state.discriminator, before_d) == before_d.keys()
    assert not moved(state.generator, before_g)
    assert all(p.grad is None for p in state.generator.parameters())


@pytest.mark.parametrize("loss", ["hinge", "ragan"])
def test_the_generator_step_moves_the_generator_alone(dcgan, begin, images, loss):
    state, game, _ = begin(dcgan(objective={"loss": {"name": loss}}))
    batch = next_batch(state, images())
    x_fake = game.generate(batch.z)
    before_g, before_d = parameters(state.generator), parameters(state.discriminator)
    generator_step(state, game, batch, x_fake)
    assert moved(state.generator, before_g) == before_g.keys()
    assert not moved(state.discriminator, before_d)
    assert all(p.grad is None for p in state.discriminator.parameters())
    assert all(p.requires_grad for p in state.discriminator.parameters())


def test_a_frozen_network_thaws_after_an_exception(dcgan, begin):
    state, _, _ = begin(dcgan())

    def boom():
        with frozen(state.parameters_d):
            assert not any(p.requires_grad for p in state.discriminator.parameters())
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        boom()
    assert all(p.requires_grad for p in state.discriminator.parameters())


def test_the_generator_step_thaws_the_discriminator_where_it_fails(dcgan, begin, images):
    state, game, _ = begin(dcgan())
    batch = next_batch(state, images())
    with pytest.raises(RuntimeError):
        generator_step(state, game, batch, ImagePair(torch.zeros(4, 5, 32, 32), None))  # five channels
    assert all(p.requires_grad for p in state.discriminator.parameters())


def test_an_output_that_nobody_judges_stays_where_it_is(fastgan, begin):
    # FastGAN's small output before a DCGAN discriminator: a gradient of zero, on one worker as on many.
    state, _, train = begin(fastgan(discriminator={"name": "dcgan", "width": 4}))
    before = {n: p.detach().clone() for n, p in state.generator.named_parameters() if "to_small" in n}
    assert before
    train(3)
    after = {n: p for n, p in state.generator.named_parameters() if "to_small" in n}
    assert all(torch.equal(before[n], p) for n, p in after.items())
    assert all(torch.count_nonzero(p.grad) == 0 for p in after.values())
    assert len(state.optimizer_g.state_dict()["state"]) == len(list(state.generator.parameters()))


def test_a_missing_gradient_counts_as_zero_and_frozen_ones_are_left_out():
    a, b, c = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    a.grad = torch.tensor([1.0, 2.0])
    c.requires_grad_(False)
    average_gradients([a, b, c], World())
    assert a.grad.tolist() == [1.0, 2.0]
    assert b.grad.tolist() == [0.0, 0.0]
    assert c.grad is None


def test_a_world_of_one_has_the_plain_mean():
    x = torch.tensor([1.0, 3.0], requires_grad=True)
    global_mean(x).backward()
    assert x.grad.tolist() == [0.5, 0.5]


def test_lazy_penalties_are_counted_at_their_steps_only(dcgan, begin):
    penalties = [{"name": "r1", "every": 3}]
    _, _, train = begin(dcgan(objective={"loss": {"name": "non_saturating"}, "penalties": penalties}))
    assert ["penalty" in stats for stats in train(7)] == [True, False, False, True, False, False, True]


def test_cutmix_mixes_in_its_share_of_the_steps(begin):
    changes = {"objective": {"penalties": [{"name": "cutmix", "until": 0.2}]}, "discriminator": little("unet")}
    recipe = Recipe.model_validate({**content(), **changes, "budget": {"kimg": 0.1, "batch_size": 2}})
    _, _, train = begin(recipe)
    mixed = ["penalty" in stats for stats in train(50)]
    assert not mixed[0]  # nothing at the start of the warm-up
    assert sum(mixed[:10]) < 6  # 2 or 3 of 10 expected while it warms up
    assert 10 < sum(mixed[10:]) < 30  # 20 of 40


def test_mode_seeking_looks_at_one_class_at_a_time(monkeypatch):
    data = {"source": "synthetic", "resolution": 32, "labels": "folders"}
    objective = {"generator_losses": [{"name": "mode_seeking"}], "conditioning": {"name": "projection"}}
    seen = []
    monkeypatch.setattr(ModeSeeking, "measure", lambda _, generated: seen.append(generated) or generated.x_fake.sum())
    play(Recipe.model_validate(content(objective=objective, data=data)), 1)
    play(Recipe.model_validate(content(objective={"generator_losses": objective["generator_losses"]})), 1)
    assert [generated.labelled for generated in seen] == [True, False]


@pytest.mark.parametrize("n", [2, 3])
def test_lazy_losses_of_the_generator_are_counted_by_its_own_turns(dcgan, begin, n):
    # By the trial's steps, due at 0, 2, 4, ..., a loss of each second turn would never meet G's turns at 1, 3, 5, ...
    generator = {"name": "dcgan", "width": 4, "latent_dim": 8, "norm": "none"}
    objective = {"generator_losses": [{"name": "path_length", "every": 2}]}
    tricks = [{"name": "discriminator_steps", "n": n}]
    _, _, train = begin(dcgan(generator=generator, objective=objective, tricks=tricks))
    turns = [stats for stats in train(4 * n) if "loss_g" in stats]
    assert ["auxiliary_g" in stats for stats in turns] == [True, False, True, False]


def test_reals_are_scaled_and_come_in_the_samplers_order(dcgan, begin, images):
    state, _, _ = begin(dcgan())
    order = type(state.sampler)(state.sampler.n_images, 4, state.recipe.seed).next_batch()
    x_real = next_batch(state, images()).x_real
    assert torch.equal(((x_real + 1) * 127.5).round().byte(), images()[order])


def all_finite(readings):
    return all(torch.isfinite(value) for stats in readings for value in stats.values())


@pytest.mark.parametrize("runtime", [{"precision": "bf16"}, {"channels_last": True}], ids=str)
def test_speed_settings_keep_it_finite(dcgan, fastgan, begin, runtime):
    objective = {"loss": {"name": "ragan"}, "penalties": [{"name": "r1"}, {"name": "wgan_gp"}]}
    tricks = [{"name": "diffaugment"}, {"name": "flips"}]
    for recipe in (fastgan(runtime=runtime), dcgan(runtime=runtime, objective=objective, tricks=tricks)):
        state, _, train = begin(recipe)
        assert all_finite(train(2))
        assert {p.dtype for p in state.generator.parameters()} == {torch.float32}


def test_channels_last_changes_the_layout_and_not_the_losses(dcgan, begin):
    _, _, train = begin(dcgan())
    plain = train(3)
    state, _, train = begin(dcgan(runtime={"channels_last": True}))
    other = train(3)
    weight = next(p for p in state.discriminator.parameters() if p.ndim == 4 and p.shape[1] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for a, b in zip(plain, other):
        assert all(torch.allclose(a[name], b[name], rtol=1e-3, atol=1e-6) for name in a)


def test_compiled_networks_train_alike(dcgan, begin, monkeypatch):
    # Dynamo and autograd are traced as in real life; the code generator (a C++ compiler run of half a minute) is not.
    objective = {"loss": {"name": "rpgan"}, "penalties": [{"name": "r1", "every": 2}]}
    _, _, train = begin(dcgan(objective=objective))
    plain = train(3)
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    _, game, train = begin(dcgan(objective=objective, runtime={"compile": True}))
    assert isinstance(game.judge, torch._dynamo.OptimizedModule)
    for a, b in zip(plain, train(3)):
        assert all(torch.allclose(a[name], b[name], rtol=1e-3, atol=1e-6) for name in a)


def test_the_device_is_prepared_anew_for_each_trial():
    torch.backends.cudnn.deterministic = True
    prepare_device(torch.device("cpu"))
    assert not torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
