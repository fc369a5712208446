"""Every component of the recipe book says what it computes, where that is from, and when to use it and when not."""

import re

import pytest

from ganray.recipe.book import components
from ganray.recipe.conflicts import NETWORKS
from ganray.report.render_book import first_sentence, links

LONGEST = 150
"""Characters of what a component does, in the family's table."""

every_component = pytest.mark.parametrize("component", components(), ids=lambda c: f"{c.place}-{c.name}")


@every_component
def test_it_says_in_one_line_what_it_does(component):
    assert len(first_sentence(component.what)) <= LONGEST


@every_component
def test_it_writes_its_formula_out(component):
    rest = component.what.removeprefix(first_sentence(component.what))
    formulas = [code for code in re.findall("`([^`]+)`", component.what) if re.search(r"[(=<|*/]", code)]
    assert formulas or (component.place in NETWORKS and rest), "add the formula, or a network's structure"


@every_component
def test_it_names_its_source(component):
    assert links(component), "cite the paper by its arXiv number, or a work that render_book.WORKS has the address of"


@every_component
def test_it_says_when_to_use_it_and_when_not(component):
    assert component.advice.startswith("Use it "), 'begin the docstring\'s second paragraph with "Use it"'
    assert " not " in component.advice
    assert component.advice.endswith(".")
