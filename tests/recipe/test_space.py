"""The walk over a search space and its inverse, on hand-made spaces and on random ones."""

import json
import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganray.errors import RecipeError
from ganray.recipe import space as sp

LOSSES = {"choice": [{"name": "hinge"}, {"name": "lsgan", "c": {"uniform": [0.8, 1.0]}}, {"name": "rpgan"}]}
HAND = {
    "loss": LOSSES,
    "lr": {"log_uniform": [1e-5, 1e-2]},
    "tricks": [{"choice": [None, {"name": "flips"}]}, {"name": "ema", "decay": {"choice": [0.9, 0.99]}}],
    "width": {"int": [16, 19]},
    "fixed": {"kimg": 4},
}


class Recording(sp.RandomSuggest):
    """Remembers what was asked; each answer must lie within what was offered."""

    def __init__(self, seed):
        super().__init__(random.Random(seed))
        self.params = {}

    def _keep(self, name, value):
        assert name not in self.params, f"{name} was asked for twice"
        self.params[name] = value
        return value

    def suggest_categorical(self, name, choices):
        value = super().suggest_categorical(name, choices)
        assert value in choices
        return self._keep(name, value)

    def suggest_float(self, name, low, high, *, log=False):
        value = super().suggest_float(name, low, high, log=log)
        assert low <= value <= high
        return self._keep(name, value)

    def suggest_int(self, name, low, high):
        value = super().suggest_int(name, low, high)
        assert low <= value <= high
        return self._keep(name, value)


def fixed(space, params):
    return sp.draw(space, sp.FixedSuggest(params)).value


