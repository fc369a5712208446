"""`ganray recipes`: the recipe book."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from ganray.cli.options import make_console

if TYPE_CHECKING:
    from ganray.recipe.book import Component


@click.command("recipes")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--format", "form", type=click.Choice(["rich", "md"]), default="rich", show_default=True,
              help="md prints everything, or the components named, as markdown.")  # fmt: skip
def command(names: tuple[str, ...], form: str) -> None:
    """The recipe book: every network, loss, penalty, trick and optimizer that a recipe can name.

    Without NAME a list. With NAME what it is, its source, when to use it, its fields, what refuses it, and YAML to
    paste. A generator and a discriminator may share a name: both are shown.

    \b
    Examples:
      ganray recipes
      ganray recipes lecam fastgan
      ganray recipes --format md > book.md
    """
    from ganray.recipe.book import components
    from ganray.report import render_book as render

    book = components()
    chosen = [component for name in dict.fromkeys(names) for component in _named(name, book)] if names else book
    if form == "md":
        click.echo(render.book_to_markdown(chosen) + ("" if names else f"\n{render.rules_to_markdown()}"), nl=False)
        return
    console = make_console()
    if not names:
        console.print(render.book_to_rich(chosen), highlight=False)
    for component in chosen if names else ():
        console.print(render.component_to_rich(component), highlight=False)


def _named(name: str, book: list[Component]) -> list[Component]:
    """Those of that name; `label-smoothing` is `label_smoothing`."""
    from ganray.errors import RecipeError

    wanted = name.lower().replace("-", "_")
    found = [component for component in book if component.name == wanted]
    if not found:
        known = sorted({component.name for component in book})
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        question = f"did you mean {' or '.join(near)}? " if near else ""
        raise RecipeError(f"there is no component {name!r}; {question}`ganray recipes` lists them all")
    return found
