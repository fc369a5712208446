"""Writes the columns and the measured speeds into docs/store.md:    python docs/build_store.py [--check]"""

import json
import re
import sys
from pathlib import Path

from ganray.store.schema import KEYS, TABLES

PAGE = Path(__file__).parent / "store.md"
MEASURED = Path(__file__).parents[1] / "benchmarks" / "results" / "store.json"


def columns() -> str:
    """Every column with its type and what it holds."""
    lines = []
    for table, schema in TABLES.items():
        lines += [f"### {table}", "", f"Key: {', '.join(KEYS[table])}.", "", "| column | type | |", "|---|---|---|"]
        lines += [f"| `{f.name}` | {f.type} | {f.metadata[b'description'].decode()} |" for f in schema]
        lines.append("")
    return "\n".join(lines)


def speed() -> str:
    """What benchmarks/store.py measured."""
    if not MEASURED.exists():
        return "Not measured yet: `python benchmarks/store.py`.\n"
    found = json.loads(MEASURED.read_text())
    before, after, sqlite = found["before"], found["after"], found["sqlite"]
    lines = [
        f"{found['trials']:,} trials, {found['evaluations']:,} evaluations; {found['machine']}; `{found['command']}` "
        f"(benchmarks/results/store.json). Seconds, without the start of Python; memory of the process that asked.",
        "",
        "| question | many files | compacted | memory | SQLite |",
        "|---|---:|---:|---:|---:|",
    ]
    for question in after:
        other = sqlite.get(f"sqlite {question}")
        lines.append(
            f"| {question} | {before[question]['median_s']:.2f} | {after[question]['median_s']:.2f} | "
            f"{after[question]['peak_mib']:.0f} MiB | {'' if other is None else format(other['median_s'], '.2f')} |"
        )
    compaction, append = found["compaction"], found["append"]
    lines += [
        "",
        f"Compaction: {compaction['files_before']:,} files to {compaction['files_after']}, "
        f"{compaction['bytes_before'] / 2**20:.0f} MiB to {compaction['bytes_after'] / 2**20:.0f} MiB, in "
        f"{compaction['seconds']:.0f} s. Appending one row, {append['writers']} processes at once: "
        f"{append['median_ms']:.0f} ms in the middle, {append['p99_ms']:.0f} ms for one in a hundred; of "
        f"{append['rows']:,} rows {append['lost']} lost and {append['torn']} torn.",
    ]
    for name, label in (("optuna", "Optuna's SQLite storage"), ("mlflow", "MLflow's SQLite store")):
        if name in found:
            answers = {q: a["median_s"] for q, a in found[name].items() if isinstance(a, dict)}
            lines.append(
                f"{label}, with {found[name]['trials']:,} of the trials and {found[name]['values']:,} values: "
                + ", ".join(f"{q.partition(' ')[2]} {seconds:.2f} s" for q, seconds in answers.items())
                + "."
            )
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with both parts as they are now."""
    for name, content in (("columns", columns()), ("speed", speed())):
        pattern = rf"(<!-- {name}: .*? -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda found, content=content: f"{found[1]}{content}{found[2]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    old = PAGE.read_text()
    new = page(old)
    if "--check" in sys.argv:
        sys.exit(0 if new == old else "docs/store.md is not what the code says: make docs")
    PAGE.write_text(new)
