"""Benchmark tables as text: terminal (rich), markdown, LaTeX (booktabs), HTML, CSV and JSON."""

from __future__ import annotations

import csv
import html
import io
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from ganray.report.benchmark_grid import ALONE, PARTIAL, SECONDARY, Grid, Line, commands, grids, header, notes
from ganray.report.benchmark_published import Published
from ganray.report.benchmark_table import BenchmarkTable, Ours, TableCell
from ganray.report.benchmarks import Column
from ganray.report.cells import Row, markdown, natural_width, table
from ganray.store.location import STORE_VARIABLE

_MISSING = "Missing cells, and what fills them:"


def to_rich(board: BenchmarkTable, width: int = 100) -> RenderableType:
    """The table, in parts where the terminal is too narrow for all columns, notes, and what fills missing cells."""
    parts: list[RenderableType] = []
    for grid in grids(board):
        parts += [Text(grid.title, style="bold"), Text()]
        for rows in _fitting(grid, width):
            parts += [table(rows, list(rows[0])[2:]), Text()]
    parts += [Padding(Text(f"• {note}"), (0, 0, 0, 1)) for note in notes(board)]
    if missing := commands(board):
        # On the terminal alone: tables that are passed on say nothing of where somebody's store is.
        place = [f"export {STORE_VARIABLE}={shlex.quote(board.elsewhere)}"] if board.elsewhere else []
        parts += [Text(), Text(_MISSING), Text("\n".join(f"  {c}" for c in [*place, *missing]))]
    return Stack(*parts)


def to_markdown(board: BenchmarkTable) -> str:
    """The same as GitHub's tables."""
    lines: list[str] = []
    for grid in grids(board):
        rows = grid.rows()
        lines += [f"### {grid.title}", "", *markdown(rows, list(rows[0])[2:]), ""]
    lines += [f"- {note}" for note in notes(board)]
    if missing := commands(board):
        lines += ["", _MISSING, "", "```", *missing, "```"]
    return "\n".join(lines) + "\n"


def to_latex(board: BenchmarkTable) -> str:
    r"""Tables with booktabs (`\usepackage{booktabs}`), one per grid; what is missing as comments."""
    lines: list[str] = []
    for grid in grids(board):
        head = " & ".join([*grid.heads, *(escape_latex(header(column)) for column in grid.columns)])
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(grid.title)}}}",
            rf"\begin{{tabular}}{{ll{'r' * len(grid.columns)}}}",
            r"\toprule",
            rf"{head} \\",
        ]
        for group in grid.groups:
            lines.append(r"\midrule")
            for i, line in enumerate(group):
                cells = [line.head if i == 0 else "", line.what, *line.texts]
                lines.append(" & ".join(escape_latex(cell) for cell in cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    lines += [r"\begin{itemize}", *(rf"\item {escape_latex(note)}" for note in notes(board)), r"\end{itemize}"]
    lines += [f"% {command}" for command in commands(board)]
    return "\n".join(lines) + "\n"


def to_html(board: BenchmarkTable) -> str:
    """Plain tables with captions and scopes; no script, no style, plain ASCII. What is missing has its command."""
    parts = ['<section class="benchmark">']
    for grid in grids(board):
        heads = "".join(
            f'<th scope="col">{html.escape(head)}</th>' for head in (*grid.heads, *map(header, grid.columns))
        )
        parts += [
            "<table>",
            f"<caption>{html.escape(grid.title)}</caption>",
            f"<thead><tr>{heads}</tr></thead>",
        ]
        for group in grid.groups:
            parts += ["<tbody>", *(_html_row(group, i) for i in range(len(group))), "</tbody>"]
        parts.append("</table>")
    parts += ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in notes(board)), "</ul>"]
    if missing := commands(board):
        commands_ = "".join(f"<li><code>{html.escape(command)}</code></li>" for command in missing)
        parts += [f"<p>{_MISSING}</p>", f"<ul>{commands_}</ul>"]
    text = "\n".join([*parts, "</section>"]) + "\n"
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _html_row(group: Sequence[Line], i: int) -> str:
    line = group[i]
    head = f'<th scope="rowgroup" rowspan="{len(group)}">{html.escape(line.head)}</th>' if i == 0 else ""
    cells = "".join(f"<td>{html.escape(text)}</td>" for text in line.texts)
    return f'<tr>{head}<th scope="row">{html.escape(line.what)}</th>{cells}</tr>'


