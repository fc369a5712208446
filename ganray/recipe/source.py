"""A YAML file that remembers on which line each key stands."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ganray.errors import RecipeError


@dataclass(frozen=True)
class Source:
    """A parsed YAML file: its tree and the line of each path in it."""

    path: Path
    tree: dict[str, Any]
    root: yaml.Node | None

    def line(self, path: Sequence[str | int]) -> int | None:
        """The 1-based line of the deepest part of `path` that the file has; None where it has none of it."""
        node, line = self.root, None
        for key in path:
            found = _child(node, key)
            if found is None:
                break
            line, node = found
        return line

    def at(self, path: Sequence[str | int]) -> str:
        """`FILE:LINE` of a path, or `FILE` where the file lacks it."""
        line = self.line(path)
        return f"{self.path}:{line}" if line else str(self.path)


def read_yaml(path: Path) -> Source:
    """Read one YAML file. Raises RecipeError naming file, line and reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such experiment file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    try:
        root = yaml.compose(text, Loader=Loader)
        _expanded(root, {})
        tree = yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise RecipeError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(tree, dict):
        raise RecipeError(f"{path}: an experiment file is a mapping of keys, this one is {_kind(tree)}")
    return Source(path, tree, root)


def parse_value(text: str) -> Any:
    """A value as YAML would read it: for `--set key=value`. Raises yaml.YAMLError or ValueError."""
    return yaml.load(text, Loader=Loader)


class Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, reads `2e-4` as a number, and leaves dates as text."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _mistake("a key must be a plain word", key_node)
            if key in seen:
                raise _mistake(f"the key {key!r} is there twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 takes 2e-4 for a string because it has no dot.
_FLOAT = re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")
Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
# A recipe holds no dates, but experiments and folders are called 2026-11-22.
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}


MOST_VALUES = 100_000


def _expanded(node: yaml.Node | None, sizes: dict[int, int]) -> int:
    """How many values a node stands for, each alias in full. YAMLError where it never ends, or at too many.

    Ten short lines of aliases of aliases can stand for a billion values.
    """
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES  # of a node that holds itself
        values = node.value if isinstance(node, yaml.CollectionNode) else ()
        children = [child for value in values for child in (value if isinstance(value, tuple) else (value,))]
        sizes[id(node)] = 1 + sum(_expanded(child, sizes) for child in children)
        if sizes[id(node)] > MOST_VALUES:
            assert node is not None
            raise _mistake(f"its aliases (`*name`) stand for more than {MOST_VALUES:,} values", node)
    return sizes[id(node)]


def _mistake(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _child(node: yaml.Node | None, key: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == str(key):
                return key_node.start_mark.line + 1, value_node
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and 0 <= key < len(node.value):
        child = node.value[key]
        return child.start_mark.line + 1, child
    return None


def _kind(tree: Any) -> str:
    if tree is None:
        return "empty"
    return "a list" if isinstance(tree, list) else f"a {type(tree).__name__}"
