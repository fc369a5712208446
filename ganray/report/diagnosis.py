"""What was wrong with one trial: findings of its training, or found now in its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from ganray.errors import RecipeError, StoreError
from ganray.recipe.messages import nearest
from ganray.recipe.recipe import Recipe
from ganray.report.cells import number
from ganray.report.lookup import find_trial
from ganray.report.remedies import Remedies, remedies
from ganray.store.schema import CurveRow, EvaluationRow, TrialRow
from ganray.store.store import Store
from ganray.training.health import REMEDIES, SETTLED_EVALUATIONS, Diagnosis, History, Remedy, Try, follow
from ganray.training.health.history import settled_kimg


@dataclass(frozen=True, kw_only=True)
class Findings:
    """One trial, its course, and what is wrong with it, the worst first."""

    trial: TrialRow
    recipe: Recipe | None
    """None where this version no longer understands it."""
    diagnoses: tuple[Diagnosis, ...]
    also: tuple[str, ...]
    """Troubles that the user names."""
    curves: tuple[CurveRow, ...]
    evaluations: tuple[EvaluationRow, ...]
    """Under the trial's first protocol."""
    too_early: tuple[str, ...] = ()
    """What could not be looked for."""
    notes: tuple[str, ...]

    @property
    def advice(self) -> dict[str, Remedy]:
        """Name of the trouble to what may help, the worst first."""
        return {name: REMEDIES[name] for name in (*(d.name for d in self.diagnoses), *self.also)}

    def remedies(self) -> Remedies:
        """The advice as an experiment. StoreError where there is none to give."""
        if self.recipe is None:
            raise StoreError(f"the recipe of trial {self.trial.trial_id} is of another version; nothing to build on")
        if not self.advice:
            raise StoreError(
                f"nothing was found wrong with trial {self.trial.trial_id}, so there is nothing to remedy; "
                f"name what you see yourself with --also ({', '.join(REMEDIES)})"
            )
        return remedies(self.trial.trial_id, self.recipe, _in_turn([r.tries for r in self.advice.values()]))


def diagnose(store: Store, prefix: str, also: Sequence[str] = ()) -> Findings:
    """Look into the trial whose id begins so; `also` are troubles that the user has seen.

    StoreError where no single trial's id begins so, RecipeError where a trouble has no such name.
    """
    for name in also:
        if name not in REMEDIES:
            raise RecipeError(f"there is no advice on {name!r}; {nearest(name, list(REMEDIES))}")
    trial = find_trial(store, prefix)
    return findings_of(trial, *_rows(store, trial), also)


def findings_of(
    trial: TrialRow, curves: list[dict[str, Any]], evaluations: list[dict[str, Any]], also: Sequence[str] = ()
) -> Findings:
    """The same from the trial's own rows, sorted by kimg."""
    recipe, notes = _recipe(trial)
    diagnoses, more = _diagnoses(trial, recipe, curves, evaluations)
    protocol = recipe.evaluation.protocols[0] if recipe else next((e["protocol"] for e in evaluations), "")
    settled = {e["kimg"] for e in evaluations if recipe and e["kimg"] >= settled_kimg(recipe)}
    too_early = [name for name, needed in SETTLED_EVALUATIONS.items() if needed > len(settled)]
    if not curves:
        more.append("no reading of its training was stored")
    elif recipe and too_early:
        more.append(_why_too_early(too_early, recipe, len(settled)))
    return Findings(
        trial=trial,
        recipe=recipe,
        diagnoses=tuple(sorted(diagnoses, key=lambda d: (-d.remedy.severity, d.since_kimg))),
        also=tuple(name for name in dict.fromkeys(also) if name not in {d.name for d in diagnoses}),
        curves=tuple(CurveRow(**row) for row in curves),
        evaluations=tuple(EvaluationRow(**row) for row in evaluations if row["protocol"] == protocol),
        too_early=tuple(too_early),
        notes=(*notes, *more),
    )


def _recipe(trial: TrialRow) -> tuple[Recipe | None, list[str]]:
    try:
        return Recipe.model_validate_json(trial.recipe_json), []
    except ValidationError:
        return None, ["its recipe is of another version of GANRay, so there are no remedies for it"]


def _rows(store: Store, trial: TrialRow) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    tables = store.curves(trial.experiment), store.evaluations(trial.experiment)
    curves, evaluations = ([row for row in t.to_pylist() if row["trial_id"] == trial.trial_id] for t in tables)
    return curves, evaluations


def _diagnoses(
    trial: TrialRow, recipe: Recipe | None, curves: list[dict[str, Any]], evaluations: list[dict[str, Any]]
) -> tuple[list[Diagnosis], list[str]]:
    """What was found while it trained; where nobody looked, what its rows say now."""
    if trial.diagnoses is None:
        if recipe is None:
            return [], []
        found = list(follow(History.of(recipe, curves, evaluations), now=True))
        return found, ["it was trained by a version that did not look; this was found now, in its rows"]
    known, notes = [], []
    for text in trial.diagnoses:
        try:
            known.append(Diagnosis.from_json(text))
        except ValueError as error:
            notes.append(f"a diagnosis cannot be read: {error}")
    return known, notes


def _why_too_early(names: Sequence[str], recipe: Recipe, there: int) -> str:
    needed = ", ".join(f"{name} ({SETTLED_EVALUATIONS[name]})" for name in names)
    average = " and their average has forgotten its first steps" if recipe.trick("ema") else ""
    return (
        f"too few evaluations to look for {needed}: they count from {number(settled_kimg(recipe))} kimg on, when the "
        f"networks have begun{average}, and there {'is' if there == 1 else 'are'} {there}"
    )


def _in_turn(lists: Sequence[Sequence[Try]]) -> list[Try]:
    """The first of each, then the second of each: every trouble is to have its best remedy in."""
    longest = max(map(len, lists), default=0)
    return [tries[i] for i in range(longest) for tries in lists if i < len(tries)]


def record(findings: Findings) -> dict[str, Any]:
    """All of it as plain data, for JSON; the curves are in the store."""
    trial = findings.trial
    return {
        "trial": trial.trial_id,
        "experiment": trial.experiment,
        "status": trial.status,
        "kimg": trial.kimg,
        "diagnosis": trial.diagnosis,
        "diagnoses": [
            {**asdict(d), "severity": d.remedy.severity.name.lower(), "remedy": d.remedy.text}
            for d in findings.diagnoses
        ],
        "also": {name: REMEDIES[name].text for name in findings.also},
        "advice": _advice(findings),
        "notes": list(findings.notes),
    }


def _advice(findings: Findings) -> dict[str, Any] | None:
    """The remedies as an experiment file holds them; None where there are none."""
    try:
        return findings.remedies().tree
    except StoreError:
        return None
