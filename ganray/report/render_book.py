"""The recipe book as text: a list, one component in full, and everything as markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ganray.recipe.book import Component
from ganray.recipe.combinations import REFUSALS
from ganray.recipe.conflicts import LISTS, NETWORKS, Conflict, conflicts
from ganray.report.cells import NOTHING, Row, markdown, table

Key = tuple[str, str]
"""Place and name of a component."""

WIDEST = 100
"""Characters of a snippet's line."""

MOST_IN_A_CELL = 3
"""Measured effects of a component in the family's table; of more, it says how many there are."""

COMPANIONS: dict[Key, dict[str, Any]] = {
    ("discriminator", "autoencoder"): {"objective.loss": {"name": "ebgan"}},
    ("objective.loss", "ebgan"): {"discriminator": {"name": "autoencoder"}},
    ("objective.loss", "wasserstein"): {"objective.penalties": [{"name": "wgan_gp"}]},
    ("objective.penalties", "cutmix"): {"discriminator": {"name": "unet"}},
    ("objective.generator_losses", "l1"): {"tricks": [{"name": "pretrain"}]},
    ("objective.generator_losses", "content"): {"tricks": [{"name": "pretrain"}]},
    ("objective.generator_losses", "path_length"): {"generator": {"name": "dcgan", "norm": "pixel"}},
    ("objective.conditioning", "projection"): {"data": {"labels": "folders"}},
    ("objective.conditioning", "acgan"): {"data": {"labels": "folders"}},
    ("tricks", "joined_batches"): {"discriminator": {"name": "dcgan", "norm": "batch"}},
    ("tricks", "noisy_margins"): {"objective.loss": {"name": "hinge"}},
    ("tricks", "label_smoothing"): {"objective.loss": {"name": "non_saturating"}},
    ("tricks", "soft_labels"): {"objective.loss": {"name": "non_saturating"}},
    ("tricks", "label_flips"): {"objective.loss": {"name": "non_saturating"}},
    ("tricks", "freeze_d"): {"initial": {"checkpoint": "runs/EXPERIMENT/trials/TRIAL/checkpoint.pt"}},
}
"""What a component needs beside it, so that its snippet can be pasted."""


WORKS = {
    "GAN hacks": "https://github.com/soumith/ganhacks",
    "Krizhevsky et al. 2012": "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
}
"""Sources without an arXiv number."""


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence; `sec. 3` and `arXiv 2101.04775` do not."""
    return re.split(r"(?<=[^A-Z])\.\s+(?=[A-Z`])", text, maxsplit=1)[0].removesuffix(".") + "."


def sources(component: Component) -> list[str]:
    """The arXiv numbers that it cites, in their order."""
    return list(dict.fromkeys(re.findall(r"\b\d{4}\.\d{4,5}\b", f"{component.what} {component.advice}")))


def links(component: Component) -> dict[str, str]:
    """The sources that it names, each with its address."""
    text = f"{component.what} {component.advice}"
    named = {work: address for work, address in WORKS.items() if work in text}
    return {f"arXiv {number}": _link(number) for number in sources(component)} | named


def snippet(component: Component) -> str:
    """The component at its place in a recipe with all its fields, and what it needs beside it, as YAML."""
    spec = {"name": component.name, **{f.name: f.default for f in component.fields if f.default is not None}}
    tree: dict[str, Any] = {}
    for place in component.place.split(" and "):
        _put(tree, place, [spec] if place in LISTS else spec)
    for place, needed in COMPANIONS.get((component.place, component.name), {}).items():
        _put(tree, place, needed)
    return "\n".join(_yaml(tree)) + "\n"


def _put(tree: dict[str, Any], place: str, value: Any) -> None:
    *parents, last = place.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = [*tree[last], *value] if last in tree else value


def _yaml(tree: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Components on one line each where they fit."""
    for key, value in tree.items():
        if isinstance(value, list):
            yield f"{indent}{key}:"
            yield from (f"{indent}  - {_flow(item)}" for item in value)
        elif not isinstance(value, Mapping):
            yield f"{indent}{key}: {value}"
        elif "name" in value and len(line := f"{indent}{key}: {_flow(value)}") <= WIDEST:
            yield line
        else:
            yield f"{indent}{key}:"
            yield from _yaml(value, f"{indent}  ")


def _flow(spec: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in spec.items()) + "}"


def book_to_rich(components: Sequence[Component]) -> RenderableType:
    """Family by family, name and first sentence."""
    parts: list[RenderableType] = []
    for (family, place), members in _families(components):
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, min_width=22)
        grid.add_column()
        for component in members:
            grid.add_row(Text(f"  {component.name}", style="cyan"), Text(first_sentence(component.what)))
        parts += [Text.assemble((family, "bold"), (f"  {place}", "dim")), grid, ""]
    return Group(*parts, Text("ganray recipes NAME shows one in full: fields, what refuses it, YAML to paste"))


