"""The shared options: each module against its formula written out, and each switch on each discriminator."""

import copy

import pytest
import torch
from torch import nn

from ganray.models.discriminators.dcgan import DCGANDiscriminator
from ganray.models.discriminators.multi_scale_patch import MultiScalePatchDiscriminator
from ganray.models.discriminators.patch import PatchDiscriminator
from ganray.models.discriminators.unet import UNetDiscriminator
from ganray.models.options import (
    BatchStatistics,
    MinibatchDiscrimination,
    MinibatchStd,
    SelfAttention,
    make_activation,
    make_norm,
)
from ganray.models.outputs import ImagePair
from ganray.recipe import discriminators as specs

SIDE = 32
DISCRIMINATORS = {
    "dcgan": (DCGANDiscriminator, specs.DCGANDiscriminator, {}),
    "patch": (PatchDiscriminator, specs.PatchDiscriminator, {"layers": 2}),
    "multi_scale_patch": (
        MultiScalePatchDiscriminator,
        specs.MultiScalePatchDiscriminator,
        {"layers": 2, "regions": True},
    ),
    "unet": (UNetDiscriminator, specs.UNetDiscriminator, {}),
    "real_esrgan": (UNetDiscriminator, specs.UNetDiscriminator, {"shape": "real_esrgan"}),
}
OPTIONS = [
    {"norm": "batch"},
    {"norm": "instance"},
    {"norm": "layer"},
    {"norm": "group"},
    {"spectral_norm": True},
    {"activation": "relu"},
    {"activation": "elu"},
    {"activation": "silu"},
    {"down": "average"},
    {"attention": (8,)},
    {"attention": (8, 16), "spectral_norm": True},
    {"dropout": 0.3},
    {"minibatch_std": True},
    {"minibatch_discrimination": 3},
    {"minibatch_std": True, "minibatch_discrimination": 3, "norm": "group", "down": "average"},
]
every_discriminator = pytest.mark.parametrize("name", DISCRIMINATORS)
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def build(name, side=SIDE, **options):
    network, spec, settings = DISCRIMINATORS[name]
    torch.manual_seed(0)
    return network(spec(name=spec.model_fields["name"].annotation.__args__[0], width=4, **settings, **options), side)


def images(n=3, side=SIDE, seed=1):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def judge(discriminator, x, seed=2):
    torch.manual_seed(seed)
    return discriminator(ImagePair(x, None))


def opened(discriminator):
    """Attention with a gamma that is not zero."""
    for module in discriminator.modules():
        if isinstance(module, SelfAttention):
            nn.init.constant_(module.gamma, 0.5)
    return discriminator


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# --- norms and activations


@pytest.mark.parametrize(("kind", "dims"), [("instance", (3, 4)), ("group", (2, 3, 4)), ("layer", (1, 2, 3, 4))])
def test_norm_has_zero_mean_and_unit_variance_over_its_part_of_a_sample(kind, dims):
    x = 3 * random(2, 16, 5, 5) + 1
    y = make_norm(kind, 16).double()(x).unflatten(1, (2, 8))  # two groups of eight
    torch.testing.assert_close(y.mean(dims), torch.zeros_like(y.mean(dims)), rtol=0, atol=1e-9)
    torch.testing.assert_close(y.var(dims, correction=0), torch.ones_like(y.mean(dims)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (8, 1), (12, 1), (16, 2), (28, 2), (40, 5), (512, 64)])
def test_groups_have_at_least_eight_channels_where_there_are_so_many(channels, groups):
    assert make_norm("group", channels).num_groups == groups


def test_pixel_norm_has_unit_mean_square_and_is_finite_at_zero():
    y = make_norm("pixel", 6)(random(2, 6, 3, 3))
    torch.testing.assert_close(y.square().mean(dim=1), torch.ones(2, 3, 3, dtype=torch.float64), rtol=1e-6, atol=0)
    assert not make_norm("pixel", 6)(torch.zeros(1, 6, 2, 2)).any()


def test_no_norm_is_the_identity_and_batch_norm_starts_as_in_dcgan():
    x = random(2, 4, 3, 3)
    assert make_norm("none", 4)(x) is x
    torch.manual_seed(0)
    scale = make_norm("batch", 4096).weight
    assert scale.mean().item() == pytest.approx(1, abs=2e-3)
    assert scale.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "at_minus_one", "at_one"),
    [
        ("relu", 0.0, 1.0),
        ("leaky_relu", -0.2, 1.0),
        ("elu", -0.63212056, 1.0),  # 1 / e - 1
        ("silu", -0.26894142, 0.73105858),  # -1 / (1 + e) and 1 / (1 + 1 / e)
    ],
)
def test_activation_values(kind, at_minus_one, at_one):
    torch.testing.assert_close(make_activation(kind)(torch.tensor([-1.0, 1.0])), torch.tensor([at_minus_one, at_one]))


