"""A plan of `ganray reproduce` for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.text import Text

from ganray.report.benchmark_plan import Job, Plan
from ganray.report.cells import NOTHING, Row, table


def plan_to_rich(plan: Plan, absent: Mapping[str, str]) -> RenderableType:
    """What will run, cheapest first, at what cost, and what will not. `absent`: cells without data, and the reason."""
    able = [job for job in plan.jobs if job.cell.name not in absent]
    can = f"{len(able)} of {len(plan.jobs)} missing cell(s) can run" if plan.jobs else "no cell is missing"
    title = f"{plan.benchmark.name}: {can}, {plan.kimg:g} kimg a seed"
    parts: list[RenderableType] = [Text(title, style="bold")]
    rows: list[Row] = [
        {
            "cell": job.cell.name,
            "seeds": ", ".join(map(str, job.seeds)),
            "data": "missing" if job.cell.name in absent else "here",
            "device-h": f"{job.device_hours:.3g}" if job.device_hours is not None else NOTHING,
            "by": job.rate.basis,
        }
        for job in plan.jobs
    ]
    if rows:
        parts += [Text(), table(rows, ("device-h",), wrapped=("by",)), Text(), Text(_expected(able))]
    parts += [Text(f"skipped: {reason}") for reason in dict.fromkeys(absent.values())]
    if plan.filled:
        parts.append(Text(f"there already: {', '.join(plan.filled)}"))
    for name, seed, why in plan.failed:
        parts.append(Text(f"failed before, {name} seed {seed}: {why}; --retry-failed trains it again"))
    return Stack(*parts)


def _expected(jobs: Sequence[Job]) -> str:
    known = [job.device_hours for job in jobs if job.device_hours is not None]
    unknown = len(jobs) - len(known)
    more = f"{unknown} cell(s) of unknown cost" if unknown else ""
    total = f"{sum(known):.3g} device-hours" if known else ""
    return f"expected: {' and '.join(filter(None, [total, more])) or 'nothing can run'}"
