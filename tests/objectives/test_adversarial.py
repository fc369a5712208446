"""Adversarial losses against hand-computed values, and what every entry of the registry must do."""

import math
from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter

from ganray.errors import RecipeError
from ganray.objectives.adversarial import ADVERSARIAL, build_adversarial, over_heads, pull_away
from ganray.recipe.combinations import TAKES_LABELS
from ganray.recipe.objective import Adversarial, EnergyBased, Hinge, LeastSquares, Minimax, NonSaturating
from ganray.recipe.tricks import LabelSmoothing, NoisyMargins

REAL, FAKE = (2.0, -1.0), (0.5, -3.0)
"""Two logits of each kind; every expected value below is arithmetic on these four numbers."""


def softplus(x):
    return math.log1p(math.exp(x))


def log_one_plus(*exponents):
    return math.log(1 + sum(math.exp(e) for e in exponents))


CROSS_ENTROPY = (softplus(-2) + softplus(1)) / 2 + (softplus(0.5) + softplus(-3)) / 2
MEAN_REAL, MEAN_FAKE = (2 - 1) / 2, (0.5 - 3) / 2

# name: (discriminator, generator)
EXPECTED = {
    "minimax": (CROSS_ENTROPY, -(softplus(0.5) + softplus(-3)) / 2),
    "non_saturating": (CROSS_ENTROPY, (softplus(-0.5) + softplus(3)) / 2),
    "hinge": ((0 + (1 + 1)) / 2 + ((1 + 0.5) + 0) / 2, -MEAN_FAKE),
    "lsgan": (((2 - 1) ** 2 + (-1 - 1) ** 2) / 4 + (0.5**2 + 3**2) / 4, ((0.5 - 1) ** 2 + (-3 - 1) ** 2) / 4),
    "wasserstein": (MEAN_FAKE - MEAN_REAL, -MEAN_FAKE),
    # pairs (2, 0.5) and (-1, -3): differences 1.5 and 2
    "rpgan": ((softplus(-1.5) + softplus(-2)) / 2, (softplus(1.5) + softplus(2)) / 2),
    # reals above the mean fake: 3.25 and 0.25; fakes above the mean real: 0 and -3.5
    "ragan": (
        (softplus(-3.25) + softplus(-0.25)) / 2 + (softplus(0) + softplus(-3.5)) / 2,
        (softplus(3.25) + softplus(0.25)) / 2 + (softplus(0) + softplus(3.5)) / 2,
    ),
    # the same differences, against 1 and -1 for D, -1 and 1 for G
    "ralsgan": ((2.25**2 + 0.75**2) / 2 + (1**2 + 2.5**2) / 2, (4.25**2 + 1.25**2) / 2 + (1**2 + 4.5**2) / 2),
    "rahinge": ((0 + 0.75) / 2 + (1 + 0) / 2, (4.25 + 1.25) / 2 + (1 + 4.5) / 2),
    # fake minus real: -1.5 and -5 (real 2), 1.5 and -2 (real -1); G's are their negatives
    "dual_contrastive": (
        (log_one_plus(-1.5, -5) + log_one_plus(1.5, -2)) / 2 + (log_one_plus(-1.5, 1.5) + log_one_plus(-5, -2)) / 2,
        (log_one_plus(1.5, 5) + log_one_plus(-1.5, 2)) / 2 + (log_one_plus(1.5, -1.5) + log_one_plus(5, 2)) / 2,
    ),
    # energies: reals -2 and 1, fakes -0.5 and 3; margin 0.2
    "ebgan": ((-2 + 1) / 2 + ((0.2 + 0.5) + 0) / 2, -MEAN_FAKE),
}

SHAPES = {
    "one per sample": lambda x: x,
    "column": lambda x: x.view(2, 1),
    "patches of one sample": lambda x: x.view(1, 1, 1, 2),
    "patch grid": lambda x: x.view(2, 1, 1, 1).expand(2, 1, 5, 5),
    "per pixel": lambda x: x.view(2, 1, 1, 1).expand(2, 1, 16, 16),
}


