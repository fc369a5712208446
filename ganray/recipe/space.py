"""A search space is a recipe's tree with distributions in it. One recursive walk draws from it; another inverts it.

Parameter names are paths: `optimizers.generator.lr`, `tricks[1]`, and below an option of a choice
`objective.loss[lsgan].c`, so that a parameter exists only where its option was chosen.
"""

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ganray.errors import RecipeError
from ganray.recipe.distributions import (
    Choice,
    Int,
    LogUniform,
    Scalar,
    Uniform,
    as_distribution,
    bounds,
)

Path = tuple[str | int, ...]
Params = dict[str, Scalar]


class Suggest(Protocol):
    """What the walk asks of a sampler; an `optuna.Trial` is one."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int) -> int: ...


@dataclass(frozen=True)
class Draw:
    """A plain tree, and for each choice taken where in the file its option stands."""

    value: Any
    origin: dict[Path, Path]

    def in_space(self, path: Path) -> Path:
        """The path in the space of a path in the drawn tree."""
        for n in range(len(path), 0, -1):
            if path[:n] in self.origin:
                return (*self.origin[path[:n]], *path[n:])
        return path


@dataclass
class RandomSuggest:
    """Uniform draws from a seeded generator, without Optuna."""

    rng: random.Random

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.rng.choice(choices)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value = math.exp(self.rng.uniform(math.log(low), math.log(high))) if log else self.rng.uniform(low, high)
        return min(max(value, low), high)  # rounding may leave the range by a last digit

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return self.rng.randint(low, high)


@dataclass
class FixedSuggest:
    """Given parameters where they are given; elsewhere the first option and the lower (or upper) bound."""

    params: Params
    upper: bool = False
    options: dict[str, tuple[Scalar, ...]] = field(default_factory=dict)
    """The choices met on the way, and what they offered."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.options[name] = tuple(choices)
        label = self.params.get(name, choices[0])
        if label not in choices:
            offered = ", ".join(map(str, choices))
            raise RecipeError(
                f"{name}: {label} is not an option of the search space ({offered}); has the file changed?"
            )
        return label

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self.params.get(name, high if self.upper else low))  # type: ignore[arg-type]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self.params.get(name, high if self.upper else low))  # type: ignore[arg-type]


def draw(space: Any, suggest: Suggest) -> Draw:
    """Draw one plain tree, asking `suggest` for every distribution met on the way."""
    origin: dict[Path, Path] = {}
    return Draw(_draw(space, suggest, "", (), (), origin), origin)


def _draw(node: Any, suggest: Suggest, name: str, out: Path, source: Path, origin: dict[Path, Path]) -> Any:
    if out != source:
        origin[out] = source
    distribution = as_distribution(node)
    match distribution:
        case Choice():
            labels = distribution.labels()
            label = suggest.suggest_categorical(name, labels)
            index = labels.index(label)
            option = (*source, "choice", index)
            return _draw(distribution.choice[index], suggest, f"{name}[{label}]", out, option, origin)
        case Uniform() | LogUniform():
            low, high = bounds(distribution)
            return suggest.suggest_float(name, low, high, log=isinstance(distribution, LogUniform))
        case Int():
            return suggest.suggest_int(name, *distribution.int)
    if isinstance(node, Mapping):
        return {
            key: _draw(child, suggest, _join(name, key), (*out, key), (*source, key), origin)
            for key, child in node.items()
        }
    if isinstance(node, list | tuple):
        items: list[Any] = []
        for i, child in enumerate(node):
            item = _draw(child, suggest, f"{name}[{i}]", (*out, len(items)), (*source, i), origin)
            # A null in a list leaves its place out: an absent trick is absent.
            if item is not None:
                items.append(item)
        return items
    return node


def parameters_of(space: Any, value: Any) -> Iterator[Params]:
    """Every assignment of parameters that could have drawn `value`: the inverse of `draw`.

    A key that the space lacks is ignored: compare the redrawn recipe with the wanted one.
    """
    return _invert(space, value, "")


