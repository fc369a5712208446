"""Hashes leave defaults out, so a default may never change its value: `defaults.json` pins every one.

After adding a field, write the file anew with `python tests/recipe/test_defaults.py`.
"""

import json
from pathlib import Path

from pydantic_core import to_jsonable_python

import ganray.recipe.distributions
import ganray.recipe.recipe
import ganray.recipe.settings  # noqa: F401  imported for its specs
from ganray.recipe.base import Spec

GOLDEN = Path(__file__).with_name("defaults.json")
WHY = (
    "A recipe's hash leaves defaults out: with another default, a hash in somebody's store would name another recipe, "
    "and an experiment file would run another experiment. Keep the default and add a field, or a component of "
    "another name, for the new behaviour."
)


def specs(base=Spec):
    for spec in base.__subclasses__():
        if spec.__module__.startswith("ganray.recipe."):  # benchmarks are specs, too, and enter no hash
            yield spec
            yield from specs(spec)


def defaults():
    return {
        spec.__name__: {
            name: to_jsonable_python(field.get_default())
            for name, field in sorted(spec.model_fields.items())
            if not field.is_required()
        }
        for spec in sorted(specs(), key=lambda spec: spec.__name__)
    }


def test_no_default_has_changed():
    found = defaults()
    for spec, pinned in json.loads(GOLDEN.read_text()).items():
        assert spec in found, f"{spec} is gone or renamed. {WHY}"
        for field, value in pinned.items():
            assert field in found[spec], f"{spec}.{field} is gone or has no default any more. {WHY}"
            assert found[spec][field] == value, f"{spec}.{field} was {value!r}, is {found[spec][field]!r}. {WHY}"


def test_every_default_is_pinned():
    pinned = json.loads(GOLDEN.read_text())
    new = [
        f"{spec}.{field}"
        for spec, fields in defaults().items()
        for field in fields
        if field not in pinned.get(spec, {})
    ]
    assert not new, f"new fields {new}: pin their defaults with `python {Path(__file__).name}` in {GOLDEN.parent}"


def test_specs_have_names_of_their_own():
    names = [spec.__name__ for spec in specs()]
    assert len(names) == len(set(names))


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(defaults(), indent=1, sort_keys=True) + "\n")