def spec_of(name):
    return TypeAdapter(Adversarial).validate_python({"name": name})


def test_the_registry_holds_every_loss_of_the_recipe():
    union = get_args(Adversarial)[0]
    names = {get_args(m.model_fields["name"].annotation)[0] for m in get_args(union)}
    assert names == set(ADVERSARIAL) == set(EXPECTED)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_hand_computed(name, shape):
    loss = build_adversarial(spec_of(name))
    real, fake = shape(torch.tensor(REAL)), shape(torch.tensor(FAKE))
    expected = EXPECTED[name]
    if name == "dual_contrastive" and real.shape[0] == 1:  # places apart: two batches of one real and one fake
        expected = [2 * pairs for pairs in EXPECTED["rpgan"]]
    assert loss.discriminator(real, fake).item() == pytest.approx(expected[0], rel=1e-6)
    assert loss.generator(real, fake).item() == pytest.approx(expected[1], rel=1e-6)


def test_a_single_logit_without_dimensions():
    loss = build_adversarial(spec_of("non_saturating"))
    real, fake = torch.tensor(0.0), torch.tensor(0.0)
    assert loss.discriminator(real, fake).item() == pytest.approx(2 * math.log(2))
    assert loss.generator(real, fake).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_extreme_logits_stay_finite(name, signs):
    loss = build_adversarial(spec_of(name))
    for function in (loss.discriminator, loss.generator):
        real, fake = (torch.full((4, 1), sign * 1e4, requires_grad=True) for sign in signs)
        value = function(real, fake)
        gradients = torch.autograd.grad(value, (real, fake), allow_unused=True)
        assert value.isfinite()
        assert all(g is None or g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_gradients_point_the_right_way(name):
    loss = build_adversarial(spec_of(name))
    # in (0, 1), between the targets of least squares and inside the hinge
    real, fake = (torch.rand(8, 1, 3, 3).requires_grad_() for _ in range(2))
    by_real, by_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    assert (by_real < 0).all()
    assert (by_fake > 0).all()
    by_real, by_fake = torch.autograd.grad(loss.generator(real, fake), (real, fake), allow_unused=True)
    assert (by_fake < 0).all()
    assert (by_real is not None) == loss.needs_real


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_half_precision_logits_are_computed_in_fp32(name):
    loss = build_adversarial(spec_of(name))
    real, fake = (torch.randn(64).bfloat16() for _ in range(2))
    for function in (loss.discriminator, loss.generator):
        value = function(real, fake)
        assert value.dtype == torch.float32
        assert value.shape == ()
        assert torch.equal(value, function(real.float(), fake.float()))


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_no_loss_draws_random_numbers_unasked(name):
    before = torch.get_rng_state()
    loss = build_adversarial(spec_of(name))
    loss.discriminator(torch.zeros(4), torch.zeros(4))
    loss.generator(torch.zeros(4), torch.zeros(4))
    assert torch.equal(before, torch.get_rng_state())


def test_least_squares_with_its_own_targets():
    loss = build_adversarial(LeastSquares(name="lsgan", a=-1, b=1, c=0))
    real, fake = torch.tensor([2.0]), torch.tensor([0.5])
    assert loss.discriminator(real, fake).item() == pytest.approx((2 - 1) ** 2 / 2 + (0.5 + 1) ** 2 / 2)
    assert loss.generator(real, fake).item() == pytest.approx(0.5**2 / 2)


def test_paired_loss_on_batches_of_different_sizes_takes_all_pairs():
    loss = build_adversarial(spec_of("rpgan"))
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0, 5.0])
    differences = [r - f for r in (1, 3) for f in (0, 2, 5)]
    expected_d = sum(softplus(-d) for d in differences) / 6
    expected_g = sum(softplus(d) for d in differences) / 6
    assert loss.discriminator(real, fake).item() == pytest.approx(expected_d)
    assert loss.generator(real, fake).item() == pytest.approx(expected_g)


