"""Importances and marginal effects of made-up recipes whose effects are known."""

import itertools
import json
import random

import numpy as np
import pytest
from scipy import stats

from ganray.errors import StoreError
from ganray.report.across import Section, Standing
from ganray.report.choices import ABSENT, NOT_APPLICABLE, sample
from ganray.report.importance import importances
from ganray.report.marginal import marginals


def section(recipes):
    """A section with one row per (recipe, distances of its seeds)."""
    rows = [
        Standing(
            mean=float(np.mean(values)), low=None, high=None, values=tuple(values), seeds=tuple(range(len(values))),
            n_trials=len(values), status="completed", final=0.0, kimg=1.0, device_s=1.0, is_estimated=False, kid=None,
            kid_stderr=None, memorised=None, experiments=("demo",), trial_ids=(f"t{i}",), counts=counts,
            recipe_json=json.dumps(content),
        )
        for i, (content, values, counts) in enumerate(recipes)
    ]  # fmt: skip
    return Section(
        fingerprint="f", n_images=1, resolution=64, extractor="e", extractor_checksum="c", rows=tuple(rows), notes=()
    )


@pytest.fixture
def make(recipe):
    def make(loss="hinge", d="dcgan", lr=None, tricks=()):
        content = recipe(loss, tricks=tricks, discriminator={"name": d, "width": 32})
        return content | ({"optimizers": {"generator": {"lr": lr}}} if lr else {})

    return make


def by_value(found):
    return {(e.label, e.level): e for e in found.effects}


def test_effects_that_add_up_are_found_exactly_where_raw_means_mislead(make):
    truth = {"hinge": 0.0, "lsgan": -5.0, "dcgan": 0.0, "patch": 40.0}
    # lsgan was mostly tried with the bad discriminator, so its raw mean looks bad.
    pairs = [("hinge", "dcgan")] * 7 + [("hinge", "patch")] + [("lsgan", "dcgan")] + [("lsgan", "patch")] * 4
    noise = [1, -1, 2, -2, 0.5, -0.5, 0, 0, 0, 1, -1, 2, -2]
    recipes = [
        (make(loss, d, lr=1e-4 * (1 + i % 5)), [100 + truth[loss] + truth[d] + noise[i]], True)
        for i, (loss, d) in enumerate(pairs)
    ]
    exact = [(c, [100 + truth[p[0]] + truth[p[1]]], True) for (c, _, _), p in zip(recipes, pairs)]
    found = by_value(marginals(sample(section(exact))))
    lsgan, patch = found["loss", "lsgan"], found["D", "patch"]
    assert (lsgan.adjusted, patch.adjusted) == (pytest.approx(-5.0), pytest.approx(40.0))
    assert lsgan.raw == pytest.approx(95 + 40 * 4 / 5 - (100 + 40 / 8))
    assert (lsgan.reference, lsgan.n_recipes, lsgan.n_reference) == ("hinge", 5, 8)
    noisy = by_value(marginals(sample(section(recipes))))
    assert noisy["D", "patch"].survives
    assert noisy["D", "patch"].low < 40 < noisy["D", "patch"].high
    assert all(not e.is_clear for (label, _), e in noisy.items() if label == "G.lr")


