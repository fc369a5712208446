"""Soft labels and label flips: which targets D is given, read off the gradient.

Least squares has the gradient (D(x) - t) / n, cross-entropy (sigma(D(x)) - t) / n at each of n logits: at logits
of 0 both reveal every target t.
"""

import math

import pytest
import torch
from pydantic import TypeAdapter

from ganray.errors import RecipeError
from ganray.objectives.adversarial import ADVERSARIAL, build_adversarial, over_heads
from ganray.recipe.combinations import TAKES_LABELS
from ganray.recipe.objective import Adversarial, LeastSquares
from ganray.recipe.tricks import LabelFlips, LabelSmoothing, SoftLabels

SOFT = SoftLabels(name="soft_labels")
FLIPS = LabelFlips(name="label_flips", probability=0.3)
SMOOTH = LabelSmoothing(name="label_smoothing", real=0.9, fake=0.1)


def spec_of(name):
    return TypeAdapter(Adversarial).validate_python({"name": name})


def targets_of(name, *shapes, **tricks):
    """The targets of reals and fakes at every logit of one head per shape."""
    loss = build_adversarial(spec_of(name), **tricks)
    real, fake = ([torch.zeros(shape, requires_grad=True) for shape in shapes] for _ in range(2))
    gradients = torch.autograd.grad(over_heads(loss.discriminator, real, fake), [*real, *fake])
    at_zero = 0.0 if name == "lsgan" else 0.5
    targets = [at_zero - len(shapes) * g.numel() * g for g in gradients]
    return targets[: len(shapes)], targets[len(shapes) :]


@pytest.mark.parametrize("name", TAKES_LABELS)
def test_without_a_trick_targets_are_one_and_zero(name):
    (real,), (fake,) = targets_of(name, (8, 2))
    torch.testing.assert_close(real, torch.ones(8, 2))
    torch.testing.assert_close(fake, torch.zeros(8, 2))


@pytest.mark.parametrize("name", TAKES_LABELS)
def test_soft_labels_are_uniform_in_their_ranges_and_drawn_per_logit(name):
    torch.manual_seed(0)
    (real,), (fake,) = targets_of(name, (64, 1, 8, 8), soft_labels=SOFT)
    for targets, (low, high) in ((real, SOFT.real), (fake, SOFT.fake)):
        n, width = targets.numel(), high - low
        assert low - 1e-3 <= targets.min() < low + 0.01 * width + 1e-3
        assert high - 0.01 * width - 1e-3 < targets.max() <= high + 1e-3
        # a uniform distribution's standard deviation is its width / sqrt(12)
        assert targets.mean().item() == pytest.approx((low + high) / 2, abs=4 * width / math.sqrt(12 * n))
        assert targets.std().item() == pytest.approx(width / math.sqrt(12), rel=0.03)
    correlation = torch.corrcoef(torch.stack([real.flatten(), fake.flatten()]))[0, 1]
    assert abs(correlation) < 4 / math.sqrt(real.numel())


@pytest.mark.parametrize("name", TAKES_LABELS)
def test_flips_swap_all_logits_of_a_sample(name):
    torch.manual_seed(0)
    n = 4000
    (real,), (fake,) = targets_of(name, (n, 3), label_flips=FLIPS)
    swapped = []
    for targets, own in ((real, 1.0), (fake, 0.0)):
        changed = (targets - own).abs() > 0.5
        torch.testing.assert_close(targets, (own - changed.float()).abs(), atol=1e-3, rtol=0)
        assert (changed == changed[:, :1]).all()
        swapped.append(changed[:, 0])
        assert changed[:, 0].float().mean().item() == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / n))
    # reals and fakes are swapped independently
    both = (swapped[0] & swapped[1]).float().mean().item()
    assert both == pytest.approx(0.09, abs=4 * math.sqrt(0.09 * 0.91 / n))


def test_a_flipped_sample_is_flipped_for_every_head():
    torch.manual_seed(0)
    for side in targets_of("lsgan", (200,), (200, 1, 2, 2), label_flips=FLIPS):
        one, grid = (targets.reshape(200, -1).round() for targets in side)
        assert torch.equal(one.expand(200, 4), grid)
        assert 0 < one.mean() < 1


def test_flips_differ_from_call_to_call():
    torch.manual_seed(0)
    loss = build_adversarial(spec_of("lsgan"), label_flips=FLIPS)
    real, fake = torch.zeros(64), torch.zeros(64)
    assert len({over_heads(loss.discriminator, [real], [fake]).item() for _ in range(8)}) > 1


