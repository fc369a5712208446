"""One trial as plain data: what its page shows, and what a comparison needs of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ganray.report.cells import NOTHING, duration, number, plus_minus
from ganray.report.diagnosis import Findings, findings_of
from ganray.report.recipes import not_default, short, show
from ganray.report.render_diagnosis import change_words
from ganray.report.site.clean import clean
from ganray.report.site.collect import Ranked, Trial
from ganray.report.site.pictures import Pictures
from ganray.report.site.tables import METRICS, share
from ganray.store.schema import EvaluationRow
from ganray.training.health import Diagnosis, Remedy

Tree = dict[str, Any]
Points = list[tuple[float, float]]

MOST_POINTS = 400
"""Points of a curve; more cannot be told apart on a page."""

CURVES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("Adversarial losses", ("loss_d", "loss_g"), False),
    ("Mean logits", ("logits_real", "logits_fake"), False),
    ("Gradient norms", ("grad_norm_d", "grad_norm_g"), True),
    (
        "Penalties and other losses",
        ("penalty", "reconstruction", "self_supervision", "classification", "auxiliary_g"),
        False,
    ),
    ("Images per second", ("images_per_s",), False),
)
"""Title, columns, and whether the axis is logarithmic."""

HEALTH: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Diversity (1: as the reals) and overfitting (0: none)", ("diversity", "overfit")),
    ("Precision and recall", ("precision", "recall")),
    ("Memorised share of the fakes", ("memorised",)),
)


def trial_page(trial: Trial, place: Ranked | None, best: Trial | None, pictures: Pictures) -> Tree:
    """All that a trial's page shows, without anything that a page must not show.

    `place` is where it stands under its main protocol, `best` the first trial there.
    """
    findings = findings_of(trial.row, trial.curves.to_pylist(), [row.to_dict() for row in trial.evaluations])
    page = {
        "slug": trial.slug,
        "id": trial.row.trial_id,
        "experiment": trial.row.experiment,
        "status": trial.row.status,
        "rank": place.rank if place else None,
        "reached": f"{number(trial.row.kimg)} of {number(trial.row.budget_kimg)} kimg",
        "fingerprint": trial.row.dataset_fingerprint,
        "dataset": trial.row.dataset,
        "reason": _reason(trial, findings),
        "findings": [_finding(each) for each in findings.diagnoses],
        "notes": list(findings.notes),
        "looked": bool(findings.curves),
        "marks": [{"name": each.name, "kimg": each.since_kimg} for each in findings.diagnoses],
        "recipe": _recipe(trial),
        "differences": _differences(trial, best) if best and best is not trial else [],
        "best": best.slug if best else None,
        "circumstances": _circumstances(trial),
        "metrics": _metrics(trial),
        "tables": _tables(trial),
        "panels": _panels(trial),
        "grids": [asdict(picture) for picture in pictures.grids],
        "pairs": [asdict(picture) for picture in pictures.pairs],
        "start": _best_kimg(place),
    }
    cleaned: Tree = clean(page)
    return cleaned


def comparable(page: Tree) -> Tree:
    """The part of a page that its own script and a comparison need; without what differs between any two trials."""
    keys = ("slug", "id", "experiment", "status", "reached", "fingerprint", "recipe", "circumstances", "metrics",
            "panels", "grids", "pairs", "marks", "start")  # fmt: skip
    always = ("began", "last written", "hash of the recipe")
    rest = [row for row in page["circumstances"] if row["label"] not in always]
    return {**{key: page[key] for key in keys}, "circumstances": rest}


def _best_kimg(place: Ranked | None) -> float | None:
    return place.score.best.kimg if place and place.score else None


def _reason(trial: Trial, findings: Findings) -> str | None:
    """Why the trial ended, where none of the findings says so."""
    text = trial.row.diagnosis
    return None if text and any(text.startswith(f"{each.name}: ") for each in findings.diagnoses) else text


def _finding(diagnosis: Diagnosis) -> Tree:
    first, last = number(diagnosis.since_kimg), number(diagnosis.kimg)
    remedy: Remedy = diagnosis.remedy
    return {
        "name": diagnosis.name,
        "severity": remedy.severity.name.lower(),
        "when": f"at {first} kimg" if first == last else f"from {first} to {last} kimg",
        "evidence": diagnosis.evidence,
        "helps": remedy.text,
        "tries": [
            {"change": ", ".join(change_words(change) for change in attempt.changes), "why": attempt.why}
            for attempt in remedy.tries
        ],
    }


def _recipe(trial: Trial) -> list[Tree]:
    """Every value in the recipe's order; `set` where it is not the default."""
    own = not_default(trial.row.recipe_json)
    # That a part is there at all says nothing where its values stand below.
    told = {path for path in own if not any(other.startswith(f"{path}.") for other in own)}
    return [
        {"path": path, "label": short(path), "text": show(value), "set": path in told}
        for path, value in trial.recipe.items()
    ]


def _differences(trial: Trial, best: Trial) -> list[Tree]:
    paths = dict.fromkeys([*trial.recipe, *best.recipe])
    return [
        {"label": short(path), "path": path, "own": show(trial.recipe.get(path)), "best": show(best.recipe.get(path))}
        for path in paths
        if trial.recipe.get(path) != best.recipe.get(path)
    ]