@pytest.mark.parametrize("spec", [Minimax(name="minimax"), NonSaturating(name="non_saturating")])
@pytest.mark.parametrize(("real_target", "fake_target"), [(0.9, 0.0), (0.8, 0.1)], ids=["one-sided", "two-sided"])
def test_label_smoothing_of_cross_entropy(spec, real_target, fake_target):
    labels = LabelSmoothing(name="label_smoothing", real=real_target, fake=fake_target)
    loss = build_adversarial(spec, label_smoothing=labels)
    real, fake = torch.tensor([2.0]), torch.tensor([-3.0])
    expected = real_target * softplus(-2) + (1 - real_target) * softplus(2)
    expected += fake_target * softplus(3) + (1 - fake_target) * softplus(-3)
    assert loss.discriminator(real, fake).item() == pytest.approx(expected)
    # what G asks of D stays as it was
    assert torch.equal(loss.generator(real, fake), build_adversarial(spec).generator(real, fake))


def test_label_smoothing_of_least_squares():
    labels = LabelSmoothing(name="label_smoothing", real=0.8, fake=0.1)
    loss = build_adversarial(spec_of("lsgan"), label_smoothing=labels)
    real, fake = torch.tensor([2.0]), torch.tensor([-3.0])
    assert loss.discriminator(real, fake).item() == pytest.approx((2 - 0.8) ** 2 / 2 + (-3 - 0.1) ** 2 / 2)
    assert loss.generator(real, fake).item() == pytest.approx((-3 - 1) ** 2 / 2)


def test_noisy_margins_lie_in_their_range():
    margins = NoisyMargins(name="noisy_margins", low=0.8, high=1.0)
    loss = build_adversarial(Hinge(name="hinge"), noisy_margins=margins)
    torch.manual_seed(0)
    # at logits of 0 the loss is the sum of the two margins: mean 1.8, standard deviation 0.2 / sqrt(6)
    sums = torch.stack([loss.discriminator(torch.zeros(1), torch.zeros(1)) for _ in range(2000)])
    assert 1.6 <= sums.min() < 1.64
    assert 1.96 < sums.max() <= 2.0
    assert sums.mean().item() == pytest.approx(1.8, abs=4 * 0.2 / math.sqrt(6 * 2000))
    assert sums.std().item() == pytest.approx(0.2 / math.sqrt(6), rel=0.1)


def test_noisy_margins_are_drawn_per_logit_and_apart_for_reals_and_fakes():
    margins = NoisyMargins(name="noisy_margins", low=0.8, high=1.0)
    loss = build_adversarial(Hinge(name="hinge"), noisy_margins=margins)
    torch.manual_seed(0)
    real = torch.full((100, 1, 10, 10), 0.9, requires_grad=True)
    fake = torch.full((100, 1, 10, 10), -0.9, requires_grad=True)
    value = loss.discriminator(real, fake)
    # E max(0, m - 0.9) over m uniform in [0.8, 1] is (0.1^2 / 2) / 0.2
    assert value.item() == pytest.approx(2 * 0.1**2 / 2 / 0.2, rel=0.05)
    by_real, by_fake = torch.autograd.grad(value, (real, fake))
    inside = [(g != 0) for g in (by_real, by_fake)]
    assert all(i.float().mean().item() == pytest.approx(0.5, abs=0.03) for i in inside)
    assert (inside[0] == inside[1]).float().mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", sorted(set(ADVERSARIAL) - set(TAKES_LABELS)))
def test_label_smoothing_is_refused_where_there_are_no_labels(name):
    with pytest.raises(RecipeError, match=f"{name} has none"):
        build_adversarial(spec_of(name), label_smoothing=LabelSmoothing(name="label_smoothing"))


def test_noisy_margins_are_refused_without_a_hinge():
    with pytest.raises(RecipeError, match="the loss is lsgan"):
        build_adversarial(spec_of("lsgan"), noisy_margins=NoisyMargins(name="noisy_margins"))


