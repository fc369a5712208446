"""A preset, the file over it, `--set` over both."""

import pytest

from ganray.recipe.generators import DCGANGenerator
from ganray.recipe.optimizers import SGD
from ganray.recipe.presets import PRESETS


def test_a_preset_gives_what_the_file_leaves_out(load):
    recipe = load("preset: fastgan\ndata: {source: x}\ngenerator: {width: 8}\n").the_recipe()
    assert (recipe.generator.name, recipe.generator.width, recipe.generator.latent_dim) == ("fastgan", 8, 256)
    assert [trick.name for trick in recipe.tricks] == ["diffaugment", "ema", "flips", "noisy_margins"]
    assert recipe.budget.kimg == 400


def test_a_key_given_replaces_values_lists_and_nulls(load):
    text = "preset: fastgan\ndata: {source: x}\nbudget: {kimg: 1}\ntricks: [{name: flips}]\n"
    text += "discriminator: {decode: null}\n"
    recipe = load(text).the_recipe()
    assert (recipe.budget.kimg, recipe.budget.batch_size) == (1, 8)
    assert [trick.name for trick in recipe.tricks] == ["flips"]
    assert (recipe.discriminator.name, recipe.discriminator.decode) == ("fastgan", None)


def test_the_same_name_merges_and_another_name_replaces(load):
    same = load("preset: fastgan\ndata: {source: x}\ngenerator: {name: fastgan, width: 8}\n").the_recipe()
    assert (same.generator.width, same.generator.latent_dim) == (8, 256)
    # The preset's `skip` would be an unknown key here, and its latent_dim 256 another recipe.
    other = load("preset: fastgan\ndata: {source: x}\ngenerator: {name: dcgan, width: 8}\n").the_recipe()
    assert (other.generator.name, other.generator.latent_dim) == ("dcgan", 128)


@pytest.mark.parametrize("preset", PRESETS)
def test_another_optimizer_replaces_the_presets(load, preset):
    # The preset's beta1 would be an unknown key here.
    text = f"preset: {preset}\ndata: {{source: x, resolution: 64}}\n"
    adam = load(text + "optimizers: {generator: {lr: 1e-3}}\n").the_recipe().optimizers.generator
    assert (adam.name, adam.lr) == ("adam", 1e-3)
    for changed in (
        load(text + "optimizers: {generator: {name: sgd, lr: 0.1}}\n"),
        load(text, "optimizers.generator.lr=0.1", "optimizers.generator.name=sgd"),
    ):
        assert changed.the_recipe().optimizers.generator == SGD(name="sgd", lr=0.1)


def test_a_distribution_replaces_what_the_preset_has(load):
    experiment = load(
        """\
        preset: fastgan
        data: {source: x}
        generator: {choice: [{name: dcgan}, {name: fastgan, width: 8}]}
        optimizers: {generator: {lr: {log_uniform: [1e-5, 1e-3]}}}
        """
    )
    assert experiment.space["generator"] == {"choice": [{"name": "dcgan"}, {"name": "fastgan", "width": 8}]}
    assert experiment.space["optimizers"]["generator"]["beta1"] == 0.5


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("budget.kimg=1e1", "budget.kimg", 10.0),
        ("generator.width=8", "generator.width", 8),
        ("generator={name: dcgan, width: 8}", "generator.name", "dcgan"),
        ("generator={width: 8}", "generator.latent_dim", 256),
        ("generator.name=dcgan", "generator.latent_dim", 128),
        ("discriminator.decode=null", "discriminator.decode", None),
        ("discriminator.decode.distance=l1", "discriminator.decode.distance", "l1"),
        ("tricks[1].decay=0.9", "tricks.1.decay", 0.9),
        ("tricks[2]=null", "tricks.2.name", "noisy_margins"),
        ("tricks=[{name: flips}]", "tricks.0.name", "flips"),
        ("seed = 3", "seed", 3),
        ("data.source=a=b", "data.source", "a=b"),
        ("preset=dcgan", "generator.name", "dcgan"),
    ],
)
def test_set(load, override, path, value):
    found = load("preset: fastgan\ndata: {source: x}\n", override).the_recipe()
    for key in path.split("."):
        found = found[int(key)] if key.isdigit() else getattr(found, key)
    assert found == value


def test_the_order_of_set_does_not_matter(load):
    overrides = ["generator.width=8", "generator.name=dcgan", "preset=fastgan"]
    for order in (overrides, overrides[::-1]):
        generator = load("data: {source: x}\n", *order).the_recipe().generator
        assert generator == DCGANGenerator(name="dcgan", width=8)


def test_the_later_of_two_equal_keys_wins_and_the_file_is_left_alone(load):
    experiment = load("preset: dcgan\ndata: {source: x}\n", "seed=1", "seed=2", "name=mine", "search.trials=3")
    assert experiment.the_recipe().seed == 2
    assert (experiment.name, experiment.settings.search.trials) == ("mine", 3)
    assert "seed" not in experiment.source.tree


def test_set_fixes_a_distribution_and_opens_one(load):
    text = "...\nobjective: {loss: {choice: [{name: hinge}, {name: minimax}]}}\n"
    assert load(text, "objective.loss={name: minimax}").the_recipe().objective.loss.name == "minimax"
    assert load(text, "objective.loss={name: minimax}", "seed={int: [0, 4]}").space["seed"] == {"int": [0, 4]}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set seed: write it as key=value, for example --set budget.kimg=10"),
        ("=3", "--set =3: write it as key=value"),
        ("a..b=3", "--set a..b=3: write it as key=value"),
        ("seed=[1", "--set seed=[1: '[1' is not a YAML value: expected ',' or ']'"),
        ("seed=many", "--set seed: seed: Input should be a valid integer"),
        ("sede=1", "--set sede: unknown key 'sede'; did you mean 'seed'?"),
        ("budget.kimgs=1", "--set budget.kimgs: budget.kimgs: unknown key 'kimgs'; did you mean 'kimg'?"),
        ("search.trails=1", "--set search.trails: search.trails: unknown key 'trails'; did you mean 'trials'?"),
        ("generator.name=dcgam", "--set generator.name: generator: unknown name 'dcgam'; did you mean 'dcgan'?"),
        ("data.source=2026", "--set data.source: data.source: needs text, got 2026; put it in quotes"),
        ("preset=dcgam", "--set preset: unknown preset 'dcgam'; did you mean 'dcgan'?"),
        ("tricks[7].decay=1", "--set tricks[7].decay: tricks has 1 items; set all of it: --set 'tricks=[...]'"),
        ("seed[0]=1", "--set seed[0]: seed is no list; set all of it"),
        ("objective.loss.c=1", "--set objective.loss.c: objective.loss is a distribution; set all of it"),
    ],
)
def test_set_in_error_is_named_instead_of_a_line(refusal, override, message):
    text = "...\ntricks: [{name: flips}]\nobjective: {loss: {choice: [{name: hinge}, {name: minimax}]}}\n"
    assert message in refusal(text, override)


def test_a_key_that_only_begins_like_a_set_key_keeps_its_line(refusal):
    assert refusal("...\nbudget: {kimg_: 1}\n", "budget.kimg=1").startswith("exp.yaml:5: budget.kimg_: unknown key")
