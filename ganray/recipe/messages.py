"""Turns pydantic's errors into lines that name the place, the key and the fix."""

import difflib
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ganray.recipe.distributions import DISTRIBUTIONS

Loc = tuple[str | int, ...]
Locate = Callable[[Loc], str]


def nearest(word: object, known: Sequence[str]) -> str:
    """`did you mean 'x'? (known: ...)`, or `known: ...` where nothing is near."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5) if isinstance(word, str) else []
    listed = f"known: {', '.join(known)}"
    return f"did you mean {close[0]!r}? ({listed})" if close else listed


def explain(error: ValidationError, model: type[BaseModel], locate: Locate) -> list[str]:
    """One line per error: `PLACE: path: what is wrong; the nearest valid name`."""
    return list(dict.fromkeys(_line(detail, model, locate) for detail in error.errors()))


def _line(detail: Any, model: type[BaseModel], locate: Locate) -> str:
    path = without_tags(detail["loc"], model)
    text = _text(detail, model)
    name = dotted(path)
    return f"{locate(path)}: {name}: {text}" if name else f"{locate(path)}: {text}"


def _text(detail: Any, model: type[BaseModel]) -> str:
    loc, given, context = detail["loc"], detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key {loc[-1]!r}; {nearest(loc[-1], fields_at(model, loc[:-1]))}"
        case "union_tag_invalid":
            return f"unknown name {context['tag']!r}; {nearest(context['tag'], _words(context['expected_tags']))}"
        case "union_tag_not_found" if isinstance(given, dict):
            return _distribution_hint(given) or f"needs a `name` ({', '.join(names_at(model, loc))})"
        case "literal_error":
            return (
                _distribution_hint(given) or f"{given!r} is not allowed; {nearest(given, _words(context['expected']))}"
            )
        case "model_type" | "model_attributes_type" | "dict_type" | "union_tag_not_found":
            short = f"; write it as {{name: {given}}}" if given in names_at(model, loc) else ""
            return f"needs a mapping of keys, got {given!r}{short}"
        case "missing":
            return "is missing"
        case "value_error":
            return str(context["error"])
        case "nonsense":
            return str(detail["msg"])
        case "string_type" if isinstance(given, int | float):
            return f"needs text, got {given!r}; put it in quotes"
        case "string_pattern_mismatch":
            return f"needs letters, digits, '.', '_' and '-' only, the first a letter or a digit, got {given!r}"
    return _distribution_hint(given) or f"{detail['msg']}, got {given!r}"


def _words(listed: str) -> list[str]:
    """The words of pydantic's `'a', 'b' or 'c'`."""
    return [word.strip(" '") for word in listed.replace(" or ", ", ").split(",")]


def _distribution_hint(given: Any) -> str:
    """What to write where a mapping of one unknown key stands in place of a value."""
    if not isinstance(given, dict) or len(given) != 1:
        return ""
    (key,) = given
    known = list(DISTRIBUTIONS)
    if key in DISTRIBUTIONS or not difflib.get_close_matches(str(key), known, n=1, cutoff=0.5):
        return ""
    return f"unknown distribution {key!r}; {nearest(key, known)}"


def without_tags(loc: Loc, model: type[BaseModel]) -> Loc:
    """The path in the file: pydantic's own, less the union tags that it puts between."""
    path: list[str | int] = []
    current: Any = model
    for key in loc:
        if not _is_tag(key, current):
            path.append(key)
        current = _annotation(current, (key,))
    return tuple(path)


def dotted(path: Loc) -> str:
    """`tricks[1].policy` for ('tricks', 1, 'policy')."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def fields_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The names of the fields of the model at pydantic's location `loc` (with its union tags)."""
    found = list(_models(_annotation(model, loc)))
    return sorted({name for m in found for name in m.model_fields})


def names_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The `name`s of the components that may stand at pydantic's location `loc`."""
    return [str(name) for found in _models(_annotation(model, loc)) for name in _names(found)]


def _annotation(model: Any, loc: Loc) -> Any:
    current: Any = model
    for key in loc:
        if isinstance(key, int):
            current = next((a for a in get_args(_bare(current)) if a is not Ellipsis), Any)
            continue
        wanted = _names if _is_tag(key, current) else _fields
        owners = [m for m in _models(current) if key in wanted(m)]
        if not owners:
            return Any
        current = owners[0] if wanted is _names else owners[0].model_fields[key].annotation
    return current


def _is_tag(key: str | int, annotation: Any) -> bool:
    """Whether pydantic's `key` only says which component of a union was meant."""
    models = list(_models(annotation))
    return len(models) > 1 and any(key in _names(m) for m in models)


def _fields(model: type[BaseModel]) -> Iterable[str]:
    return model.model_fields


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType):
        for arg in get_args(annotation):
            yield from _models(arg)


def _names(model: type[BaseModel]) -> tuple[str, ...]:
    field = model.model_fields.get("name")
    return get_args(field.annotation) if field else ()