def _circumstances(trial: Trial) -> list[Tree]:
    row = trial.row
    versions = json.loads(str(row.versions or "{}"))
    values: dict[str, str] = {
        "data set": f"{row.dataset}, {row.n_images} images at {row.resolution} px",
        "fingerprint of the data": row.dataset_fingerprint,
        "device": row.device,
        "workers": str(row.world_size),
        "device time": duration(row.device_s),
        "wall-clock time": duration(row.wall_s),
        "parameters of G": NOTHING if row.generator_params is None else f"{row.generator_params:,}",
        "parameters of D": NOTHING if row.discriminator_params is None else f"{row.discriminator_params:,}",
        "git commit": (row.git_commit or NOTHING)[:12],
        "hash of the recipe": row.recipe_hash[:12],
        "began": f"{row.created_at:%Y-%m-%d %H:%M} UTC",
        "last written": f"{row.updated_at:%Y-%m-%d %H:%M} UTC",
        "unreadable images left out": str(len(row.skipped_files)),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return [{"label": label, "text": text} for label, text in values.items() if text not in (NOTHING, "", "0")]


def _metrics(trial: Trial) -> list[Tree]:
    """One block per protocol and extractor: name, text, and value where lower or higher is better."""
    blocks = []
    for (protocol, checksum), score in trial.scores.items():
        best, final = score.best, score.final
        rows = [
            ["best Fréchet distance", f"{number(best.frechet)} at {number(best.kimg)} kimg", best.frechet, -1],
            ["final Fréchet distance", f"{number(final.frechet)} at {number(final.kimg)} kimg", final.frechet, -1],
            ["KID at the best", plus_minus(best.kid, best.kid_stderr), best.kid, -1],
        ]
        for column, (name, _) in METRICS.items():
            value = getattr(best, column)
            rows.append([f"{name} at the best", share(value), value, 0 if column == "memorised" else 1])
        blocks.append(
            {"protocol": protocol, "checksum": str(checksum)[:12], "rows": [row for row in rows if row[1] != NOTHING]}
        )
    return blocks


EVALUATED = {"kimg": "kimg", "frechet": "Fréchet", "kid": "KID", **{k: name for k, (name, _) in METRICS.items()},
             "diversity": "diversity", "overfit": "overfit", "seconds": "seconds"}  # fmt: skip
"""Column of an evaluation to its heading on a trial's page."""


SHARES = (*METRICS, "diversity", "overfit")


def _tables(trial: Trial) -> list[Tree]:
    """All evaluations, one table per protocol; columns without a value are left out."""
    tables = []
    for (protocol, checksum), score in trial.scores.items():
        rows = [row for row in trial.evaluations if (row.protocol, row.extractor_checksum) == (protocol, checksum)]
        shown = [name for name in EVALUATED if any(getattr(row, name) is not None for row in rows)]
        tables.append(
            {
                "protocol": protocol,
                "extractor": score.best.extractor,
                "n_fake": score.best.n_fake,
                "n_real": score.best.n_real,
                "heads": [EVALUATED[name] for name in shown],
                "rows": [
                    {"cells": [_evaluated(row, name) for name in shown], "best": row.kimg == score.best.kimg}
                    for row in rows
                ],
            }
        )
    return tables


def _evaluated(row: EvaluationRow, name: str) -> str:
    if name == "kid":
        return plus_minus(row.kid, row.kid_stderr)
    return share(getattr(row, name)) if name in SHARES else number(getattr(row, name))


def _panels(trial: Trial) -> list[Tree]:
    kimg = trial.curves["kimg"].to_pylist()
    panels = [
        _panel(title, {name: list(zip(kimg, trial.curves[name].to_pylist())) for name in names}, is_log)
        for title, names, is_log in CURVES
    ]
    for protocol, checksum in trial.scores:
        rows = [row for row in trial.evaluations if (row.protocol, row.extractor_checksum) == (protocol, checksum)]
        distances = [(row.kimg, row.frechet) for row in rows]
        panels.append(_panel(f"{protocol}, lower is better", {"Fréchet": distances}))
    for title, names in HEALTH:
        lines = {name: [(row.kimg, getattr(row, name)) for row in trial.evaluations] for name in names}
        panels.append(_panel(title, lines))
    return [panel for panel in panels if panel["lines"]]


def _panel(title: str, lines: dict[str, list[tuple[float, float | None]]], is_log: bool = False) -> Tree:
    drawn = {name: thinned(_finite(points, is_log)) for name, points in lines.items()}
    return {
        "title": title,
        "log": is_log,
        "lines": [{"name": name, "points": points} for name, points in drawn.items() if points],
    }


def _finite(points: Sequence[tuple[float, float | None]], is_log: bool) -> Points:
    finite = [(x, float(y)) for x, y in points if y is not None and math.isfinite(y)]
    return [(x, y) for x, y in finite if y > 0] if is_log else finite


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """At most so many points: of each stretch the lowest and the highest, so that no spike is lost."""
    if len(points) <= most:
        return [(float(f"{x:.6g}"), float(f"{y:.5g}")) for x, y in points]
    size = math.ceil(2 * len(points) / most)
    kept: set[int] = set()
    for start in range(0, len(points), size):
        stretch = range(start, min(start + size, len(points)))
        kept |= {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
    return [(float(f"{x:.6g}"), float(f"{y:.5g}")) for x, y in (points[i] for i in sorted(kept))]