def to_csv(board: BenchmarkTable) -> str:
    """One line per cell, then one per number of other papers, at full precision; `protocol` tells what compares."""
    out = io.StringIO()
    found = records(board)
    writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
    writer.writeheader()
    for record in found:
        writer.writerow({k: " ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in record.items()})
    return out.getvalue()


def to_json(board: BenchmarkTable) -> str:
    """Cells, other papers' numbers and notes at full precision."""
    found = records(board)
    content = {
        "benchmark": board.benchmark.name,
        "title": board.benchmark.title,
        "source": board.benchmark.source,
        "protocol": board.benchmark.protocol,
        "budget_kimg": board.benchmark.budget_kimg,
        "extractor": board.extractor,
        "extractor_checksum": board.extractor_checksum,
        "show": board.show,
        "cells": [record for record in found if record["kind"] == "cell"],
        "others": [record for record in found if record["kind"] == "other paper"],
        "notes": notes(board),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def records(board: BenchmarkTable) -> list[dict[str, Any]]:
    """One flat record per cell and per number of another paper, with the same keys."""
    columns = {column.id: column for column in board.benchmark.columns}
    of_cells = [_record(board, cell) for cell in board.cells]
    empty = dict.fromkeys(of_cells[0])
    of_others = [
        {
            **empty,
            "benchmark": board.benchmark.name,
            "kind": "other paper",
            "protocol": row.protocol,
            "method": row.method,
            "variant": row.variant,
            **_of_column(columns[id]),
            **_of_published(value),
        }
        for row in board.others
        for id, value in row.values.items()
    ]
    return of_cells + of_others


def _record(board: BenchmarkTable, cell: TableCell) -> dict[str, Any]:
    ours = asdict(cell.ours) if cell.ours else dict.fromkeys(Ours.__dataclass_fields__)
    return {
        "benchmark": board.benchmark.name,
        "kind": "cell",
        "protocol": board.benchmark.protocol,
        "method": cell.method.key,
        "label": cell.method.label,
        **_of_column(cell.column),
        "show": board.show,
        **ours,
        **_of_published(cell.published),
        "difference": cell.difference,
        "command": cell.command,
    }


def _of_column(column: Column) -> dict[str, Any]:
    return {"column": column.id, "dataset": column.label, "n_images": column.n, "resolution": column.resolution}


def _of_published(value: Published | None) -> dict[str, Any]:
    return {
        "published": value and value.value,
        "published_status": value and value.status,
        "paper": value and value.paper,
        "variant": value and value.variant,
        "published_note": value and value.note,
        "source_url": value and value.source_url,
    }


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "–": "--", "−": "$-$", SECONDARY: r"\textsuperscript{\dag}", PARTIAL: r"\textsuperscript{\ddag}",
    ALONE: r"\textsuperscript{1}",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """A text that LaTeX sets as it stands, with our marks as its own symbols; `--option` keeps both hyphens."""
    parts = ("".join(_LATEX.get(character, character) for character in part) for part in text.split("--"))
    return "-{}-".join(parts)


def _fitting(grid: Grid, width: int) -> list[list[Row]]:
    """The grid's rows with as many columns side by side as the width has room for, the rest in further parts."""
    parts: list[list[Row]] = []
    start = 0
    while start < len(grid.columns):
        end = len(grid.columns)
        while end > start + 1 and natural_width(table(grid.part(start, end))) > width:
            end -= 1
        parts.append(grid.part(start, end))
        start = end
    return parts


TEXTS: dict[str, Callable[[BenchmarkTable], str]] = {
    "md": to_markdown,
    "latex": to_latex,
    "html": to_html,
    "csv": to_csv,
    "json": to_json,
}
"""Format to what writes it."""
