"""The residual pair: layers counted by hand, what labels and hierarchical latents reach, how weights start."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganray.errors import RecipeError
from ganray.models.discriminators.resnet import ResNetDiscriminator
from ganray.models.generators.resnet import ResNetGenerator, latent_parts
from ganray.models.options import MinibatchDiscrimination, MinibatchStd, SelfAttention
from ganray.models.outputs import ImagePair
from ganray.models.residual import ConditionalNorm, DiscriminatorBlock
from ganray.recipe import discriminators, generators

D_OPTIONS = [
    {},
    {"norm": "batch"},
    {"norm": "instance"},
    {"norm": "layer"},
    {"norm": "group"},
    {"spectral_norm": True},
    {"activation": "relu"},
    {"activation": "elu"},
    {"activation": "silu"},
    {"down": "strided"},
    {"attention": [8]},
    {"attention": [16], "spectral_norm": True},
    {"dropout": 0.3},
    {"minibatch_std": True},
    {"minibatch_discrimination": 5},
    {"depth": 2},
    {"depth": 3, "down": "strided", "minibatch_std": True, "minibatch_discrimination": 3},
]


def make_g(resolution=32, n_classes=0, width=4, latent_dim=8, **options):
    spec = generators.ResNetGenerator(name="resnet", width=width, latent_dim=latent_dim, **options)
    torch.manual_seed(0)
    return ResNetGenerator(spec, resolution, n_classes)


def make_d(resolution=32, width=4, **options):
    torch.manual_seed(0)
    network = ResNetDiscriminator(discriminators.ResNetDiscriminator(name="resnet", width=width, **options), resolution)
    for module in network.modules():
        if isinstance(module, SelfAttention):
            nn.init.constant_(module.gamma, 0.5)
    return network


def latents(n=3, seed=2):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))


def images(n=3, side=32):
    return ImagePair(torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1)


def without_gradient(network):
    return [k for k, p in network.named_parameters() if p.grad is None or not p.grad.any()]


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("resolution", "blocks"), [(32, 3), (64, 4), (128, 5)])
def test_generator_has_a_block_per_doubling(resolution, blocks):
    generator = make_g(resolution)
    assert len(generator.blocks) == blocks
    pair = generator(latents())
    assert pair.full.shape == (3, 3, resolution, resolution)
    assert pair.small is None
    assert pair.full.abs().max() <= 1


def test_generator_parameters_by_hand():
    # Width 4 at 32 px: 32 channels at 4 px, then 16, 8, 4. A block: two norms, 3 x 3 up, 3 x 3, 1 x 1, no bias.
    block = [2 * a + 2 * b + 9 * a * b + 9 * b * b + a * b for a, b in ((32, 16), (16, 8), (8, 4))]
    dense, last = 8 * 16 * 32 + 16 * 32, 2 * 4 + 9 * 4 * 3 + 3
    assert count(make_g()) == dense + sum(block) + last


def test_discriminator_parameters_by_hand():
    # Width 4 at 32 px: 4 channels at 16 px, 8 at 8, 16 at 4, and a block of 16 to 16 without a 1 x 1.
    blocks = [9 * a * b + b + 9 * b * b + b + a * b for a, b in ((3, 4), (4, 8), (8, 16))]
    last = 2 * (9 * 16 * 16 + 16)
    assert count(make_d()) == sum(blocks) + last + 17
    assert count(make_d(depth=2)) - count(make_d()) == sum(2 * (9 * c * c + c) for c in (4, 8, 16))
    # A norm takes the biases of what it follows (all but the first convolution) and brings scale and shift.
    convolutions = [4, 8, 8, 16, 16, 16, 16]
    norms = [4, 8, 8, 16, 16, 16, 16]
    assert count(make_d(norm="batch")) - count(make_d()) == 2 * sum(norms) - sum(convolutions)


@pytest.mark.parametrize("options", D_OPTIONS, ids=str)
def test_every_switch_of_the_discriminator(options):
    discriminator = make_d(**options)
    output = discriminator(images())
    (head,) = output.heads
    assert head.shape == (3,)
    assert output.logits.shape == (3, 1)
    assert [tuple(x.shape[1:]) for x in output.features] == [(4, 16, 16), (8, 8, 8), (16, 4, 4), (16, 4, 4)]
    assert output.pooled.shape == (3, 16)
    if options:
        assert not torch.equal(head, make_d()(images()).heads[0])
    (output.logits * torch.tensor([[1.0], [-2.0], [0.5]])).square().sum().backward()
    assert not without_gradient(discriminator)


@pytest.mark.parametrize("options", D_OPTIONS, ids=str)
def test_the_discriminator_can_be_differentiated_twice(options):
    discriminator = make_d(**options).eval()
    x = images().full.requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(ImagePair(x)).logits.sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in discriminator.parameters() if p.grad is not None)
    weights = [p for p in discriminator.stages.parameters() if p.ndim == 4]
    assert all(p.grad is not None and p.grad.any() for p in weights)


def test_the_logit_is_linear_in_the_sum_over_places():
    discriminator = make_d()
    output = discriminator(images())
    summed = 16 * output.pooled  # 4 x 4 places
    torch.testing.assert_close(
        output.heads[0], F.linear(summed, discriminator.head.weight, discriminator.head.bias)[:, 0]
    )


def test_stages_in_the_order_of_the_image():
    discriminator = make_d(64, depth=2)
    stages = discriminator.stages_from_image()
    x = images(side=64).full
    for stage, side in zip(stages, (32, 16, 8, 4, 4), strict=True):
        x = stage(x)
        assert x.shape[-1] == side
    held = {id(p) for stage in stages for p in stage.parameters()}
    rest = [name for name, p in discriminator.named_parameters() if id(p) not in held]
    assert rest == ["head.weight", "head.bias"]


@pytest.mark.parametrize("down", ["average", "strided"])
def test_a_block_whose_branch_is_silent_is_its_shortcut(down):
    spec = discriminators.ResNetDiscriminator(name="resnet", down=down)
    block = DiscriminatorBlock(spec, 2, 2, halve=True)
    with torch.no_grad():
        for module in block.branch:
            if isinstance(module, nn.Conv2d):
                module.weight.zero_()
        shortcut = block.shortcut[-1]
        shortcut.weight.zero_()
        places = shortcut.weight[0, 0].numel()
        for c in range(2):
            shortcut.weight[c, c] = 1 / places
    x = torch.randn(1, 2, 8, 8)
    by_hand = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(block(x), by_hand)


def test_the_first_block_does_not_rectify_the_image():
    # The image's sign matters to its first convolution: nothing stands before it.
    first = make_d(norm="batch").stages[0][0].branch[0]
    assert isinstance(first, nn.Conv2d)
    assert first.in_channels == 3


def test_spectral_norm_is_on_every_weight():
    discriminator = make_d(spectral_norm=True, attention=[8])
    for _ in range(100):
        discriminator(images(1))
    discriminator.eval()
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            largest = torch.linalg.matrix_norm(module.weight.flatten(1), ord=2)
            assert largest.item() == pytest.approx(1, abs=0.01)


def test_statistics_of_the_batch_join_before_the_head():
    discriminator = make_d(minibatch_std=True, minibatch_discrimination=5)
    assert isinstance(discriminator.last[0], MinibatchStd)
    assert discriminator.last[1].branch[1].in_channels == 17
    assert isinstance(discriminator.closeness[0], MinibatchDiscrimination)
    assert discriminator.head.in_features == 16 + 5


def test_dropout_of_the_discriminator_rests_in_evaluation():
    discriminator = make_d(dropout=0.3)
    assert not torch.equal(discriminator(images()).logits, discriminator(images()).logits)
    discriminator.eval()
    assert torch.equal(discriminator(images()).logits, discriminator(images()).logits)


@pytest.mark.parametrize("norm", ["batch", "instance", "pixel"])
@pytest.mark.parametrize(("hierarchical", "n_classes"), [(True, 0), (False, 3), (True, 3)])
def test_conditions_reach_every_block_and_all_learn(norm, hierarchical, n_classes):
    generator = make_g(norm=norm, hierarchical=hierarchical, n_classes=n_classes)
    labels = torch.tensor([0, 1, 2]) if n_classes else None
    full = generator(latents(), labels).full
    (full * torch.randn_like(full)).sum().backward()
    assert not without_gradient(generator)
    if n_classes:
        assert generator.embedding.weight.grad.any(dim=1).all()
        other = generator(latents(), labels.roll(1)).full
        assert ((full - other).abs().amax(dim=(1, 2, 3)) > 1e-4).all()


def test_a_label_acts_through_the_norms_alone():
    # Scale and shift silenced, labels do not matter.
    generator = make_g(n_classes=3).eval()
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, ConditionalNorm):
                module.to_scale_and_shift.weight.zero_()
    z = latents()
    assert torch.equal(generator(z, torch.tensor([0, 1, 2])).full, generator(z, torch.tensor([2, 2, 0])).full)


def test_labels_are_needed_where_there_are_classes():
    with pytest.raises(ValueError, match="needs the label"):
        make_g(n_classes=3)(latents())


def test_without_norm_labels_have_nothing_to_act_on():
    generator = make_g(norm="none", n_classes=3)
    assert torch.equal(generator(latents()).full, generator(latents(), torch.tensor([0, 1, 2])).full)
    assert not [m for m in generator.modules() if isinstance(m, nn.Embedding)]


def test_conditional_batch_norm_by_hand():
    norm = ConditionalNorm("batch", 2, 3)
    x, condition = torch.randn(4, 2, 5, 5), torch.randn(4, 3)
    mean, var = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), correction=0, keepdim=True)
    weight, bias = norm.to_scale_and_shift.weight, norm.to_scale_and_shift.bias
    both = condition @ weight.T + bias
    scale, shift = both[:, :2, None, None], both[:, 2:, None, None]
    torch.testing.assert_close(norm(x, condition), (1 + scale) * (x - mean) / (var + 1e-5).sqrt() + shift)


def test_a_norm_that_cannot_be_conditioned():
    with pytest.raises(ValueError, match="no scale and shift"):
        ConditionalNorm("none", 4, 3)


def test_parts_of_a_hierarchical_latent():
    assert latent_parts(8, 32) == [2, 2, 2, 2]  # the 4 x 4 map and three blocks
    assert latent_parts(120, 128) == [20] * 6  # BigGAN at 128 px: 20 each
    assert latent_parts(10, 64) == [2, 2, 2, 2, 2]
    assert latent_parts(7, 32) == [2, 2, 2, 1]
    with pytest.raises(RecipeError, match=r"5 parts at 64 px.*at least 5"):
        latent_parts(4, 64)


def test_each_block_sees_its_part_of_the_latent():
    generator = make_g(hierarchical=True).eval()
    seen = {}
    for name, block in generator.blocks.items():
        block.register_forward_hook(lambda m, inputs, y, name=name: seen.__setitem__(name, y.detach().clone()))
    z = latents()
    generator(z)
    before = dict(seen)
    for i, changed in enumerate(("first", "8", "16", "32")):
        moved = z.clone()
        moved[:, 2 * i : 2 * i + 2] += 1
        generator(moved)
        differs = [not torch.equal(before[name], seen[name]) for name in ("8", "16", "32")]
        assert differs == [j >= i - 1 for j in range(3)], changed


@pytest.mark.parametrize("up", ["nearest", "pixel_shuffle", "transposed"])
def test_orthogonal_weights(up):
    generator = make_g(orthogonal_init=True, hierarchical=True, n_classes=3, attention=[16], up=up)
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)
    matrices = [m.weight.detach().flatten(1) for m in generator.modules() if isinstance(m, kinds)]
    assert len(matrices) == 1 + 1 + 3 * (3 + 2) + 4 + 1  # embedding, dense, blocks, attention, image
    for w in matrices:
        gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)


def test_xavier_weights_stay_within_their_bound():
    generator = make_g(width=16)
    weight = generator.blocks["8"].same[0].weight
    fan = 9 * 64
    bound = (6 / (fan + fan)) ** 0.5
    assert 0.95 * bound < weight.abs().max() <= bound


@pytest.mark.parametrize("option", [{"noise": True}, {"dropout": 0.3}])
def test_noise_and_dropout_are_in_every_block(option):
    plain, other = make_g(), make_g(**option)
    kinds = [type(m).__name__ for m in other.modules()]
    name = "NoiseInjection" if "noise" in option else "LastingDropout"
    assert kinds.count(name) == (6 if "noise" in option else 3)  # dropout's one module acts twice in each block
    if "noise" in option:
        assert count(other) - count(plain) == 6


def test_options_combine():
    every = itertools.product(["nearest", "pixel_shuffle", "transposed"], ["batch", "instance", "pixel"], [0, 2])
    for up, norm, n_classes in every:
        generator = make_g(
            up=up, norm=norm, n_classes=n_classes, hierarchical=True, noise=True, dropout=0.2, attention=[8, 16],
            activation="leaky_relu", orthogonal_init=True, output="linear",
        )  # fmt: skip
        labels = torch.tensor([0, 1, 1]) if n_classes else None
        assert generator(latents(), labels).full.isfinite().all()
