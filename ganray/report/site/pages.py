"""Templates into files. Everything that a template prints is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ganray.report.cells import duration, number
from ganray.report.site.clean import clean, script_json


class Pages:
    """Writes the files of one report below its root. `about` is what every page says of the report."""

    def __init__(self, root: Path, about: dict[str, Any]) -> None:
        self.root = root
        self.about = about
        self._environment = Environment(
            loader=PackageLoader("ganray.report.site"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "clean": clean,
            "duration": duration,
            "number": number,
            # Safe where it is put: the text of a script element that holds data.
            "script_json": lambda value: Markup(script_json(clean(value))),
        }

    def write(self, template: str, path: str, *, depth: int = 0, **values: Any) -> None:
        """Write a page; `depth` is how many folders it is below the root, which its links go up by."""
        text = self._environment.get_template(template).render(up="../" * depth, about=self.about, **values)
        self._write(path, text)

    def write_script(self, path: str, text: str) -> None:
        """Write a script that hands data to the page."""
        self._write(path, text)

    def _write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