def test_glu_gates_the_first_half_of_the_channels_by_the_second():
    x = random(2, 6, 3, 3)
    assert torch.equal(make_activation("glu")(x), x[:, :3] * torch.sigmoid(x[:, 3:]))


# --- self-attention


def attended_by_loops(block, x):
    """Equations 1 to 3 of arXiv 1805.08318, one place after the other."""

    def project(layer, v):
        return layer.weight[:, :, 0, 0] @ v

    n, _, h, w = x.shape
    out = torch.zeros_like(x)
    for sample in range(n):
        keys, values = [], []
        for i in range(0, h, 2):
            for j in range(0, w, 2):
                four = x[sample, :, i : i + 2, j : j + 2].flatten(1)
                keys.append(project(block.key, four).max(dim=1).values)
                values.append(project(block.value, four).max(dim=1).values)
        for i in range(h):
            for j in range(w):
                query = project(block.query, x[sample, :, i, j])
                scores = torch.stack([query @ key for key in keys])
                shares = scores.exp() / scores.exp().sum()
                mixed = sum(share * value for share, value in zip(shares, values))
                out[sample, :, i, j] = x[sample, :, i, j] + block.gamma * project(block.output, mixed)
    return out


def attention(channels=16, *, spectral=False, gamma=0.0):
    torch.manual_seed(0)
    block = SelfAttention(channels, spectral=spectral).double()
    nn.init.constant_(block.gamma, gamma)
    for layer in (block.query, block.key, block.value, block.output):  # large enough for a softmax that matters
        nn.init.normal_(layer.parametrizations.weight.original if spectral else layer.weight)
    return block


@torch.no_grad()
def test_attention_is_the_papers_sum():
    block, x = attention(gamma=0.7), random(2, 16, 4, 6)
    torch.testing.assert_close(block(x), attended_by_loops(block, x))
    assert not torch.isclose(block(x), x).all()


@pytest.mark.parametrize("spectral", [False, True])
def test_attention_starts_as_the_identity(spectral):
    x = random(2, 16, 4, 4)
    assert torch.equal(SelfAttention(16, spectral=spectral).double()(x), x)


def test_attention_has_an_eighth_and_a_half_of_the_channels():
    assert sum(p.numel() for p in SelfAttention(32, spectral=False).parameters()) == 2 * 32 * 4 + 2 * 32 * 16 + 1
    assert sum(p.numel() for p in SelfAttention(4, spectral=False).parameters()) == 2 * 4 * 1 + 2 * 4 * 2 + 1


def test_attention_under_spectral_norm_has_unit_largest_singular_values():
    block = attention(spectral=True)
    for _ in range(100):
        block(random(1, 16, 2, 2))
    for layer in (block.query, block.key, block.value, block.output):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() == pytest.approx(1, abs=1e-3)


