"""Distributions in a file: the malformed ones are named; the good ones go anywhere."""

import pytest

MALFORMED = [
    (
        "seed: {choice: []}",
        "seed",
        "at least 1 item after validation, not 0; write it as {choice: [FIRST, SECOND, ...]}",
    ),
    ("seed: {choice: 3}", "seed", "write it as {choice: [FIRST, SECOND, ...]}, got {'choice': 3}"),
    ("seed: {choice: [1, 2, 1]}", "seed", "an option is there twice"),
    ("seed: {choice: [1, 1.0]}", "seed", "an option is there twice"),
    ("tricks: [{choice: [{name: flips}, null, {name: flips}]}]", "tricks[0]", "an option is there twice"),
    ("budget: {kimg: {uniform: [1]}}", "budget.kimg", "write it as {uniform: [LOW, HIGH]}, got {'uniform': [1]}"),
    ("budget: {kimg: {uniform: [1, 2, 3]}}", "budget.kimg", "write it as {uniform: [LOW, HIGH]}"),
    ("budget: {kimg: {uniform: [2, 1]}}", "budget.kimg", "the lower bound 2.0 must be below the upper bound 1.0"),
    ("budget: {kimg: {uniform: [1, 1]}}", "budget.kimg", "must be below"),
    ("budget: {kimg: {uniform: [a, b]}}", "budget.kimg", "unable to parse string as a number"),
    ("budget: {kimg: {uniform: [1, .inf]}}", "budget.kimg", "finite"),
    ("budget: {kimg: {uniform: [.nan, 1]}}", "budget.kimg", "finite"),
    ("budget: {kimg: {log_uniform: [0, 1]}}", "budget.kimg", "the lower bound of log_uniform must be above 0"),
    ("budget: {kimg: {log_uniform: [-1, 1]}}", "budget.kimg", "must be above 0"),
    ("seed: {int: [1, 2.5]}", "seed", "valid integer"),
    ("seed: {int: [3, 2]}", "seed", "the lower bound 3 must be below the upper bound 2"),
    ("seed: {choice: [1, 2], default: 1}", "seed", "a distribution stands alone in its mapping; take 'default' out"),
    ("seed: {int: [0, 1], uniform: [0, 1]}", "seed", "a distribution stands alone"),
]


@pytest.mark.parametrize(("line", "path", "message"), MALFORMED)
def test_malformed_distributions(refusal, line, path, message):
    said = refusal(f"...\n{line}\n")
    assert said.startswith(f"exp.yaml:5: {path}: ")
    assert message in said


def test_a_malformed_one_inside_an_option_has_its_own_line(refusal):
    said = refusal(
        "...\nobjective:\n  loss:\n    choice:\n    - {name: hinge}\n    - name: lsgan\n      c: {uniform: [1, 0]}\n"
    )
    assert said.startswith("exp.yaml:10: objective.loss.choice[1].c: the lower bound 1.0")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "budget: {kimg: {loguniform: [1, 2]}}",
            "budget.kimg: unknown distribution 'loguniform'; did you mean 'log_unif",
        ),
        (
            "objective: {loss: {chioce: [{name: hinge}]}}",
            "objective.loss: unknown distribution 'chioce'; did you mean 'choice'",
        ),
        (
            "search: {sampler: {choices: [tpe]}}",
            "search.sampler: unknown distribution 'choices'; did you mean 'choice'?",
        ),
    ],
)
def test_misspelt_distributions(refusal, line, message):
    assert message in refusal(f"...\n{line}\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("generator: {name: dcgan, width: {uniform: [8, 16]}}", "generator.width: Input should be a valid integer"),
        (
            "generator: {name: dcgan, width: {int: [2, 16]}}",
            "generator.width: Input should be greater than or equal to 4",
        ),
        (
            "generator: {name: dcgan, width: {int: [8, 600]}}",
            "generator.width: Input should be less than or equal to 512",
        ),
        (
            "generator: {name: dcgan, width: {choice: [8, 600]}}",
            "generator.width: Input should be less than or equal to 512",
        ),
        ("generator: {choice: [{name: dcgan}, {name: fastgan, width: {int: [8, 600]}}]}", "less than or equal to 512"),
        (
            "generator: {choice: [{name: dcgan}, {name: dcgam}]}",
            "generator: unknown name 'dcgam'; did you mean 'dcgan'?",
        ),
    ],
)
def test_options_and_bounds_are_checked_without_being_drawn(refusal, line, message):
    data = "data: {source: x, resolution: 64}\ndiscriminator: {name: dcgan}\n"
    said = refusal(f"{data}{line}\n")
    assert said.startswith("exp.yaml:3: ")
    assert message in said


def test_any_place_may_hold_one(load):
    experiment = load(
        """\
        data: {source: x, resolution: {choice: [32, 64]}, fit: {choice: [crop, resize]}}
        generator: {name: dcgan, width: {int: [4, 64]}}
        discriminator: {choice: [{name: dcgan, spectral_norm: {choice: [true, false]}}, {name: dcgan, norm: batch}]}
        objective: {loss: {name: {choice: [hinge, minimax]}}}
        tricks:
        - {choice: [null, {name: diffaugment, policy: [{choice: [color, translation]}, cutout]}]}
        - {name: ema, decay: {choice: [0.99, 0.999]}}
        optimizers: {choice: [{}, {generator: {lr: {log_uniform: [1e-5, 1e-3]}}}]}
        budget: {kimg: {uniform: [1, 2]}}
        seed: {int: [0, 2]}
        runtime: {choice: [{device: cpu}]}
        """
    )
    drawn = [experiment.sample(seed) for seed in range(40)]
    assert {recipe.data.resolution for recipe in drawn} == {32, 64}
    assert {recipe.objective.loss.name for recipe in drawn} == {"hinge", "minimax"}
    assert {tuple(trick.name for trick in recipe.tricks) for recipe in drawn} == {("ema",), ("diffaugment", "ema")}
    assert all(1 <= recipe.budget.kimg <= 2 for recipe in drawn)
    assert len({recipe.hash for recipe in drawn}) == 40
