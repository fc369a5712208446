"""The recipe book knows every component, and every component says what it is."""

import pytest

from ganray.recipe import book
from ganray.recipe.recipe import Recipe

COMPONENTS = book.components()


def test_the_book_has_every_component_that_a_recipe_can_name():
    schema = Recipe.model_json_schema()
    named = {
        spec["properties"]["name"]["const"]
        for spec in schema["$defs"].values()
        if "const" in spec.get("properties", {}).get("name", {})
    }
    assert named == {component.name for component in COMPONENTS}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.place}-{c.name}")
def test_a_component_says_what_it_is_and_where_it_comes_from(component):
    assert component.what.endswith((".", ")."))
    assert len(component.what) > 20
    assert not component.advice or component.advice.endswith(".")


def test_fields_come_with_their_values_and_defaults():
    (r1,) = (c for c in COMPONENTS if c.name == "r1")
    assert r1.place == "objective.penalties"
    gamma, every = r1.fields
    assert (gamma.name, gamma.kind, gamma.default) == ("gamma", "number > 0", "10.0")
    assert (every.kind, every.default) == ("integer >= 1", "1")
    (patch,) = (c for c in COMPONENTS if c.name == "patch")
    assert {f.name: f.kind for f in patch.fields}["norm"] == "one of none, batch, instance, layer, group"
