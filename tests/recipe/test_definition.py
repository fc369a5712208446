"""What an experiment is, told in a hash; and what its settings refuse."""

import pytest

TEXT = """\
...
objective: {loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}}
budget: {kimg: 2, batch_size: 8}
evaluation: {protocols: [fd_lite0_200_train, fd_lite0_1k_train]}
"""


@pytest.mark.parametrize(
    "overrides",
    [
        ["runtime.device=cpu"],
        ["runtime={precision: bf16, channels_last: true}"],
        ["resources.cpus_per_worker=4"],
        ["resources.slots=1"],
        ["search.trials=99"],
        ["search.seed=7"],
        ["runs=elsewhere"],
        ["store=memory://elsewhere"],
        ["name=other"],
        ["budget.kimg=2.0"],
        ["budget={batch_size: 8, kimg: 2}"],
        ["search.metric=fd_lite0_200_train"],
        ["search.start_from=[{objective: {loss: {name: hinge}}}]"],
    ],
)
def test_what_changes_no_meaning_leaves_the_definition_alone(load, overrides):
    assert load(TEXT, *overrides).definition_hash == load(TEXT).definition_hash


@pytest.mark.parametrize(
    "overrides",
    [
        ["budget.kimg=2.5"],
        ["search.metric=fd_lite0_1k_train"],
        ["seed=1"],
        ["objective.loss={choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.7, 1.0]}}]}"],
        ["objective.loss={choice: [{name: lsgan, c: {uniform: [0.8, 1.0]}}, {name: hinge}]}"],
        ["generator.width=32"],
    ],
)
def test_what_is_searched_and_by_what_is_the_definition(load, overrides):
    assert load(TEXT, *overrides).definition_hash != load(TEXT).definition_hash


def test_the_order_of_keys_means_nothing(load):
    lines = TEXT.splitlines(keepends=True)
    assert load("".join([lines[0], *lines[:0:-1]])).definition_hash == load(TEXT).definition_hash


def test_a_definition_is_the_same_in_every_version(load):
    """The hash stands in stores: if it moves, every sweep of an older version is refused."""
    found = load(TEXT).definition_hash
    assert found == "ae4d6ee42305a1f3885e13e91804c0e692482b37f6e7310bf6c61b9b13b367a2"


def test_one_name_and_several_names_are_both_experiments(load):
    one = load(TEXT + "search: {warm_start: {experiment: a}}").settings.search.warm_start
    several = load(TEXT + "search: {warm_start: {experiment: [a, b], limit: 3}}").settings.search.warm_start
    assert (one.experiments, one.limit, several.experiments, several.limit) == (("a",), None, ("a", "b"), 3)


@pytest.mark.parametrize(
    ("search", "complaint"),
    [
        ("{sampler: grid, warm_start: {experiment: a}}", "warm_start goes with sampler: tpe, not with grid"),
        ("{sampler: one_at_a_time, warm_start: {experiment: a}}", "not with one_at_a_time"),
        ("{sampler: random, warm_start: {experiment: a}}", "not with random, which learns nothing"),
        ("{warm_start: {where: best < 3}}", "search.warm_start.experiment: is missing"),
        ("{warm_start: {experiment: a, limit: 0}}", "search.warm_start.limit"),
        ("{warm_start: {experiment: ''}}", "search.warm_start.experiment"),
        ("{warm_start: {experiment: []}}", "search.warm_start.experiment"),
        ("{warm_start: {experiments: a}}", "unknown key 'experiments'; did you mean 'experiment'?"),
    ],
)
def test_a_warm_start_that_cannot_be_meant(refusal, search, complaint):
    text = TEXT.replace("{uniform: [0.8, 1.0]}", "1.0")
    assert complaint in refusal(text + f"search: {search}")


@pytest.mark.parametrize("key", ["runs", "store", "initial.checkpoint"])
@pytest.mark.parametrize("uri", ["s3://AKIA:hush@bucket/x", "https://host/x?X-Amz-Signature=hush"])
def test_a_uri_with_a_secret_is_refused_without_repeating_it(refusal, key, uri):
    said = refusal(TEXT, f"{key}={uri}")
    assert "holds credentials" in said
    assert "hush" not in said
