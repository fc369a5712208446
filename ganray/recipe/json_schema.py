"""The JSON schema of experiment files: the recipe's own, with a distribution allowed in every place.

A place, such as `FastGANGenerator.width`, has a definition of its own, so that the options of a choice are checked
and completed like plain values, however deep choices lie in choices.
"""

from typing import Any

from ganray.recipe.presets import PRESETS
from ganray.recipe.recipe import Recipe
from ganray.recipe.settings import Settings

DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def experiment_schema() -> Schema:
    """JSON schema (draft 2020-12) of an experiment file."""
    recipe = Recipe.model_json_schema()
    settings = Settings.model_json_schema()
    definitions: Schema = {}
    for name, definition in recipe.pop("$defs").items():
        definitions[name] = _open(definition, name, definitions)
    properties = _open(recipe, "Recipe", definitions)["properties"]
    preset = {"enum": list(PRESETS), "description": "A recipe of the package that this file is laid over."}
    return {
        "$schema": DRAFT,
        "title": "GANRay experiment file",
        "type": "object",
        "properties": properties | settings["properties"] | {"preset": preset},
        "additionalProperties": False,
        "$defs": definitions | settings.get("$defs", {}),
    }


def _open(definition: Schema, name: str, definitions: Schema) -> Schema:
    """Every property, and every item of a list, may be a distribution."""
    properties = {
        key: _name(schema) if key == "name" else _place(schema, f"{name}.{key}", definitions)
        for key, schema in definition["properties"].items()
    }
    # The preset may hold whatever the file leaves out.
    return {**definition, "properties": properties, "required": []}


def _name(schema: Schema) -> Schema:
    """A component's `name` tells it apart from the others, so its options are not looked at."""
    return {"anyOf": [schema, _choice({"type": "string"})]}


def _place(schema: Schema, place: str, definitions: Schema) -> Schema:
    kept: Schema = {key: schema[key] for key in ("description", "default", "title") if key in schema}
    bare = _any_component({key: value for key, value in schema.items() if key not in kept})
    if bare.get("type") == "array" and "items" in bare:
        # A list replaces the preset's, so its components need their names.
        named = {"required": ["name"]} if "oneOf" in bare["items"] else {}
        item = _place(bare["items"] | named, f"{place}.item", definitions)
        bare["items"] = {"anyOf": [item, {"type": "null"}]}
    reference = {"$ref": f"#/$defs/{place}"}
    definitions[place] = {"anyOf": [bare, _choice(reference), *_ranges(bare)]}
    return {**kept, **reference}


def _any_component(schema: Schema) -> Schema:
    """Without `oneOf`: a component whose `name` is a choice, or comes from the preset, matches several."""
    bare = {key: value for key, value in schema.items() if key != "discriminator"}
    if "oneOf" in bare:
        bare["anyOf"] = bare.pop("oneOf")
    if "anyOf" in bare:
        bare["anyOf"] = [_any_component(form) for form in bare["anyOf"]]
    return bare


def _choice(option: Schema) -> Schema:
    options = {"type": "array", "minItems": 1, "items": {"anyOf": [option, {"type": "null"}]}}
    return _alone("choice", options)


def _ranges(bare: Schema) -> list[Schema]:
    """The ranges that a place for a number may hold."""
    types = {form.get("type") for form in (bare, *bare.get("anyOf", ()))}
    keys = ["int"] if "integer" in types else ["uniform", "log_uniform", "int"] if "number" in types else []
    return [_alone(key, _bounds("integer" if key == "int" else "number")) for key in keys]


def _bounds(kind: str) -> Schema:
    return {"type": "array", "prefixItems": [{"type": kind}, {"type": kind}], "items": False, "minItems": 2}


def _alone(key: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}