def test_flips_of_smoothed_labels_swap_the_smoothed_targets():
    torch.manual_seed(0)
    (real,), (fake,) = targets_of("lsgan", (200, 2), label_smoothing=SMOOTH, label_flips=FLIPS)
    for targets in (real, fake):
        assert {round(t, 3) for t in targets.flatten().tolist()} == {0.1, 0.9}


def test_flips_of_soft_labels_draw_from_the_other_range():
    torch.manual_seed(0)
    (real,), (fake,) = targets_of("lsgan", (500, 4), soft_labels=SOFT, label_flips=FLIPS)
    for targets, expected in ((real, 0.3), (fake, 0.7)):
        low = targets < 0.5
        assert (low == low[:, :1]).all()
        assert low[:, 0].float().mean().item() == pytest.approx(expected, abs=4 * math.sqrt(0.21 / 500))
        assert -1e-3 <= targets[low].min() < 0.01 < 0.29 < targets[low].max() <= 0.301
        assert 0.699 <= targets[~low].min() < 0.71 < 1.19 < targets[~low].max() <= 1.201


def test_random_targets_by_hand():
    # both ranges of width zero: 0.8 and 0.1
    fixed = SoftLabels(name="soft_labels", real=(0.8, 0.8), fake=(0.1, 0.1))
    real, fake = torch.tensor([2.0]), torch.tensor([-3.0])
    squares = build_adversarial(spec_of("lsgan"), soft_labels=fixed)
    assert squares.discriminator(real, fake).item() == pytest.approx((2 - 0.8) ** 2 / 2 + (-3 - 0.1) ** 2 / 2)
    smoothing = LabelSmoothing(name="label_smoothing", real=0.8, fake=0.1)
    for name in ("minimax", "non_saturating"):
        drawn, smoothed = (
            build_adversarial(spec_of(name), **k) for k in ({"soft_labels": fixed}, {"label_smoothing": smoothing})
        )
        assert torch.equal(drawn.discriminator(real, fake), smoothed.discriminator(real, fake))


def test_flips_of_least_squares_swap_its_own_targets():
    loss = build_adversarial(LeastSquares(name="lsgan", a=-1, b=2), label_flips=FLIPS)
    torch.manual_seed(0)
    real = torch.zeros(100, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss.discriminator(real, torch.zeros(100)), real)
    assert {round(t) for t in (-100 * gradient).tolist()} == {-1, 2}


@pytest.mark.parametrize("name", TAKES_LABELS)
@pytest.mark.parametrize("tricks", [{"soft_labels": SOFT}, {"label_flips": FLIPS}], ids=["soft", "flips"])
def test_the_generators_loss_is_untouched_and_draws_nothing(name, tricks):
    plain, changed = build_adversarial(spec_of(name)), build_adversarial(spec_of(name), **tricks)
    real, fake = torch.randn(8, 2), torch.randn(8, 2)
    before = torch.get_rng_state()
    assert torch.equal(plain.generator(real, fake), changed.generator(real, fake))
    assert torch.equal(before, torch.get_rng_state())
    changed.discriminator(real, fake)
    assert not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", TAKES_LABELS)
@pytest.mark.parametrize("shape", [(), (4,), (4, 1), (4, 1, 3, 3)], ids=str)
def test_any_shape_and_half_precision(name, shape):
    loss = build_adversarial(spec_of(name), soft_labels=SOFT, label_flips=FLIPS)
    logits = torch.zeros(shape, dtype=torch.bfloat16, requires_grad=True)
    value = loss.discriminator(logits, logits)
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert value.isfinite()
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


@pytest.mark.parametrize("name", sorted(set(ADVERSARIAL) - set(TAKES_LABELS)))
@pytest.mark.parametrize("tricks", [{"soft_labels": SOFT}, {"label_flips": FLIPS}], ids=["soft_labels", "label_flips"])
def test_refused_where_there_are_no_labels(name, tricks):
    with pytest.raises(RecipeError, match=f"{next(iter(tricks))} .* labels, and {name} has none"):
        build_adversarial(spec_of(name), **tricks)


def test_smoothing_and_soft_labels_together_are_refused():
    with pytest.raises(RecipeError, match="both set D's targets"):
        build_adversarial(spec_of("lsgan"), label_smoothing=SMOOTH, soft_labels=SOFT)


@pytest.mark.parametrize("ranges", [{"real": (0.9, 1.2)}, {"fake": (-0.3, 0.2)}], ids=str)
def test_targets_without_a_minimum_are_refused(ranges):
    labels = SoftLabels(name="soft_labels", **ranges)
    with pytest.raises(RecipeError, match="no minimum"):
        build_adversarial(spec_of("non_saturating"), soft_labels=labels)
    # least squares has one wherever its targets lie
    assert build_adversarial(spec_of("lsgan"), soft_labels=labels).discriminator(torch.zeros(2), torch.zeros(2)) > 0