def test_with_one_choice_it_is_the_t_test(make):
    draw = random.Random(3)
    a, b = [draw.gauss(50, 5) for _ in range(8)], [draw.gauss(58, 5) for _ in range(6)]
    # One recipe per value would leave nothing to learn the spread from: evaluation settings keep recipes apart here.
    recipes = [
        (make(loss) | {"evaluation": {"every_kimg": float(i + 1)}}, [value], True)
        for i, (loss, value) in enumerate([*(("hinge", v) for v in a), *(("lsgan", v) for v in b)])
    ]
    found = marginals(sample(section(recipes)))
    (effect,) = found.effects
    test = stats.ttest_ind(b, a)
    interval = test.confidence_interval(0.95)
    assert (effect.low, effect.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert effect.p == pytest.approx(test.pvalue) == pytest.approx(effect.p_holm)
    assert (found.spread, found.freedom, found.n_recipes) == ("residual", 12, 14)


def test_few_recipes_with_many_seeds_take_the_spread_within_them(make):
    a, b = [50.0, 52.0, 54.0, 56.0, 58.0, 60.0], [61.0, 63.0, 65.0, 67.0, 69.0, 71.0]
    found = marginals(sample(section([(make("hinge"), a, True), (make("lsgan"), b, True)])))
    interval = stats.ttest_ind(b, a).confidence_interval(0.95)
    (effect,) = found.effects
    assert (found.spread, found.freedom) == ("seeds", 10)
    assert (effect.low, effect.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_choices_that_always_come_together_are_not_told_apart(make):
    pairs = [("hinge", "dcgan", 0)] * 4 + [("lsgan", "patch", 10)] * 4 + [("ragan", "dcgan", 3)] * 4
    recipes = [(make(loss, d, lr=1e-4 * (1 + i % 2)), [y + i % 3], True) for i, (loss, d, y) in enumerate(pairs)]
    found = by_value(marginals(sample(section(recipes))))
    assert found["loss", "lsgan"].adjusted is None
    assert found["D", "patch"].adjusted is None
    assert found["loss", "ragan"].adjusted is not None
    assert found["D", "patch"].raw == pytest.approx(10 - 1.5, abs=1.0)


def test_a_parameter_of_a_choice_counts_only_where_the_choice_was_made(make):
    losses = [("hinge", 0.0), ({"name": "lsgan", "a": 0.0}, 10.0), ({"name": "lsgan", "a": -1.0}, 14.0)]
    recipes = [
        (make(loss, d), [y + (5.0 if d == "patch" else 0.0) + (i % 2) * 1e-3], True)
        for i, ((loss, y), d) in enumerate(itertools.product(losses * 2, ("dcgan", "patch")))
    ]
    one = sample(section(recipes))
    parameter = next(c for c in one.choices if c.path == "objective.loss.a")
    assert (parameter.codes == NOT_APPLICABLE).sum() == 4
    assert ABSENT not in parameter.levels
    (effect,) = (e for e in marginals(one).effects if e.path == "objective.loss.a")
    assert abs(effect.adjusted) == pytest.approx(4.0, abs=0.01)
    importance = importances(one)
    assert {c.path for c in importance.choices} == {c.path for c in one.choices}


def test_a_trick_that_is_off_is_a_level(make):
    strength = {"name": "instance_noise", "std": 0.1}
    recipes = [(make(tricks=[strength] if on else []), [50.0 + 7 * on + 0.1 * i], True)
               for i, on in enumerate([0, 1] * 6)]  # fmt: skip
    one = sample(section(recipes))
    assert any(ABSENT in c.levels for c in one.choices)
    effect = next(e for e in marginals(one).effects if ABSENT in (e.level, e.reference))
    assert abs(effect.adjusted) == pytest.approx(7.1, abs=0.2)


def test_numbers_of_many_values_are_cut_into_equal_bins(make):
    rates = [1e-4 * 1.2**i for i in range(12)]
    recipes = [(make(lr=lr), [50.0 + 10 * (i >= 8) + 0.1 * (i % 3)], True) for i, lr in enumerate(rates)]
    (choice,) = sample(section(recipes)).choices
    assert [int((choice.codes == i).sum()) for i in range(3)] == [4, 4, 4]
    assert choice.levels[0] == "0.0001 to 0.0001728"
    assert list(choice.numbers) == rates
    found = by_value(marginals(sample(section(recipes))))
    assert found["G.lr", choice.levels[2]].adjusted == pytest.approx(10.0, abs=0.1)


def test_the_choice_that_matters_is_the_most_important(make):
    draw = random.Random(0)
    recipes = []
    for _ in range(60):
        loss, d, lr = draw.choice(["hinge", "lsgan"]), draw.choice(["dcgan", "patch"]), draw.uniform(1e-4, 1e-3)
        recipes.append(
            (make(loss, d, lr), [100 + 50 * (d == "patch") + 5 * (loss == "lsgan") + draw.gauss(0, 1)], True)
        )
    found = importances(sample(section(recipes)))
    assert found.choices[0].label == "D"
    assert found.choices[0].fanova > 0.9
    assert sum(c.fanova for c in found.choices) == pytest.approx(1.0)
    assert sum(c.ped_anova for c in found.choices) == pytest.approx(1.0)
    assert (found.n_trials, found.n_left_out, found.top_share) == (60, 0, 0.1)
    loss, lr = (next(c for c in found.choices if c.label == name) for name in ("loss", "G.lr"))
    assert loss.ped_anova > lr.fanova


def test_importance_says_how_many_trials_it_took(make, monkeypatch):
    monkeypatch.setattr("ganray.report.importance.MOST_TRIALS", 15)
    recipes = [(make(loss, lr=1e-4 * (i + 1)), [50.0 + i], True)
               for i, loss in enumerate(["hinge", "lsgan"] * 10)]  # fmt: skip
    found = importances(sample(section(recipes)))
    assert (found.n_trials, found.n_left_out, found.top_share) == (15, 5, pytest.approx(1 / 3))


def test_what_says_nothing_is_refused_with_the_reason(make):
    def refused(recipes):
        with pytest.raises(StoreError) as error:
            sample(section(recipes))
        return str(error.value)

    losses = ["hinge", "lsgan"] * 6
    assert "9 trials compare" in refused([(make(loss), [1.0 * i], True) for i, loss in enumerate(losses[:9])])
    stopped = [(make(loss), [1.0 * i], i < 5) for i, loss in enumerate(losses)]
    assert "5 trials compare" in refused(stopped)
    assert "--at-kimg" in refused(stopped)
    assert "no choice varies" in refused([(make(), [float(i) for i in range(12)], True)])
    assert "same distance" in refused([(make(loss), [5.0], True) for loss in losses])