def test_relativistic_average_uses_the_given_mean():
    loss = build_adversarial(spec_of("ragan"), batch_mean=lambda logits: torch.tensor(0.25))
    real, fake = torch.tensor([2.0]), torch.tensor([0.5])
    assert loss.discriminator(real, fake).item() == pytest.approx(softplus(-1.75) + softplus(0.25))
    assert loss.generator(real, fake).item() == pytest.approx(softplus(1.75) + softplus(-0.25))
    squares = build_adversarial(spec_of("ralsgan"), batch_mean=lambda logits: torch.tensor(0.25))
    assert squares.discriminator(real, fake).item() == pytest.approx(0.75**2 + 1.25**2)
    hinge = build_adversarial(spec_of("rahinge"), batch_mean=lambda logits: torch.tensor(0.25))
    assert hinge.discriminator(real, fake).item() == pytest.approx(0 + 1.25)


@pytest.mark.parametrize("role", ["discriminator", "generator"])
@pytest.mark.parametrize("name", ["ragan", "ralsgan", "rahinge"])
def test_relativistic_average_over_two_ranks_equals_one_large_batch(name, role):
    spec = spec_of(name)
    real, fake = torch.randn(8, requires_grad=True), torch.randn(8, requires_grad=True)
    whole = getattr(build_adversarial(spec), role)(real, fake)

    def global_mean(logits):  # stands for a differentiable all-reduce: either batch is known by its values
        batch = real if any(torch.equal(logits, half) for half in real.split(4)) else fake
        return batch.mean()

    loss = getattr(build_adversarial(spec, batch_mean=global_mean), role)
    ranks = torch.stack([loss(r, f) for r, f in zip(real.split(4), fake.split(4))]).mean()
    assert ranks.item() == pytest.approx(whole.item(), rel=1e-6)
    for a, b in zip(torch.autograd.grad(whole, (real, fake)), torch.autograd.grad(ranks, (real, fake))):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("term", ["discriminator", "generator", "code"])
def test_losses_that_compare_samples_are_over_two_ranks_those_of_one_large_batch(term):
    spec = EnergyBased(name="ebgan", pull_away=0.1) if term == "code" else spec_of("dual_contrastive")
    real, fake = torch.randn(8, 3, requires_grad=True), torch.randn(8, 3, requires_grad=True)
    batches = (fake,) if term == "code" else (real, fake)
    whole = getattr(build_adversarial(spec), term)(*batches)

    def gather(batch):  # stands for a differentiable all-gather: either batch is known by its values
        return real if any(torch.equal(batch, half) for half in real.split(4)) else fake

    loss = getattr(build_adversarial(spec, gather=gather), term)
    ranks = torch.stack([loss(*halves) for halves in zip(*(batch.split(4) for batch in batches))]).mean()
    assert ranks.item() == pytest.approx(whole.item(), rel=1e-6)
    for a, b in zip(torch.autograd.grad(whole, batches), torch.autograd.grad(ranks, batches)):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_step_on_ds_loss_moves_reals_above_fakes_and_one_on_gs_raises_fakes(name):
    torch.manual_seed(0)
    loss = build_adversarial(spec_of(name))
    x_real, x_fake = torch.randn(16, 3) + 1, (torch.randn(16, 3) - 1).requires_grad_()
    w = (0.1 * torch.randn(3, 4)).requires_grad_()  # a linear D with four logits

    def gap(w):
        return ((x_real @ w).mean() - (x_fake @ w).mean()).item()

    (by_w,) = torch.autograd.grad(loss.discriminator(x_real @ w, x_fake @ w), w)
    assert gap(w - 1e-3 * by_w) > gap(w)
    (by_x,) = torch.autograd.grad(loss.generator(x_real @ w, x_fake @ w), x_fake)
    assert ((x_fake - 1e-2 * by_x) @ w).mean() > (x_fake @ w).mean()


