"""Every penalty of the registry on every kind of output that a discriminator has."""

import copy
from dataclasses import dataclass
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganray.errors import RecipeError
from ganray.objectives.logit_penalties import cutmix_mask, flip_and_shift, heads_of_mix
from ganray.objectives.penalties import MOST_HEADS, PENALTIES, Judged, build_penalties
from ganray.recipe import penalties as specs

N, SIDE = 2, 8

SPECS = {
    "wgan_gp": specs.WGANGP(name="wgan_gp", weight=7.0),
    "r1": specs.R1(name="r1", gamma=3.0),
    "r2": specs.R2(name="r2", gamma=5.0),
    "dragan": specs.DRAGAN(name="dragan", weight=7.0),
    "lecam": specs.LeCam(name="lecam", weight=2.0, decay=0.5),
    "consistency": specs.Consistency(name="consistency", weight=4.0, balanced=True),
    "cutmix": specs.CutMix(name="cutmix", weight=6.0, probability=1.0, until=0.0),
}
DRAWS_NOTHING = ("r1", "r2", "lecam")


@dataclass
class Output:
    heads: tuple
    pixels: torch.Tensor | None = None


class Discriminator(nn.Module):
    """One hidden layer, smooth, so that finite differences work, and heads of the kind asked for."""

    def __init__(self, kind):
        super().__init__()
        self.hidden = nn.Conv2d(3, 4, 3, padding=1)
        self.whole = nn.Conv2d(4, 1, SIDE)
        self.grid = nn.Conv2d(4, 1, 4, stride=4)
        self.pixel = nn.Conv2d(4, 1, 1)
        self.kind = kind

    def forward(self, x):
        x = self.hidden(x).tanh()
        match self.kind:
            case "scalar":
                return Output((self.whole(x).flatten(),))
            case "patches":
                return Output((self.grid(x),))
            case "two heads":
                return Output((self.whole(x).flatten(1), self.grid(x)))
            case "pixels":
                pixels = self.pixel(x)
                return Output((self.whole(x).flatten(1), pixels), pixels)


KINDS = ("scalar", "patches", "two heads", "pixels")
CASES = [(name, kind) for name in SPECS for kind in KINDS if name != "cutmix" or kind == "pixels"]
of_every_kind = pytest.mark.parametrize(("name", "kind"), CASES, ids=[f"{name}-{kind}" for name, kind in CASES])


def discriminator(kind, dtype=torch.double):
    torch.manual_seed(1)
    return Discriminator(kind).to(dtype)


def draw_images(dtype=torch.double, n=N):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(n, 3, SIDE, SIDE, generator=generator, dtype=torch.double).to(dtype) * 2 - 1 for _ in range(4)]


def loss(heads_real, heads_fake):
    """Of D, as smooth as its logits: the mean over the heads of cross-entropy, in their own precision."""
    pairs = zip(heads_real, heads_fake, strict=True)
    return sum(F.softplus(-real).mean() + F.softplus(fake).mean() for real, fake in pairs) / len(heads_real)


def judged_by(judge, x_real, x_fake, clean_real, clean_fake, batch_mean=torch.mean):
    real, fake = judge(x_real.detach()), judge(x_fake.detach())
    return Judged(judge, x_real, x_fake, clean_real, clean_fake, real, fake, batch_mean, loss)


def build(spec):
    return build_penalties([spec])[spec.name]


def test_the_registry_holds_every_penalty_of_the_recipe():
    union = get_args(specs.Penalty)[0]
    names = {get_args(m.model_fields["name"].annotation)[0] for m in get_args(union)}
    assert names == set(PENALTIES) == set(SPECS)


def test_they_are_built_by_name_in_the_recipes_order():
    built = build_penalties([SPECS["r2"], SPECS["lecam"], SPECS["r1"]])
    assert list(built) == ["r2", "lecam", "r1"]
    assert [penalty.spec for penalty in built.values()] == [SPECS["r2"], SPECS["lecam"], SPECS["r1"]]
    assert not list(build_penalties([]))


# What the penalties are, from D's values alone: derivatives by finite differences, formulas written out once more.


def logit(judge, x):
    """[N]: the mean over each head, then over the heads."""
    means = [head.reshape(len(x), -1).mean(dim=1) for head in judge(x).heads]
    return sum(means) / len(means)


