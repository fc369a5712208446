"""The JSON schema of experiment files: the recipe's own, with a distribution allowed in every place."""

from typing import Any

from ganray.recipe.distributions import DISTRIBUTIONS
from ganray.recipe.experiment import Settings
from ganray.recipe.presets import PRESETS
from ganray.recipe.recipe import Recipe

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of an experiment file."""
    recipe = Recipe.model_json_schema()
    settings = Settings.model_json_schema()
    definitions = {name: _with_distributions(d) for name, d in recipe.pop("$defs").items()}
    definitions |= settings.pop("$defs", {})
    definitions |= {f"Distribution_{name}": m.model_json_schema() for name, m in DISTRIBUTIONS.items()}
    properties = _with_distributions(recipe)["properties"] | settings["properties"]
    properties["preset"] = {"enum": list(PRESETS), "description": "A recipe of the package that this file overrides."}
    return {
        "$schema": DRAFT,
        "title": "GANRay experiment file",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _with_distributions(definition: dict[str, Any]) -> dict[str, Any]:
    """Every property, and every item of a list, may be a distribution; `name` tells components apart and may not."""
    if "properties" not in definition:
        return definition
    properties = {
        name: schema if name == "name" else _or_distribution(_list_items(schema))
        for name, schema in definition["properties"].items()
    }
    # A preset may hold what a file leaves out, so nothing but `name` is required.
    required = [name for name in definition.get("required", ()) if name == "name"]
    return {**definition, "properties": properties, "required": required}


def _list_items(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "array" and "items" in schema:
        return {**schema, "items": _or_distribution(schema["items"])}
    return schema


def _or_distribution(schema: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {key: schema[key] for key in ("description", "default", "title") if key in schema}
    bare = {key: value for key, value in schema.items() if key not in kept}
    return {"anyOf": [bare, *({"$ref": f"#/$defs/Distribution_{name}"} for name in DISTRIBUTIONS)], **kept}