def test_attention_gradients_and_second_gradients_are_those_of_finite_differences():
    block, x = attention(4, gamma=0.7), random(1, 4, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(block, x)
    assert torch.autograd.gradgradcheck(block, x)


# --- statistics of the batch


def test_minibatch_std_is_the_mean_of_the_features_deviations():
    x = random(4, 3, 2, 5)
    y = MinibatchStd()(x.float())
    expected = x.numpy().reshape(4, -1).std(axis=0).mean()
    assert torch.equal(y[:, :3], x.float())
    assert y.shape == (4, 4, 2, 5)
    torch.testing.assert_close(y[:, 3], torch.full((4, 2, 5), expected, dtype=torch.float32), rtol=1e-5, atol=0)


@pytest.mark.parametrize("n", [1, 3])
def test_minibatch_std_of_equal_samples_has_finite_first_and_second_gradients(n):
    x = torch.ones(n, 2, 4, 4, requires_grad=True)
    y = MinibatchStd()(x)[:, 2]
    assert y.max().item() <= 1.01e-4
    (gradient,) = torch.autograd.grad((y * torch.randn_like(y)).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    assert gradient.isfinite().all()
    assert second.isfinite().all()


def test_minibatch_discrimination_is_the_papers_similarity_averaged():
    module = MinibatchDiscrimination(6, 2).double()
    nn.init.normal_(module.projection.weight)
    f = random(3, 6)
    projected = (f @ module.projection.weight.T).reshape(3, 2, 5)  # M of the paper: samples, kernels, rows
    y = module(f)
    assert torch.equal(y[:, :6], f)
    for i in range(3):
        for b in range(2):
            similarities = [(-(projected[i, b] - projected[j, b]).abs().sum()).exp() for j in range(3)]
            torch.testing.assert_close(y[i, 6 + b], sum(similarities) / 3)


def test_minibatch_discrimination_of_equal_samples_is_one():
    module = MinibatchDiscrimination(6, 2)
    torch.testing.assert_close(module(torch.ones(4, 6))[:, 6:], torch.ones(4, 2))
    torch.testing.assert_close(module(torch.randn(1, 6))[:, 6:], torch.ones(1, 2))


def test_batch_statistics_gradients_are_those_of_finite_differences():
    spec = specs.DCGANDiscriminator(name="dcgan", minibatch_std=True, minibatch_discrimination=2)
    module = BatchStatistics(spec, 3).double()
    nn.init.normal_(module.discrimination.projection.weight)
    x = random(3, 3, 2, 2).requires_grad_()
    assert module(x).shape == (3, module.channels, 2, 2) == (3, 6, 2, 2)
    assert torch.autograd.gradcheck(module, x)
    assert torch.autograd.gradgradcheck(module, x)


# --- the switches on the discriminators


@every_discriminator
def test_options_that_are_off_change_nothing(name):
    off = {"norm": "none", "attention": (), "dropout": 0.0, "minibatch_std": False, "minibatch_discrimination": 0}
    default, explicit = build(name), build(name, **off, spectral_norm=False, down="strided", activation="leaky_relu")
    assert list(default.state_dict()) == list(explicit.state_dict())
    assert all("stages" in key or "head" in key or "ups" in key for key in default.state_dict())
    assert torch.equal(judge(default, images()).logits, judge(explicit, images()).logits)
    kinds = {type(module) for module in default.modules()}
    assert not kinds & {nn.Dropout, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, SelfAttention, MinibatchStd}


@every_discriminator
@every_option
def test_an_option_changes_the_judgement(name, options):
    plain, changed = build(name), opened(build(name, **options))
    before, after = judge(plain, images()), judge(changed, images())
    assert [head.shape for head in before.heads] == [head.shape for head in after.heads]
    assert [f.shape for f in before.features] == [f.shape for f in after.features]
    # Weights that the option does not touch are the same, so that the difference is the option's own.
    changed.load_state_dict({k: v for k, v in plain.state_dict().items() if fits(changed, k, v)}, strict=False)
    after = judge(changed, images())
    assert after.logits.isfinite().all()
    assert any((a != b).any() for a, b in zip(before.heads, after.heads))


def fits(network, key, value):
    other = network.state_dict().get(key)
    return other is not None and other.shape == value.shape


@every_discriminator
@every_option
def test_every_parameter_gets_a_gradient(name, options):
    discriminator = opened(build(name, **options))
    logits = judge(discriminator, images()).logits
    (logits * torch.randn_like(logits)).sum().backward()
    for key, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@every_discriminator
@every_option
def test_second_gradients_are_finite_and_reach_the_weights(name, options):
    # As in R1 (arXiv 1801.04406, eq. 9): the squared gradient at the image, differentiated by the weights.
    discriminator = opened(build(name, **options))
    x = images().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(discriminator, x).logits.sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert gradient.any()
    weights = [p for p in discriminator.parameters() if p.ndim == 4]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in weights)
    assert discriminator.stages_from_image()[0].get_parameter(first_weight(discriminator)).grad.any()


def first_weight(discriminator):
    return next(key for key, p in discriminator.stages_from_image()[0].named_parameters() if p.ndim == 4)


@every_discriminator
@every_option
def test_the_same_seed_gives_the_same_network_and_judgement(name, options):
    first, second = build(name, **options), build(name, **options)
    for training in (True, False):
        one, other = (judge(network.train(training), images()) for network in (first, second))
        assert torch.equal(one.logits, other.logits)
    restored = build(name, **options)
    restored.load_state_dict(first.state_dict())
    assert torch.equal(judge(restored.eval(), images()).logits, judge(first.eval(), images()).logits)


@every_discriminator
@pytest.mark.parametrize("options", [{}, {"attention": (8, 16), "minibatch_std": True, "down": "average"}], ids=str)
def test_a_larger_image_and_bf16_give_finite_logits(name, options):
    discriminator = build(name, 128, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = judge(discriminator, images(2, 128))
    exact = judge(discriminator, images(2, 128))
    assert output.logits.isfinite().all()
    assert (output.logits - exact.logits).abs().max() <= 0.1 * exact.logits.abs().max()


@every_discriminator
def test_attention_starts_as_the_network_without_it(name):
    plain, attentive = build(name), build(name, attention=(8,))
    missing = attentive.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing
    before, after = (judge(network, images()) for network in (plain, attentive))
    assert all(torch.equal(a, b) for a, b in zip(before.heads + before.features, after.heads + after.features))


@every_discriminator
def test_attention_is_on_the_maps_of_its_side_alone(name):
    discriminator = build(name, 128, attention=(16, 32))
    seen = []
    for module in discriminator.modules():
        if isinstance(module, SelfAttention):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    judge(discriminator, images(1, 128))
    # At 128 px and two layers, the half scale has a map of 32 and one of 16 px, and so has the region.
    expected = {"patch": [32], "multi_scale_patch": [32, 32, 16, 32, 16]}.get(name, [32, 16])
    assert seen == expected


@every_discriminator
def test_dropout_is_in_every_hidden_layer_and_in_training_alone(name):
    plain, dropping = build(name), build(name, dropout=0.5)
    hidden = sum(isinstance(module, nn.LeakyReLU) for module in plain.modules())
    assert sum(isinstance(module, nn.Dropout) for module in dropping.modules()) == hidden
    assert not torch.equal(judge(dropping, images(), seed=1).logits, judge(dropping, images(), seed=2).logits)
    assert torch.equal(judge(dropping.eval(), images()).logits, judge(plain.eval(), images()).logits)


@every_discriminator
def test_statistics_mix_the_batch_and_all_else_does_not(name):
    x = images()
    others = torch.cat([x[:1], images(2, seed=7)])
    for options, mixes in (
        ({}, False),
        ({"norm": "group", "attention": (8,)}, False),
        ({"minibatch_std": True}, True),
        ({"minibatch_discrimination": 2}, True),
    ):
        discriminator = opened(build(name, **options)).eval()
        one, other = judge(discriminator, x).logits[0], judge(discriminator, others).logits[0]
        assert (not torch.equal(one, other)) is mixes


@every_discriminator
def test_the_norm_is_after_every_convolution_but_the_first(name):
    discriminator = build(name, norm="layer")
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in discriminator.modules() if isinstance(m, nn.GroupNorm)]
    firsts = sum(m.in_channels == 3 for m in convolutions)
    heads = sum(m.out_channels == 1 for m in convolutions)
    assert len(norms) == len(convolutions) - firsts - heads
    # A convolution under a norm needs no bias; the first and the heads have theirs.
    assert sum(m.bias is not None for m in convolutions) == firsts + heads


@every_discriminator
def test_spectral_norm_is_on_every_convolution(name):
    discriminator = build(name, spectral_norm=True, attention=(8,))
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d):
            assert hasattr(module, "parametrizations")