def lengths(judge, x, h=1e-5):
    """[N]: the length of each sample's gradient, by central differences."""
    directions = torch.eye(x[0].numel(), dtype=x.dtype).view(-1, *x.shape[1:])
    slopes = [(logit(judge, image + h * directions) - logit(judge, image - h * directions)) / (2 * h) for image in x]
    return torch.stack([slope.square().sum().sqrt() for slope in slopes])


def expected_gradient_penalty(name, judge, x_real, x_fake, clean_real, clean_fake):
    if name in ("r1", "r2"):
        x, gamma = (x_real, 3.0) if name == "r1" else (x_fake, 5.0)
        return gamma / 2 * (lengths(judge, x) ** 2).mean()
    if name == "wgan_gp":
        share = torch.rand(N, 1, 1, 1, dtype=x_real.dtype)
        x = share * x_real + (1 - share) * x_fake
    else:
        x = x_real + x_real.std(correction=0) / 6 * torch.randn_like(x_real)
    return 7.0 * ((lengths(judge, x) - 1) ** 2).mean()


def expected_logit_penalty(name, judge, x_real, x_fake, clean_real, clean_fake):
    if name == "lecam":  # at the first call the anchors are the batch's means
        real, fake = judge(x_real).heads, judge(x_fake).heads
        terms = [((r - f.mean()) ** 2).mean() + ((f - r.mean()) ** 2).mean() for r, f in zip(real, fake)]
        return 2.0 * sum(terms) / len(terms)
    if name == "consistency":
        total = 0.0
        for x in (clean_real, clean_fake):
            copies = flip_and_shift(x)
            pairs = list(zip(judge(x).heads, judge(copies).heads))
            means = [(a.reshape(N, -1).mean(dim=1) - b.reshape(N, -1).mean(dim=1)) for a, b in pairs]
            total += 4.0 * sum((m**2).mean() for m in means) / len(means)
        return total
    mask = cutmix_mask(x_real).bool()
    mixed, real, fake = judge(torch.where(mask, x_real, x_fake)), judge(x_real), judge(x_fake)
    target = torch.where(mask, real.pixels, fake.pixels)
    # The whole is fake, each pixel what the mask says; plain logits where the mix has none on that side.
    whole = F.softplus(-real.heads[0]).mean() + F.softplus(mixed.heads[0]).mean()
    own = F.softplus(torch.where(mask, -mixed.pixels, mixed.pixels))
    others = F.softplus(torch.where(mask, fake.pixels, -real.pixels))
    return 6.0 * ((mixed.pixels - target) ** 2).mean() + (whole + (own + others).mean()) / 2


@of_every_kind
def test_value_against_finite_differences(name, kind):
    judge, images = discriminator(kind), draw_images()
    expected_of = expected_gradient_penalty if name in specs.GRADIENT_PENALTIES else expected_logit_penalty
    torch.manual_seed(2)
    with torch.no_grad():
        expected = expected_of(name, judge, *images)
    torch.manual_seed(2)
    value = build(SPECS[name])(judged_by(judge, *images))
    assert value.shape == ()
    assert value.item() > 1e-6
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)


@of_every_kind
def test_gradient_by_the_weights_against_finite_differences(name, kind):
    network, images = discriminator(kind), draw_images()
    names, weights = zip(*network.named_parameters())
    # (What completes the sides of cutmix's mixed images has a value and no gradient: see the test of their gradient.)
    update = {"mixed_images": False} if name == "cutmix" else {}
    fresh = build(SPECS[name].model_copy(update=update))

    def penalty(*weights):
        def judge(x):
            return torch.func.functional_call(network, dict(zip(names, weights)), (x,))

        torch.manual_seed(2)  # the same draws each time
        # A fixed mean: the anchors of lecam follow the weights, but not by their gradient.
        judged = judged_by(judge, *images, batch_mean=lambda x: torch.tensor(0.25, dtype=x.dtype))
        return copy.deepcopy(fresh)(judged)

    assert torch.autograd.gradcheck(penalty, weights, fast_mode=True)


@of_every_kind
def test_d_is_trained_and_nothing_else(name, kind):
    network, images = discriminator(kind, torch.float), draw_images(torch.float)
    generator = nn.Conv2d(3, 3, 1)
    x_real, z, clean_real, _ = images
    x_fake = generator(z)  # as in G's own graph, which the penalty must not enter
    torch.manual_seed(2)
    build(SPECS[name])(judged_by(network, x_real, x_fake, clean_real, x_fake)).backward()
    assert network.hidden.weight.grad.abs().sum() > 0
    assert network.hidden.bias.grad.abs().sum() > 0
    assert all(p.grad is None for p in generator.parameters())
    assert not any(x.requires_grad for x in images)