def _invert(node: Any, value: Any, name: str) -> Iterator[Params]:
    distribution = as_distribution(node)
    match distribution:
        case Choice():
            for label, option in zip(distribution.labels(), distribution.choice):
                for params in _invert(option, value, f"{name}[{label}]"):
                    yield {name: label, **params}
            return
        case Uniform() | LogUniform() | Int():
            low, high = bounds(distribution)
            if _is_number(value) and low <= value <= high and not (isinstance(distribution, Int) and value % 1):
                yield {name: value}
            return
    if isinstance(node, Mapping):
        yield from _invert_mapping(node, value, name)
    elif isinstance(node, list | tuple):
        yield from _invert_list(list(node), value, name)
    elif node == value and isinstance(node, bool) == isinstance(value, bool):
        yield {}


def _invert_mapping(node: Mapping[str, Any], value: Any, name: str) -> Iterator[Params]:
    if not isinstance(value, Mapping):
        return
    children = []
    for key, child in node.items():
        if key in value:
            children.append(list(_invert(child, value[key], _join(name, key))))
        elif holds_distribution(child):
            return  # the value leaves open what the space asks for
    yield from _merged(children)


def _invert_list(slots: list[Any], value: Any, name: str) -> Iterator[Params]:
    """Each value takes one slot, in any order; a slot that takes none must be able to draw null."""
    if isinstance(value, list | tuple) and len(value) <= len(slots):
        yield from _fill(slots, [*value, *[None] * (len(slots) - len(value))], name, 0)


def _fill(slots: list[Any], values: list[Any], name: str, at: int) -> Iterator[Params]:
    """Every way to share the values out over the slots from number `at` on."""
    if at == len(slots):
        yield {}
        return
    for i, value in enumerate(values):
        if value is None and None in values[:i]:
            continue
        for params in _invert(slots[at], value, f"{name}[{at}]"):
            for others in _fill(slots, values[:i] + values[i + 1 :], name, at + 1):
                yield {**params, **others}


def _merged(children: list[list[Params]]) -> Iterator[Params]:
    for combination in itertools.product(*children):
        yield {key: value for params in combination for key, value in params.items()}


def combinations(space: Any) -> Iterator[Draw]:
    """A draw for every combination of options, numbers at their lower bounds."""
    todo: list[Params] = [{}]
    while todo:
        params = todo.pop()
        suggest = FixedSuggest(params)
        drawn = draw(space, suggest)
        undecided = next((name for name in suggest.options if name not in params), None)
        if undecided is None:
            yield drawn
        else:
            todo += [{**params, undecided: option} for option in suggest.options[undecided]]


def representatives(space: Any, limit: int = 10_000) -> Iterator[Draw]:
    """Draws that between them take every option of every choice, and the bounds of every number."""
    todo: list[Params] = [{}]
    known: set[tuple[str, Scalar]] = set()
    while todo:
        params = todo.pop()
        suggest = FixedSuggest(params)
        yield draw(space, suggest)
        yield draw(space, FixedSuggest(params, upper=True))
        for name, options in suggest.options.items():
            new = [option for option in options if (name, option) not in known]
            known |= {(name, option) for option in new}
            todo += [{**params, name: option} for option in new]
        if len(known) > limit:
            raise RecipeError(f"the search space has over {limit} options; split the experiment file")


def nodes(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every node of the space with its path, options of choices included."""
    yield path, node
    for key, child in _items(node):
        yield from nodes(child, (*path, key))


def open_paths(node: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of the outermost distributions."""
    if as_distribution(node) is not None:
        yield path
        return
    for key, child in _items(node):
        yield from open_paths(child, (*path, key))


def holds_distribution(node: Any) -> bool:
    """Whether there is anything to search below this node."""
    return size(node) > 1 or continuous(node) > 0


def size(node: Any) -> int:
    """Number of combinations of choices and integers; a float range counts as one."""
    distribution = as_distribution(node)
    match distribution:
        case Choice():
            return sum(size(option) for option in distribution.choice)
        case Int():
            return distribution.int[1] - distribution.int[0] + 1
        case Uniform() | LogUniform():
            return 1
    return math.prod(size(child) for _, child in _items(node))


def continuous(node: Any) -> int:
    """Number of float ranges in the space."""
    distribution = as_distribution(node)
    match distribution:
        case Choice():
            return sum(continuous(option) for option in distribution.choice)
        case Int():
            return 0
        case Uniform() | LogUniform():
            return 1
    return sum(continuous(child) for _, child in _items(node))


def _items(node: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(node, Mapping):
        return node.items()
    return enumerate(node) if isinstance(node, list | tuple) else ()


def _join(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