@every_discriminator
def test_average_pooling_has_three_by_three_convolutions_of_stride_one(name):
    halving = [m for m in build(name).modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    averaging = build(name, down="average")
    assert not [m for m in averaging.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert sum(isinstance(m, nn.AvgPool2d) for m in averaging.modules()) == len(halving)
    counts = [sum(p.numel() for p in build(name, down=down).parameters()) for down in ("strided", "average")]
    assert counts[0] - counts[1] == sum((16 - 9) * m.in_channels * m.out_channels for m in halving)


@every_discriminator
def test_freezing_stages_leaves_the_rest_to_train(name):
    discriminator = build(name)
    stages = discriminator.stages_from_image()
    owned = [{id(p) for p in stage.parameters()} for stage in stages]
    assert all(owned)
    assert sum(map(len, owned)) == len(set.union(*owned))  # disjoint
    assert all(m.in_channels == 3 for m in stages[0].modules() if isinstance(m, nn.Conv2d))
    heads = {key for key, p in discriminator.named_parameters() if id(p) not in set.union(*owned)}
    assert heads
    assert all("head" in key for key in heads)
    frozen = copy.deepcopy(discriminator)
    for stage in frozen.stages_from_image()[:2]:
        stage.requires_grad_(False)
    judge(frozen, images()).logits.sum().backward()
    without = sum(p.grad is None for p in frozen.parameters())
    assert without == len(owned[0]) + len(owned[1])