@of_every_kind
def test_a_single_sample(name, kind):
    network, images = discriminator(kind, torch.float), draw_images(torch.float, n=1)
    value = build(SPECS[name])(judged_by(network, *images))
    value.backward()
    assert value.shape == ()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@of_every_kind
def test_a_discriminator_of_zeros_gives_no_nan(name, kind):
    network, images = discriminator(kind, torch.float), draw_images(torch.float)
    for parameter in network.parameters():
        parameter.data.zero_()
    value = build(SPECS[name])(judged_by(network, *images))
    value.backward()
    assert value.isfinite()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@of_every_kind
def test_half_precision_is_widened(name, kind):
    network, images = discriminator(kind, torch.float), draw_images(torch.bfloat16)

    def judge(x):  # as under autocast: logits of 16 bits
        output = network(x.float())
        pixels = None if output.pixels is None else output.pixels.bfloat16()
        return Output(tuple(head.bfloat16() for head in output.heads), pixels)

    value = build(SPECS[name])(judged_by(judge, *images))
    assert value.dtype == torch.float32
    assert value.isfinite()


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("every", [1, 16])
def test_lazy_penalties_are_multiplied_by_their_interval(name, every):
    judge, images = discriminator("pixels"), draw_images()
    lazy = name in specs.GRADIENT_PENALTIES
    spec = SPECS[name].model_copy(update={"every": every}) if lazy else SPECS[name]
    values = []
    for penalty in (build(SPECS[name]), build(spec)):
        torch.manual_seed(2)
        values.append(penalty(judged_by(judge, *images)).item())
    assert penalty.every == (every if lazy else 1)
    assert values[1] == pytest.approx(penalty.every * values[0], rel=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_only_some_draw_random_numbers(name):
    judge, images = discriminator("pixels"), draw_images()
    before = torch.get_rng_state()
    build(SPECS[name])(judged_by(judge, *images))
    assert torch.equal(before, torch.get_rng_state()) == (name in DRAWS_NOTHING)


@pytest.mark.parametrize("name", SPECS)
def test_state_survives_a_resume(name):
    judge = discriminator("pixels")
    penalty, batches = build(SPECS[name]), [[x + i / 10 for x in draw_images()] for i in range(4)]
    for batch in batches[:3]:
        penalty(judged_by(judge, *batch))
    resumed = build(SPECS[name])
    resumed.load_state_dict(penalty.state_dict())
    values = []
    for each in (penalty, resumed):
        torch.manual_seed(2)
        values.append(each(judged_by(judge, *batches[3])))
    assert torch.equal(*values)


def test_lecam_follows_the_means():
    def judge_of(level):
        return lambda x: Output((torch.full((N,), level), torch.full((N, 1, 2, 2), 2 * level)))

    penalty, x = build(SPECS["lecam"]), draw_images(torch.float)[0]
    for real, fake in ((4.0, -2.0), (2.0, 0.0)):
        value = penalty(Judged(None, x, x, x, x, judge_of(real)(x), judge_of(fake)(x), torch.mean, loss))
    # The first call sets the averages to 4 and -2; the second, with decay 1/2, moves them to 3 and -1.
    assert penalty.real[:2].tolist() == [3.0, 6.0]
    assert penalty.fake[:2].tolist() == [-1.0, -2.0]
    assert (penalty.real[2:] == 0).all()
    # head 1: (2 + 1)^2 + (0 - 3)^2; head 2: (4 + 2)^2 + (0 - 6)^2; their mean, times the weight of 2
    assert value.item() == pytest.approx(2 * ((9 + 9) + (36 + 36)) / 2)


def test_lecam_over_two_workers_equals_one_large_batch():
    judge, (x_real, x_fake, *_) = discriminator("two heads"), draw_images(n=4)
    whole = build(SPECS["lecam"])
    value = whole(judged_by(judge, x_real, x_fake, x_real, x_fake))
    with torch.no_grad():
        heads = [head.reshape(4, -1).mean(dim=1) for x in (x_real, x_fake) for head in judge(x).heads]

    def mean_over_workers(share):  # stands for an all-reduce: a share is known by its values
        return next(h.mean() for h in heads if any(torch.allclose(share, part) for part in h.split(2)))

    workers = []
    for part in (slice(2), slice(2, None)):
        mine = build(SPECS["lecam"])
        r, f = x_real[part], x_fake[part]
        workers.append(mine(judged_by(judge, r, f, r, f, batch_mean=mean_over_workers)))
        torch.testing.assert_close(mine.real, whole.real)
        torch.testing.assert_close(mine.fake, whole.fake)
    assert torch.stack(workers).mean().item() == pytest.approx(value.item(), rel=1e-6)


def test_lecam_says_when_there_are_too_many_heads():
    x = draw_images(torch.float)[0]
    output = Output((torch.zeros(N),) * (MOST_HEADS + 1))
    with pytest.raises(ValueError, match="17 heads"):
        build(SPECS["lecam"])(Judged(None, x, x, x, x, output, output, torch.mean, loss))


def test_consistency_leaves_the_fakes_out_unless_it_is_balanced():
    judge = discriminator("scalar")
    x_real, x_fake, clean_real, clean_fake = draw_images()
    spec = SPECS["consistency"].model_copy(update={"balanced": False})
    values = []
    for fakes in (clean_fake, -clean_fake):
        torch.manual_seed(2)
        values.append(build(spec)(judged_by(judge, x_real, x_fake, clean_real, fakes)))
    assert torch.equal(*values)


def test_cutmix_trains_d_on_the_mixed_images_alone():
    """The gradient is that of cross-entropy with the mask as the pixels' target and 0 as the whole's, by hand."""
    network, (x_real, x_fake, *_) = discriminator("pixels"), draw_images()
    spec = SPECS["cutmix"].model_copy(update={"weight": 1e-12})
    torch.manual_seed(2)
    found = torch.autograd.grad(build(spec)(judged_by(network, x_real, x_fake, x_real, x_fake)), network.pixel.weight)
    torch.manual_seed(2)
    mask = cutmix_mask(x_real)
    output = network(mask * x_real + (1 - mask) * x_fake)
    of_pixels = F.binary_cross_entropy_with_logits(output.pixels, mask)
    of_whole = F.binary_cross_entropy_with_logits(output.heads[0], torch.zeros_like(output.heads[0]))
    expected = torch.autograd.grad((of_pixels + of_whole) / 2, network.pixel.weight)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-10)