def test_dual_contrastive_sets_each_real_against_all_fakes_at_its_place():
    loss = build_adversarial(spec_of("dual_contrastive"))
    real, fake = torch.randn(3, 1, 2, 2), torch.randn(5, 1, 2, 2)  # top-k leaves fewer fakes than reals
    # The definition, as a cross-entropy of finding the one among the many (arXiv 2103.16748, section 3).
    expected = 0.0
    for row in range(2):
        for column in range(2):
            r, f = real[:, 0, row, column], fake[:, 0, row, column]
            with_fakes = torch.cat([r[:, None], f.expand(3, 5)], dim=1)
            with_reals = torch.cat([-f[:, None], -r.expand(5, 3)], dim=1)
            expected -= (with_fakes.log_softmax(1)[:, 0].mean() + with_reals.log_softmax(1)[:, 0].mean()) / 4
    assert loss.discriminator(real, fake).item() == pytest.approx(expected.item(), rel=1e-5)


def test_energy_margin_is_the_recipes():
    loss = build_adversarial(EnergyBased(name="ebgan", margin=2.0))
    # energies 1 and 4 of reals, 0.5 and 3 of fakes: the second fake lies above the margin and exerts no force
    real, fake = torch.tensor([-1.0, -4.0]), torch.tensor([-0.5, -3.0], requires_grad=True)
    value = loss.discriminator(real, fake)
    assert value.item() == pytest.approx((1 + 4) / 2 + (1.5 + 0) / 2)
    assert torch.autograd.grad(value, fake)[0].tolist() == [0.5, 0.0]
    assert loss.generator(real, fake).item() == pytest.approx((0.5 + 3) / 2)


def test_pull_away_by_hand():
    # cosines: 1 / sqrt(2), 0 and 1 / sqrt(2), each counted twice among 3 * 2 pairs
    code = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 0.5]])
    assert pull_away(code).item() == pytest.approx(2 * (0.5 + 0 + 0.5) / 6)
    assert pull_away(-3 * code).item() == pytest.approx(pull_away(code).item())
    assert pull_away(torch.ones(4, 8)).item() == pytest.approx(1)
    assert pull_away(torch.eye(4)).item() == pytest.approx(0)
    assert pull_away(torch.ones(1, 8)).item() == pytest.approx(0)  # nobody to be pulled from
    assert pull_away(torch.ones(2, 8, dtype=torch.bfloat16)).dtype == torch.float32


def test_pull_away_drives_codes_apart_and_stays_finite_at_zero():
    code = torch.tensor([[1.0, 0.0], [1.0, 0.2], [0.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(pull_away(code), code)
    assert gradient.isfinite().all()
    assert pull_away(code - 0.1 * gradient) < pull_away(code)


def test_the_code_term_is_there_with_its_weight_alone():
    assert all(build_adversarial(spec_of(name)).code is None for name in ADVERSARIAL)
    term = build_adversarial(EnergyBased(name="ebgan", pull_away=0.1)).code
    assert term(torch.ones(4, 8)).item() == pytest.approx(0.1)


def test_over_heads_counts_every_head_alike():
    loss = build_adversarial(spec_of("wasserstein"))
    heads_real = torch.full((2,), 1.0), torch.full((2, 1, 8, 8), 5.0)
    heads_fake = torch.full((2,), 0.5), torch.full((2, 1, 8, 8), 2.0)
    assert over_heads(loss.discriminator, heads_real, heads_fake).item() == pytest.approx((-0.5 - 3) / 2)
    assert over_heads(loss.generator, heads_real, heads_fake).item() == pytest.approx((-0.5 - 2) / 2)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_over_one_head_nothing_changes(name):
    loss = build_adversarial(spec_of(name))
    real, fake = torch.randn(8, 1, 3, 3), torch.randn(8, 1, 3, 3)
    assert torch.equal(over_heads(loss.discriminator, [real], [fake]), loss.discriminator(real, fake))
    assert torch.equal(over_heads(loss.generator, [real], [fake]), loss.generator(real, fake))


def test_over_heads_refuses_heads_without_a_counterpart():
    loss = build_adversarial(spec_of("hinge"))
    with pytest.raises(ValueError, match="zip"):
        over_heads(loss.discriminator, [torch.zeros(2)], [torch.zeros(2), torch.zeros(2)])
