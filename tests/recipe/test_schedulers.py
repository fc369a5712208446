"""`search.scheduler`: what is known, what is refused and why, and what a member of a population may change."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ganray.recipe.experiment import load_experiment
from ganray.recipe.overview import overview
from ganray.recipe.population import changeable, explore, may_change, own_seed
from ganray.recipe.schedulers import Asha, Hyperband, Pbt

FILE = """
data: {{source: "sample:hubble", resolution: 32}}
generator: {{name: dcgan, width: 4}}
discriminator: {{name: dcgan, width: 4}}
optimizers: {{generator: {{lr: {{log_uniform: [1e-4, 1e-2]}}}}}}
budget: {{kimg: 6, batch_size: 8}}
evaluation: {{protocols: [fd_lite0_200_train], every_kimg: 1}}
search: {{trials: 8, sampler: random, {search}}}
{more}
"""


@pytest.fixture
def load(tmp_path):
    def read(search, more="", *overrides):
        path = tmp_path / "file.yaml"
        path.write_text(FILE.format(search=search, more=more))
        return load_experiment(path, overrides)

    return read


@pytest.fixture
def refused(load):
    from ganray.errors import RecipeError

    def message(search, more="", *overrides):
        with pytest.raises(RecipeError) as error:
            load(search, more, *overrides)
        return str(error.value)

    return message


def test_each_scheduler_is_known_by_its_name(load):
    assert load("scheduler: {name: asha}").settings.search.scheduler == Asha(name="asha")
    found = load("scheduler: {name: hyperband, grace_kimg: 1, reduction_factor: 2}").settings.search.scheduler
    assert found == Hyperband(name="hyperband", grace_kimg=1, reduction_factor=2, brackets=3)
    assert load("scheduler: {name: pbt, every_kimg: 2}").settings.search.scheduler == Pbt(
        name="pbt", every_kimg=2, quantile=0.25, perturb=(0.8, 1.2), resample_probability=0.25
    )


def test_an_unknown_name_or_key_is_answered_with_the_nearest(refused):
    assert "unknown name 'hyperbend'; did you mean 'hyperband'" in refused("scheduler: {name: hyperbend}")
    message = refused("scheduler: {name: pbt, every_kimg: 2, quantil: 0.3}")
    assert "search.scheduler.quantil: unknown key 'quantil'; did you mean 'quantile'" in message
    assert "search.scheduler.every_kimg: is missing" in refused("scheduler: {name: pbt}")


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        ("scheduler: {name: asha, grace_kimg: 7}", "scheduler.grace_kimg: no trial would ever be stopped"),
        ("scheduler: {name: hyperband, grace_kimg: 6}", "grace of 6 kimg is not below budget.kimg 6"),
        ("scheduler: {name: asha, reduction_factor: 1}", "greater than 1"),
        (
            "scheduler: {name: hyperband, grace_kimg: 1, reduction_factor: 3}",
            "brackets: the first rung of bracket 3 would be at 9 kimg, beyond budget.kimg 6",
        ),
        ("scheduler: {name: pbt, every_kimg: 1.5}", "no multiple of evaluation.every_kimg 1"),
        ("scheduler: {name: pbt, every_kimg: 3}", "fewer than 3 intervals of 3"),
        ("scheduler: {name: pbt, every_kimg: 2, quantile: 0.6}", "less than or equal to 0.5"),
        ("scheduler: {name: pbt, every_kimg: 2, perturb: [0]}", "greater than 0"),
        ("scheduler: {name: pbt, every_kimg: 2, perturb: [1.0], resample_probability: 0}", "changes nothing"),
        ("scheduler: {name: pbt, every_kimg: 2}, prune_on: [mode-collapse]", "goes without prune_on"),
    ],
)
def test_nonsense_is_refused_with_the_reason(refused, search, reason):
    assert reason in refused(search)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("search.sampler=tpe", "which would be told values of recipes that it did not propose"),
        ("search.sampler=grid", "goes with sampler: random, not with grid"),
        ("search.sampler=one_at_a_time", "goes with sampler: random, not with one_at_a_time"),
        ("search.trials=1", "at least 2 trials"),
        ("data.resolution={choice: [32, 64]}", "data.resolution: under the scheduler pbt all members have the same"),
        ("budget.kimg={choice: [6, 9]}", "all members have the same budget"),
        ("optimizers.generator.lr=1e-3", "this space has none"),
        ("optimizers.generator.lr={choice: [1e-3, 1e-4]}", "this space has none"),
        ("tricks=[{choice: [null, {name: discriminator_steps, n: 3}]}]", "discriminator_steps makes them 8, 24"),
    ],
)
def test_a_space_without_a_population_is_refused_with_the_reason(refused, override, reason):
    assert reason in refused("scheduler: {name: pbt, every_kimg: 2}", "", override)


def test_a_space_of_whole_numbers_needs_as_many_recipes_as_members(refused, load):
    pbt = "scheduler: {name: pbt, every_kimg: 2}"
    few = ("optimizers.generator.lr=1e-3", "tricks=[{name: ada, interval: {int: [2, 8]}}]")
    assert "a population of 8 needs so many recipes to begin with, and this space has 7" in refused(pbt, "", *few)
    load(pbt, "", *few, "seed={int: [0, 9]}")


def test_the_overview_says_what_the_scheduler_does(load):
    assert "ASHA stops weak trials from 2 kimg on (reduction factor 3)" in overview(load("scheduler: {name: asha}"))
    text = overview(load("scheduler: {name: hyperband, grace_kimg: 1, reduction_factor: 2}"))
    assert "HyperBand (3 brackets) stops weak trials from 1 kimg on" in text
    text = overview(load("scheduler: {name: pbt, every_kimg: 2}"))
    assert "every 2 kimg the worst 25% take over from the best 25% (PBT)" in text


def test_the_schema_knows_all_three(load):
    from ganray.recipe.json_schema import experiment_schema

    definitions = experiment_schema()["$defs"]
    assert {"Asha", "Hyperband", "Pbt"} <= set(definitions)
    assert definitions["Pbt"]["additionalProperties"] is False


def test_a_generation_begins_where_its_multiple_is_reached():
    pbt = Pbt(name="pbt", every_kimg=0.1)
    assert [pbt.generation(kimg) for kimg in (0.0, 0.099, 0.1, 0.1 * 3, 0.304, 0.4)] == [0, 0, 1, 3, 3, 4]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("optimizers.generator.lr", True),
        ("optimizers.schedule[cosine].final", True),
        ("objective.loss[lsgan].c", True),
        ("objective.penalties[0][r1].gamma", True),
        ("tricks[1].decay", True),
        ("tricks[1][replay].share", True),
        ("tricks[1][replay].capacity", False),
        ("tricks[0].layers", False),
        ("tricks[0][discriminator_steps].n", False),
        ("generator.width", False),
        ("discriminator[unet].width", False),
        ("seed", False),
        ("initial.checkpoint", False),
    ],
)
def test_only_what_acts_anew_in_each_step_may_change(name, expected):
    assert may_change(name) is expected


TREE = {
    "generator": {"name": "dcgan", "width": {"int": [4, 64]}},
    "objective": {"loss": {"choice": [{"name": "hinge"}, {"name": "lsgan", "c": {"uniform": [0.8, 1.0]}}]}},
    "tricks": [{"name": "ada", "interval": {"int": [1, 8]}}, {"choice": [None, {"name": "ema", "decay": 0.9}]}],
    "optimizers": {"generator": {"lr": {"log_uniform": [1e-4, 1e-2]}}},
    "seed": {"int": [0, 99]},
}
LSGAN = {
    "generator.width": 16,
    "objective.loss": "lsgan",
    "objective.loss[lsgan].c": 0.9,
    "tricks[0].interval": 5,
    "tricks[1]": None,
    "optimizers.generator.lr": 1e-3,
    "seed": 3,
}
HINGE = {name: value for name, value in LSGAN.items() if "[lsgan]" not in name} | {"objective.loss": "hinge"}


def test_changeable_are_the_numbers_of_the_options_taken():
    assert set(changeable(TREE, LSGAN)) == {
        "objective.loss[lsgan].c", "tricks[0].interval", "optimizers.generator.lr"
    }  # fmt: skip
    assert set(changeable(TREE, HINGE)) == {"tricks[0].interval", "optimizers.generator.lr"}


def test_perturbing_multiplies_within_the_bounds_and_rounds_whole_numbers():
    pbt = Pbt(name="pbt", every_kimg=1, perturb=(1.2,), resample_probability=0)
    assert explore(TREE, LSGAN, pbt, random.Random(0)) == {
        **LSGAN,
        "objective.loss[lsgan].c": 1.0,  # 1.08, cut
        "tricks[0].interval": 6,
        "optimizers.generator.lr": pytest.approx(1.2e-3),
    }


@given(st.integers(0, 10_000), st.floats(0, 1), st.sampled_from([LSGAN, HINGE]))
def test_exploring_stays_in_the_space_and_leaves_the_rest_alone(seed, resample, params):
    pbt = Pbt(name="pbt", every_kimg=1, resample_probability=resample)
    found = explore(TREE, params, pbt, random.Random(seed))
    assert set(found) == set(params)
    for name, limits in changeable(TREE, params).items():
        assert limits.low <= found[name] <= limits.high
        assert isinstance(found[name], int) == limits.whole
    for name in set(params) - set(changeable(TREE, params)):
        assert found[name] == params[name]
    assert explore(TREE, params, pbt, random.Random(seed)) == found


def test_resampling_draws_from_the_whole_distribution():
    pbt = Pbt(name="pbt", every_kimg=1, resample_probability=1)
    rates = [explore(TREE, HINGE, pbt, random.Random(seed))["optimizers.generator.lr"] for seed in range(400)]
    below = sum(rate < 1e-3 for rate in rates) / len(rates)
    assert 0.4 < below < 0.6  # the middle of the logarithms
    assert math.log10(max(rates) / min(rates)) > 1.8


def test_a_member_keeps_its_own_seed():
    assert own_seed(LSGAN, {**HINGE, "seed": 7}) == {**LSGAN, "seed": 7}
    chosen = {"seed": "int#1", "seed[int#1]": 4}
    assert own_seed({"seed": 1, "a": 2}, {**chosen, "a": 5}) == {"a": 2, **chosen}


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValidationError):
        Pbt(name="pbt", every_kimg=math.inf)