def test_cutmix_may_be_the_consistency_alone():
    judge, images = discriminator("pixels"), draw_images()
    values = []
    for weight in (1.0, 2.0):
        torch.manual_seed(2)
        update = {"mixed_images": False, "weight": weight}
        values.append(build(SPECS["cutmix"].model_copy(update=update))(judged_by(judge, *images)).item())
    assert values[1] == pytest.approx(2 * values[0])


def test_cutmix_with_another_loss_than_of_single_logits():
    """A relativistic loss compares the mix's real pixels with plain fakes, and its fake ones with plain reals."""
    mixed, real, fake = (torch.arange(8.0).view(2, 1, 2, 2) + 100 * i for i in range(3))
    mask = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(1, 1, 2, 2).expand(2, 1, 2, 2)
    of_reals, of_fakes = heads_of_mix(
        [mixed[:, 0, 0, 0], mixed], [real[:, 0, 0, 0], real], [fake[:, 0, 0, 0], fake], mask
    )
    assert of_reals[0].tolist() == [100, 104]
    assert of_fakes[0].tolist() == [0, 4]
    assert of_reals[1][0].flatten().tolist() == [0, 101, 102, 3]
    assert of_fakes[1][0].flatten().tolist() == [200, 1, 2, 203]


def test_cutmix_mixes_the_more_often_the_further_the_trial_is():
    of = build(specs.CutMix(name="cutmix", probability=0.4, until=0.2)).probability
    assert [of(progress) for progress in (0.0, 0.1, 0.2, 1.0)] == pytest.approx([0, 0.2, 0.4, 0.4])
    assert build(specs.CutMix(name="cutmix", until=0)).probability(0.0) == 0.5
    assert build(SPECS["r1"]).probability(0.0) == 1.0


def test_cutmix_without_pixel_logits_names_the_discriminator_to_use():
    judge = discriminator("patches")
    with pytest.raises(RecipeError, match=r"use discriminator\.name: unet"):
        build(SPECS["cutmix"])(judged_by(judge, *draw_images()))