def same(a, b):
    """Equal as JSON, which tells 1 from 1.0 and from true."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def test_names_are_paths():
    params = {
        "loss": "lsgan",
        "loss[lsgan].c": 0.85,
        "lr": 1e-3,
        "tricks[0]": "flips",
        "tricks[1].decay": 0.99,
        "width": 17,
    }
    drawn = {
        "loss": {"name": "lsgan", "c": 0.85},
        "lr": 1e-3,
        "tricks": [{"name": "flips"}, {"name": "ema", "decay": 0.99}],
        "width": 17,
        "fixed": {"kimg": 4},
    }
    assert fixed(HAND, params) == drawn
    assert list(sp.parameters_of(HAND, drawn)) == [params]


def test_a_null_in_a_list_leaves_its_place_out():
    assert fixed(HAND, {"tricks[0]": None})["tricks"] == [{"name": "ema", "decay": 0.9}]
    assert fixed({"tricks": [None, {"name": "flips"}]}, {}) == {"tricks": [{"name": "flips"}]}
    assert fixed({"decode": {"choice": [None, 1]}}, {}) == {"decode": None}


def test_a_parameter_exists_only_where_its_option_was_chosen():
    for seed in range(30):
        suggest = Recording(seed)
        value = sp.draw(HAND, suggest).value
        assert ("loss[lsgan].c" in suggest.params) == (value["loss"]["name"] == "lsgan")


def test_labels_are_the_scalars_or_the_names_inside():
    options = [3, "x", None, {"name": "hinge"}, [{"name": "ema"}, {"name": "flips"}], {"lr": 1}, {"name": "r1", "g": 1},
               {"name": "r1", "g": 2}, []]  # fmt: skip
    suggest = sp.FixedSuggest({})
    sp.draw({"a": {"choice": options}}, suggest)
    assert suggest.options["a"] == (3, "x", None, "hinge", "ema+flips", "#5", "r1#6", "r1#7", "#8")


def test_the_origin_leads_back_to_the_option():
    drawn = sp.draw(HAND, sp.FixedSuggest({"loss": "lsgan", "tricks[0]": None}))
    assert drawn.in_space(("loss", "c")) == ("loss", "choice", 1, "c")
    assert drawn.in_space(("tricks", 0, "name")) == ("tricks", 1, "name")
    assert drawn.in_space(("tricks", 0, "decay")) == ("tricks", 1, "decay", "choice", 0)
    assert drawn.in_space(("fixed", "kimg")) == ("fixed", "kimg")


def test_size_and_ranges_by_hand():
    # 3 losses x (absent or flips) x 2 decays x 4 widths; c and lr are ranges.
    assert (sp.size(HAND), sp.continuous(HAND)) == (3 * 2 * 2 * 4, 2)
    nested = {"a": {"choice": [{"b": {"choice": [1, 2]}, "c": {"int": [0, 4]}}, {"b": {"uniform": [0, 1]}}, None]}}
    assert (sp.size(nested), sp.continuous(nested)) == (2 * 5 + 1 + 1, 1)
    assert (sp.size({"a": 1}), sp.continuous([]), sp.holds_distribution({"a": [1]})) == (1, 0, False)
    assert sp.holds_distribution({"a": [{"uniform": [0, 1]}]})
    assert not sp.holds_distribution({"a": {"choice": [1]}})


def test_representatives_take_every_option_and_bound():
    space = {
        "a": {"choice": [{"n": {"int": [1, 9]}}, {"choice": [7, {"x": {"uniform": [2, 3]}}]}]},
        "b": {"int": [0, 5]},
    }
    values = [drawn.value for drawn in sp.representatives(space)]
    assert {1, 9} == {v["a"]["n"] for v in values if isinstance(v["a"], dict) and "n" in v["a"]}
    assert {2.0, 3.0} == {v["a"]["x"] for v in values if isinstance(v["a"], dict) and "x" in v["a"]}
    assert any(v["a"] == 7 for v in values)
    assert {v["b"] for v in values} == {0, 5}


def test_a_space_of_too_many_options_is_refused():
    with pytest.raises(RecipeError, match="over 10 options"):
        list(sp.representatives({"a": {"choice": list(range(11))}}, limit=10))


def test_an_option_that_the_space_lacks_is_refused():
    with pytest.raises(RecipeError, match="loss: wgan is not an option of the search space"):
        fixed(HAND, {"loss": "wgan"})


@pytest.mark.parametrize(
    "value",
    [
        {**fixed(HAND, {}), "width": 20},
        {**fixed(HAND, {}), "width": 16.5},
        {**fixed(HAND, {}), "width": True},
        {**fixed(HAND, {}), "lr": 0.1},
        {**fixed(HAND, {}), "lr": "1e-3"},
        {**fixed(HAND, {}), "fixed": {"kimg": 5}},
        {**fixed(HAND, {}), "tricks": [{"name": "flips"}]},
        {**fixed(HAND, {}), "tricks": "ema"},
        {key: value for key, value in fixed(HAND, {}).items() if key != "lr"},
        {**fixed(HAND, {}), "loss": {"name": "lsgan"}},
        [],
    ],
)
def test_what_lies_outside_has_no_parameters(value):
    assert not list(sp.parameters_of(HAND, value))


def test_a_long_list_is_inverted_at_once():
    tricks = [{"choice": [None, {"name": f"t{i}", "x": {"uniform": [0, 1]}}]} for i in range(12)]
    wanted = [{"name": f"t{i}", "x": 0.5} for i in (11, 3, 7)]
    (params,) = sp.parameters_of({"tricks": tricks}, {"tricks": wanted})
    assert {key: value for key, value in params.items() if value is not None} == {
        **{f"tricks[{i}]": f"t{i}" for i in (3, 7, 11)}, **{f"tricks[{i}][t{i}].x": 0.5 for i in (3, 7, 11)},
    }  # fmt: skip


scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.sampled_from(["x", "y", "hinge"])
ranges = st.one_of(
    st.tuples(st.floats(-9, 0), st.floats(0.5, 9)).map(lambda pair: {"uniform": list(pair)}),
    st.tuples(st.floats(1e-9, 1e-3), st.floats(2e-3, 9)).map(lambda pair: {"log_uniform": list(pair)}),
    st.tuples(st.integers(-9, 0), st.integers(1, 9)).map(lambda pair: {"int": list(pair)}),
)


def options(node):
    distinct = st.lists(node, min_size=1, max_size=3).filter(lambda o: all(x not in o[:i] for i, x in enumerate(o)))
    return distinct.map(lambda found: {"choice": found})


def trees(leaves):
    keys = st.sampled_from(["name", "a", "b", "c"])
    return st.recursive(
        leaves,
        lambda node: st.dictionaries(keys, node, max_size=3) | st.lists(node, max_size=3) | options(node),
        max_leaves=8,
    )


spaces = st.dictionaries(st.sampled_from(["p", "q", "r"]), trees(scalars | ranges), max_size=3)
finite_spaces = st.dictionaries(st.sampled_from(["p", "q", "r"]), trees(scalars), max_size=3)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(spaces, st.integers(0, 2**31))
def test_a_draw_lies_within_its_bounds_and_its_parameters_redraw_it(space, seed):
    suggest = Recording(seed)
    value = sp.draw(space, suggest).value
    assert same(fixed(space, suggest.params), value)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(spaces, st.integers(0, 2**31))
def test_the_inverse_finds_parameters_that_redraw_the_tree(space, seed):
    value = sp.draw(space, Recording(seed)).value
    found = islice(sp.parameters_of(space, value), 5000)
    assert any(same(fixed(space, params), value) for params in found)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(finite_spaces)
def test_combinations_are_as_many_as_the_size_and_representatives_miss_no_option(space):
    if sp.size(space) > 500:
        return
    assert len(list(sp.combinations(space))) == sp.size(space)
    taken, offered = set(), set()

    class Watching(sp.FixedSuggest):
        def suggest_categorical(self, name, choices):
            label = super().suggest_categorical(name, choices)
            offered.update((name, str(c)) for c in choices)
            taken.add((name, str(label)))
            return label

    for drawn in sp.representatives(space):
        for params in islice(sp.parameters_of(space, drawn.value), 200):
            sp.draw(space, Watching(params))
    assert taken == offered


@settings(deadline=None, max_examples=100, derandomize=True)
@given(trees(scalars).filter(lambda tree: not sp.holds_distribution(tree)))
def test_a_plain_tree_draws_itself(tree):
    without_nulls = sp.draw(tree, sp.FixedSuggest({})).value
    assert same(sp.draw(without_nulls, sp.FixedSuggest({})).value, without_nulls)
