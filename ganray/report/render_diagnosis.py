"""What was found wrong with a trial, as text for the terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ganray.report.cells import STATUS_STYLE, number
from ganray.report.diagnosis import Findings, record
from ganray.training.health import REMEDIES, SIGNS, Add, Diagnosis, OfBudget, Remedy, Scale, Set, Severity

_STYLE = {Severity.FATAL: "bold red", Severity.SERIOUS: "bold yellow", Severity.NOTICE: "bold cyan"}


def findings_to_rich(findings: Findings) -> RenderableType:
    """The trial, each finding with its evidence and what to try, and what to know about them."""
    parts: list[RenderableType] = [_head(findings), ""]
    for diagnosis in findings.diagnoses:
        parts += [*_finding(diagnosis), ""]
    for name in findings.also:
        parts += [Text.assemble((name, "bold"), "  as you say"), *_remedy(REMEDIES[name]), ""]
    if not findings.diagnoses:
        parts += [_nothing(findings), ""]
    parts += [Padding(Text(f"• {note}"), (0, 0, 0, 1)) for note in findings.notes]
    return Group(*parts)


def findings_to_json(findings: Findings) -> str:
    """The same, with the advice as a recipe whose values are choices."""
    return json.dumps(record(findings), indent=2, ensure_ascii=False) + "\n"


def change_words(change: Set | Scale | Add) -> str:
    """A change in the recipe's own words: `objective.penalties + r1 (gamma 1)`."""
    path = ".".join(change.path)
    match change:
        case Scale(_, factor):
            return f"{path} × {factor:g}"
        case Add(_, component):
            return f"{path} + {_component(component)}"
        case Set(_, value):
            return f"{path}: {_component(value) if isinstance(value, Mapping) else json.dumps(value)}"


def _component(spec: Mapping[str, object]) -> str:
    shown = [f"{key} {value:g}" for key, value in spec.items() if isinstance(value, int | float)]
    shown += [
        f"{key} {100 * value.share:g} % of the budget" for key, value in spec.items() if isinstance(value, OfBudget)
    ]
    parameters = ", ".join(shown)
    return str(spec["name"]) + (f" ({parameters})" if parameters else "")


def _head(findings: Findings) -> Text:
    trial = findings.trial
    return Text.assemble(
        (trial.trial_id, "bold"),
        f"  {trial.experiment}  ",
        (trial.status, STATUS_STYLE.get(trial.status, "")),
        f"  {number(trial.kimg)} of {number(trial.budget_kimg)} kimg",
        f"\n{trial.diagnosis}" if trial.diagnosis and not _is_among(trial.diagnosis, findings) else "",
    )


def _is_among(text: str, findings: Findings) -> bool:
    """Whether the reason of the trial's end is one of the findings, which stand below."""
    return any(text.startswith(f"{diagnosis.name}: ") for diagnosis in findings.diagnoses)


def _finding(diagnosis: Diagnosis) -> list[RenderableType]:
    severity = diagnosis.remedy.severity
    first, last = number(diagnosis.since_kimg), number(diagnosis.kimg)
    when = f"at {first} kimg" if first == last else f"from {first} to {last} kimg"
    head = Text.assemble((diagnosis.name, _STYLE[severity]), f"  {severity.name.lower()}, {when}")
    return [head, _indented(diagnosis.evidence), *_remedy(diagnosis.remedy)]


def _remedy(remedy: Remedy) -> list[RenderableType]:
    lines: list[RenderableType] = [_indented(f"What helps: {remedy.text}.")]
    for attempt in remedy.tries:
        changes = ", ".join(change_words(change) for change in attempt.changes)
        lines.append(Padding(Text.assemble("- ", (changes, "green")), (0, 0, 0, 4)))
        lines.append(Padding(Text(attempt.why, style="dim"), (0, 0, 0, 6)))
    return lines


def _indented(text: str) -> Padding:
    return Padding(Text(text), (0, 0, 0, 2))


def _nothing(findings: Findings) -> Text:
    looked = f"{_count(len(findings.curves), 'reading')} and {_count(len(findings.evaluations), 'evaluation')}"
    names = ", ".join(name for name in SIGNS if name not in findings.too_early)
    return Text(f"Nothing wrong was found in {looked} (looked for: {names}). Shapes are for the eye: see the samples.")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + "s" * (n != 1)