def component_to_rich(component: Component) -> RenderableType:
    """One component in full."""
    parts: list[RenderableType] = [
        Text.assemble((component.name, "bold cyan"), f"  {component.family}", (f"  {component.place}", "dim")),
        _indented(component.what),
    ]
    parts += [_indented(component.advice)] if component.advice else []
    parts += [_indented(address) for address in links(component).values()]
    if component.fields:
        parts += ["", _indented(table(_fields(component), wrapped=("values", "meaning")))]
    if found := conflicts(component):
        parts += ["", _indented("Refused")]
        for conflict in found:
            where = _beside(conflict) or "on its own"
            parts.append(_indented(Text.assemble((where, "yellow"), (f"  rule {conflict.rule}", "dim")), 4))
            parts.append(_indented(conflict.reason, 6))
    return Group(*parts, "", _indented("In a recipe"), _indented(Text(snippet(component), style="green"), 4))


def _indented(content: str | RenderableType, columns: int = 2) -> Padding:
    return Padding(Text(content) if isinstance(content, str) else content, (0, 0, 0, columns))


def book_to_markdown(components: Sequence[Component], measured: Mapping[Key, Sequence[str]] | None = None) -> str:
    """Family by family: a table, then each component in full. `measured`: effects of a component, as markdown."""
    lines: list[str] = []
    for (family, place), found in _families(components):
        members = list(found)
        lines += [f"## {family}", "", f"In a recipe: {_code(place)}.", ""]
        lines += [*markdown([_in_short(component, measured) for component in members]), ""]
        for component in members:
            lines += [*_in_full(component, measured or {}), ""]
    return "\n".join(lines)


def rules_to_markdown() -> str:
    """The table of what is refused."""
    rows = [{"rule": f"`{name}`", "refuses": rule.__doc__ or ""} for name, rule in REFUSALS.items()]
    return "\n".join(["## Refused combinations", "", *markdown(rows)]) + "\n"


def _in_short(component: Component, measured: Mapping[Key, Sequence[str]] | None) -> Row:
    link = f"[{component.name}](#{_heading(component).replace(' ', '-')})"
    row = {"name": link, "what": first_sentence(component.what)}
    if measured is None:
        return row
    found = measured.get((component.place, component.name), ())
    few = len(found) <= MOST_IN_A_CELL
    return row | {"measured effect": ("<br>".join(found) or NOTHING) if few else f"{len(found)} switches, see below"}


def _heading(component: Component) -> str:
    """Networks say which, for two of them share a name."""
    return f"{component.name} {component.place}" if component.place in NETWORKS else component.name


def _in_full(component: Component, measured: Mapping[Key, Sequence[str]]) -> list[str]:
    cited = ", ".join(f"[{name}]({address})" for name, address in links(component).items())
    texts = [component.what, component.advice, f"Source: {cited}." if cited else ""]
    lines = [f"### {_heading(component)}"]
    for text in filter(None, texts):
        lines += ["", text]
    if component.fields:
        rows = [row | {"field": f"`{row['field']}`", "default": f"`{row['default']}`"} for row in _fields(component)]
        lines += ["", *markdown(rows)]
    if found := conflicts(component):
        lines += ["", "Refused:", ""]
        lines += [
            f"- {_beside(conflict, code='`') or 'on its own'} (rule `{conflict.rule}`): {conflict.reason}."
            for conflict in found
        ]
    if effects := measured.get((component.place, component.name)):
        lines += ["", "Measured:", "", *(f"- {effect}" for effect in effects)]
    return [*lines, "", "```yaml", snippet(component).rstrip(), "```"]


def _fields(component: Component) -> list[Row]:
    return [
        {"field": f.name, "values": f.kind, "default": f.default or "must be given", "meaning": f.text}
        for f in component.fields
    ]


def _beside(conflict: Conflict, code: str = "") -> str:
    """Which of its fields is refused with what: `norm: batch with r1, r2`."""
    labels = ", ".join(f"{code}{label}{code}" for label in conflict.beside)
    return " ".join(filter(None, (f"{code}{conflict.own}{code}" * bool(conflict.own), f"with {labels}" * bool(labels))))


def _code(place: str) -> str:
    return " and ".join(f"`{part}`" for part in place.split(" and "))


def _link(number: str) -> str:
    return f"https://arxiv.org/abs/{number}"


def _families(components: Iterable[Component]) -> Iterator[tuple[Key, Iterator[Component]]]:
    yield from groupby(components, key=lambda component: (component.family, component.place))
