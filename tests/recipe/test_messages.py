"""What is wrong with a file is said with the file, the line, the key and the nearest valid name."""

import pytest

from ganray.errors import RecipeError
from ganray.recipe.experiment import load_experiment

UNKNOWN = [
    ("...\nbugdet: {kimg: 1}\n", 5, "unknown key 'bugdet'; did you mean 'budget'?"),
    (
        "...\nbudget: {kimgs: 1}\n",
        5,
        "budget.kimgs: unknown key 'kimgs'; did you mean 'kimg'? (known: batch_size, kimg)",
    ),
    ("...\nsearch:\n  trails: 3\n", 6, "search.trails: unknown key 'trails'; did you mean 'trials'?"),
    (
        "...\nsearch:\n  scheduler: {name: asha,\n   graze_kimg: 1}\n",
        7,
        "search.scheduler.graze_kimg: unknown key 'graze_kimg'; did you mean 'grace_kimg'?",
    ),
    (
        "...\nresources: {cpu_per_worker: 2}\n",
        5,
        "resources.cpu_per_worker: unknown key 'cpu_per_worker'; did you mean 'cpus_per_worker'?",
    ),
    (
        "...\noptimizers:\n  generator:\n    beta_1: 0\n",
        7,
        "optimizers.generator.beta_1: unknown key 'beta_1'; did you mean 'beta1'? (known: beta1, beta2, lr, name)",
    ),
    (
        "...\ntricks:\n- {name: flips}\n- name: ema\n  decoy: 0.9\n",
        8,
        "tricks[1].decoy: unknown key 'decoy'; did you mean 'decay'? (known: decay, name, warmup)",
    ),
    (
        "...\noptimizers:\n  generator: {name: sgd,\n    momentun: 0.5}\n",
        7,
        "optimizers.generator.momentun: unknown key 'momentun'; did you mean 'momentum'? (known: lr, momentum, name)",
    ),
    (
        "...\noptimizers:\n  generator:\n    choice:\n    - {lr: 0.1}\n    - {name: rmsprop,\n       alfa: 1}\n",
        10,
        "optimizers.generator.alfa: unknown key 'alfa'; did you mean 'alpha'?",
    ),
    (
        "...\noptimizers:\n  schedule:\n    name: linear\n    finale: 0.1\n",
        8,
        "optimizers.schedule.finale: unknown key 'finale'; did you mean 'final'? (known: final, name, warmup_kimg)",
    ),
    ("...\nobjective:\n  loss: {name: lsgan, d: 1}\n", 6, "objective.loss.d: unknown key 'd'; known: a, b, c, name"),
    (
        "...\nobjective:\n  loss:\n    choice:\n    - {name: hinge}\n    - {name: lsgan,\n       cc: 1}\n",
        10,
        "objective.loss.cc: unknown key 'cc'; did you mean 'c'?",
    ),
    (
        "...\ntricks:\n- choice:\n  - null\n  - choice:\n    - {name: flips}\n    - {name: ema, dekay: 1}\n",
        10,
        "tricks[0].dekay: unknown key 'dekay'; did you mean 'decay'?",
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), UNKNOWN)
def test_unknown_keys(refusal, text, line, message):
    said = refusal(text)
    assert said.startswith(f"exp.yaml:{line}: {message}")
    assert len(said.splitlines()) == 1


