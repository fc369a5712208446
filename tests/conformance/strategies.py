"""Random recipes from the whole space, by the specs' own annotations."""

from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from ganray.recipe import book
from ganray.recipe.base import Spec

SMALL = {  # sizes stay tiny, whatever the field allows
    "width": st.just(4), "latent_dim": st.integers(5, 8), "code_dim": st.just(4), "layers": st.integers(1, 3),
    "scales": st.integers(1, 2), "depth": st.integers(1, 2), "capacity": st.integers(2, 16),
    "minibatch_discrimination": st.integers(0, 4), "n": st.integers(2, 3), "kimg": st.floats(0.004, 0.05),
    "distance": st.just("l1"), "attention": st.sampled_from([(), (8,), (16,)]), "every": st.integers(1, 3),
    "interval": st.integers(1, 2), "lr": st.floats(1e-5, 1e-2), "latent_lr": st.floats(0.01, 1.0),
    "warmup_kimg": st.floats(0.0, 0.05), "checkpoint": st.nothing(),
}  # fmt: skip
MOST = 3.0
"""Weights without an upper limit are drawn up to this."""


def spec(kind: type[Spec]) -> st.SearchStrategy[dict[str, Any]]:
    """Trees of one spec: every field given, or left to its default."""
    fields = {"name": st.just(book.name_of(kind))} if "name" in kind.model_fields else {}
    optional = {name: field(name, info) for name, info in kind.model_fields.items() if name != "name"}
    return st.fixed_dictionaries(fields, optional={k: v for k, v in optional.items() if not v.is_empty})


def one_of(union: Any, without: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """Trees of any member of a union."""
    return st.one_of([spec(kind) for kind in book.members(union) if book.name_of(kind) not in without])


def some_of(union: Any, most: int, without: tuple[str, ...] = ()) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A few members of a union, each once."""
    return st.lists(one_of(union, without), max_size=most, unique_by=lambda tree: tree["name"])


def field(name: str, info: FieldInfo) -> st.SearchStrategy[Any]:
    """Values of one field within its limits."""
    return SMALL[name] if name in SMALL else _values(info.annotation, info.metadata)


def _values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return st.sampled_from(arguments)
    if get_origin(annotation) is tuple and arguments[-1] is Ellipsis:
        return st.lists(_values(arguments[0], []), min_size=1, max_size=3, unique=True)
    if get_origin(annotation) is tuple:
        return st.nothing()  # ranges with an order of their own: left to their defaults
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return spec(annotation)
    if annotation is bool:
        return st.booleans()
    if annotation in (int, float):
        low, high = _limits(metadata)
        return st.integers(int(low), int(high)) if annotation is int else st.floats(low, high)
    options = [each for each in arguments if each is not type(None)]
    if len(options) == 1 and len(arguments) == 2:
        return st.none() | _values(options[0], metadata)
    assert get_origin(annotation) is not Union, annotation
    return st.nothing()


def _limits(metadata: list[Any]) -> tuple[float, float]:
    low, high = 0.0, MOST
    for limit in metadata:
        match limit:
            case Ge(ge=value):
                low = value
            case Gt(gt=value):
                low = value + 1e-3
            case Le(le=value):
                high = min(high, value)
            case Lt(lt=value):
                high = min(high, value - 1e-3)
            case Interval():
                raise AssertionError("write limits one by one")
    return low, high