def test_a_dropped_item_does_not_shift_the_line(refusal):
    text = "...\ntricks:\n- {choice: [null, {name: flips}]}\n- {name: ema,\n   dekay: 1}\n"
    assert refusal(text).startswith("exp.yaml:8: tricks[")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("...\nseed: many\n", "exp.yaml:5: seed: Input should be a valid integer"),
        ("...\nseed: -1\n", "exp.yaml:5: seed: Input should be greater than or equal to 0, got -1"),
        ("...\nbudget: {kimg: .inf}\n", "exp.yaml:5: budget.kimg: Input should be a finite number"),
        ("...\nbudget: {batch_size: 8.5}\n", "exp.yaml:5: budget.batch_size: Input should be a valid integer"),
        ("...\nsearch: {trials: lots}\n", "exp.yaml:5: search.trials: Input should be a valid integer"),
        ("...\nsearch: fast\n", "exp.yaml:5: search: needs a mapping of keys, got 'fast'"),
        ("...\nobjective:\n", "exp.yaml:5: objective: needs a mapping of keys, got None"),
        ("...\nobjective: {loss: hinge}\n", "needs a mapping of keys, got 'hinge'; write it as {name: hinge}"),
        (
            "...\ntricks: [flips]\n",
            "exp.yaml:5: tricks[0]: needs a mapping of keys, got 'flips'; write it as {name: flips}",
        ),
        ("...\nobjective: {loss: {name: hing}}\n", "objective.loss: unknown name 'hing'; did you mean 'hinge'?"),
        (
            "...\nobjective: {loss: {a: 1}}\n",
            "exp.yaml:5: objective.loss: needs a `name` (minimax, non_saturating, hinge",
        ),
        (
            "...\noptimizers: {generator: {name: sdg}}\n",
            "exp.yaml:5: optimizers.generator: unknown name 'sdg'; did you mean 'sgd'? (known: adam, adamw, sgd,",
        ),
        (
            "...\noptimizers: {generator: {lr: -1}}\n",
            "exp.yaml:5: optimizers.generator.lr: Input should be greater than 0",
        ),
        (
            "...\noptimizers: {generator: sgd}\n",
            "exp.yaml:5: optimizers.generator: needs a mapping of keys, got 'sgd'; write it as {name: sgd}",
        ),
        ("...\noptimizers: {generator: null}\n", "optimizers.generator: needs a mapping of keys, got None"),
        ("...\noptimizers: {generator: [adam]}\n", "optimizers.generator: needs a mapping of keys, got ['adam']"),
        (
            "...\nsearch: {sampler: tpee}\n",
            "search.sampler: 'tpee' is not allowed; did you mean 'tpe'? (known: tpe, random",
        ),
        (
            "data: {source: x, resolution: 100}\ngenerator: {name: dcgan}\ndiscriminator: {name: dcgan}\n",
            "exp.yaml:1: data.resolution: 100 is not allowed; known: 32, 64, 128, 256, 512, 1024",
        ),
        ("generator: {name: dcgan}\ndiscriminator: {name: dcgan}\n", "exp.yaml: data: is missing"),
        ("...\nname: 2026\n", "exp.yaml:5: name: needs text, got 2026; put it in quotes"),
        ("...\nname: my exp\n", "exp.yaml:5: name: needs letters, digits, '.', '_' and '-' only"),
        ("...\nevaluation: {protocols: [a, a]}\n", "exp.yaml:5: evaluation.protocols: a protocol is named twice"),
        ("...\nevaluation: {protocols: []}\n", "exp.yaml:5: evaluation.protocols: Tuple should have at least 1 item"),
        ("...\n5: x\n", "exp.yaml:5: unknown key 5; known:"),
        ("...\nbudget: {5: x}\n", "exp.yaml:5: budget"),
        (
            "...\ntricks: [{name: label_smoothing, real: 0.5, fake: 0.5}]\n",
            "exp.yaml:5: tricks[0]: real (0.5) must be above fake (0.5)",
        ),
        (
            "...\ntricks: [{name: noisy_margins, low: 1.1}]\n",
            "exp.yaml:5: tricks[0]: low (1.1) must not be above high (1.0)",
        ),
        (
            "...\ninitial: {checkpoint: a.pt, generator: false, discriminator: false}\n",
            "exp.yaml:5: initial: generator and discriminator are both false, so nothing is taken",
        ),
        ("preset: fastgam\n...\n", "exp.yaml:1: unknown preset 'fastgam'; did you mean 'fastgan'?"),
        ("preset: [dcgan]\n...\n", "exp.yaml:1: unknown preset ['dcgan']; known: dcgan, fastgan,"),
    ],
)
def test_wrong_values(refusal, text, message):
    assert message in refusal(text)


def test_every_fault_has_its_line(refusal):
    said = refusal("...\nseed: -1\nbudget: {kimg: 0}\ntricks: [{name: em}]\n").splitlines()
    assert [line.split(": ")[0] for line in said] == ["exp.yaml:7", "exp.yaml:6", "exp.yaml:5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "exp.yaml: an experiment file is a mapping of keys, this one is empty"),
        ("- a\n- b\n", "exp.yaml: an experiment file is a mapping of keys, this one is a list"),
        ("hello\n", "this one is a str"),
        ("data: {source: x\n", "exp.yaml:2: not valid YAML: expected ',' or '}'"),
        ("data: x\nseed: 1\ndata: y\n", "exp.yaml:3: not valid YAML: the key 'data' is there twice"),
        ("data:\n  source: x\n  source: y\n", "exp.yaml:3: not valid YAML: the key 'source' is there twice"),
        ("data: {{folder}}\n", "exp.yaml:1: not valid YAML: a key must be a plain word"),
        ("seed: !!int x\n", "not valid YAML: invalid literal for int()"),
        ("data: !!python/object/apply:os.getcwd []\n", "exp.yaml:1: not valid YAML: could not determine a constructor"),
        ("a\tb: \x00\n", "exp.yaml: not valid YAML"),
    ],
)
def test_what_is_no_experiment_file(refusal, text, message):
    assert message in refusal(text)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(RecipeError, match=r"no\.yaml: no such experiment file"):
        load_experiment(tmp_path / "no.yaml")
    with pytest.raises(RecipeError, match=r"cannot be read: .*directory"):
        load_experiment(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"data: {source: caf\xe9}")
    with pytest.raises(RecipeError, match=r"latin\.yaml: cannot be read: 'utf-8' codec"):
        load_experiment(tmp_path / "latin.yaml")


def test_yaml_as_people_mean_it(load):
    recipe = load(
        """\
        generator: &net {name: dcgan, width: 8}
        discriminator: {<<: *net, width: 16}
        data: {source: 2026-11-22, resolution: 64}
        optimizers:
          generator: {lr: 2e-4, beta1: .5e+0}
          discriminator: {lr: 1E-3}
        """
    ).the_recipe()
    assert recipe.optimizers.generator.lr == 2e-4
    assert recipe.optimizers.generator.beta1 == 0.5
    assert recipe.optimizers.discriminator.lr == 1e-3
    assert recipe.data.source == "2026-11-22"
    assert (recipe.generator.width, recipe.discriminator.width) == (8, 16)
