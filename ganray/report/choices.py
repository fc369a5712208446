"""The choices that recipes differ in, each as a number of levels: what importance and marginal effects work on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from ganray.errors import StoreError
from ganray.report.across import Section
from ganray.report.recipes import Flat, Value, differing, flatten, labels, show

ABSENT = "absent"
NOT_APPLICABLE = -1
"""The level of a parameter whose sub-model the recipe does not have, where the sub-model is a choice of its own."""

ENOUGH_TRIALS = 10
MANY_VALUES = 5
"""A number with more values than that is cut into bins."""
BINS = 3

_NO_CHOICE = ("seed", "runtime", "evaluation")
"""Where a recipe says how it is repeated, run and measured, not what it is."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One path that recipes differ in: `levels`, and for each recipe the index of its own or `NOT_APPLICABLE`.

    `numbers` are the values themselves where all recipes have a number there and there are more than `MANY_VALUES`.
    """

    path: str
    label: str
    levels: tuple[str, ...]
    codes: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64] | None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Recipes that compare, each with the distances of its seeds, and the choices that they differ in."""

    values: tuple[tuple[float, ...], ...]
    choices: tuple[Choice, ...]

    @property
    def n_trials(self) -> int:
        """Seeds of all recipes."""
        return sum(len(values) for values in self.values)

    @property
    def means(self) -> npt.NDArray[np.float64]:
        return np.array([fmean(values) for values in self.values])


def sample(section: Section) -> Sample:
    """What a section's comparable recipes differ in. StoreError, with the reason, where that says nothing.

    A recipe without a completed trial had less than its budget, so it does not compare, unless the view is at
    equal budget.
    """
    rows = [row for row in section.rows if row.counts]
    trials = sum(len(row.values) for row in rows)
    if trials < ENOUGH_TRIALS:
        raise StoreError(
            f"{trials} trials compare on these images; what each choice is worth takes at least {ENOUGH_TRIALS}. "
            f"Trials that were stopped early compare at equal budget: --at-kimg K"
        )
    return sample_of([(flatten(row.recipe_json, row.trial_ids[0]), row.values) for row in rows])


def sample_of(recipes: Sequence[tuple[Flat, tuple[float, ...]]]) -> Sample:
    """The same of flat recipes, each with its seeds' distances, that are known to compare."""
    chosen = _choices([flat for flat, _ in recipes])
    values = [value for _, own in recipes for value in own]
    if not chosen:
        raise StoreError("the recipes that compare on these images are all alike; no choice varies")
    if len(set(values)) == 1:
        raise StoreError(f"all {len(values)} trials have the same distance; no choice makes a difference")
    return Sample(values=tuple(own for _, own in recipes), choices=chosen)


def _choices(flats: Sequence[Flat]) -> tuple[Choice, ...]:
    by_name = {str(i): flat for i, flat in enumerate(flats)}
    paths = [path for path in differing(by_name) if path.split(".")[0] not in _NO_CHOICE]
    named = labels(paths)
    found = [_choice(path, named[path], paths, flats) for path in paths]
    return tuple(choice for choice in found if len(set(choice.codes.tolist()) - {NOT_APPLICABLE}) > 1)


def _choice(path: str, label: str, paths: Sequence[str], flats: Sequence[Flat]) -> Choice:
    values = [flat.get(path) for flat in flats]
    present = np.array([path in flat for flat in flats])
    follows = any(path.startswith(p.removesuffix(".name") + ".") for p in paths if p != path)
    known = [v for v, here in zip(values, present) if here]
    numeric = all(_is_number(v) for v in known)
    many = numeric and len(set(known)) > MANY_VALUES
    texts = _binned(values, known) if many else [show(v) for v in values]
    missing = None if follows else ABSENT
    cells = [text if here else missing for text, here in zip(texts, present)]
    order = _order(cells, values)
    index = {level: i for i, level in enumerate(order)}
    return Choice(
        path=path,
        label=label,
        levels=tuple(order),
        codes=np.array([NOT_APPLICABLE if cell is None else index[cell] for cell in cells]),
        numbers=np.array(values, dtype=float) if many and present.all() else None,
    )


def _order(cells: Sequence[str | None], values: Sequence[Value]) -> list[str]:
    """Levels by what they hold: numbers by size, others by how many recipes have them."""
    counts = Counter(cell for cell in cells if cell is not None)
    least: dict[str, float] = {}
    for cell, value in zip(cells, values):
        if cell is not None and isinstance(value, int | float) and not isinstance(value, bool):
            least[cell] = min(least.get(cell, math.inf), float(value))
    return sorted(counts, key=lambda cell: (cell not in least, least.get(cell, 0.0), -counts[cell], cell))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _binned(values: Sequence[Value], known: Sequence[Value]) -> list[str]:
    """The bin of each number, `0.0001 to 0.0003`: as many recipes in each as their values allow."""
    numbers = np.sort(np.array(known, dtype=float))
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    codes = [int(np.searchsorted(edges, v, side="left")) if isinstance(v, int | float) else -1 for v in values]
    held = np.searchsorted(edges, numbers, side="left")
    names = {
        int(c): f"{show(float(numbers[held == c].min()))} to {show(float(numbers[held == c].max()))}" for c in held
    }
    return [names.get(code, ABSENT) for code in codes]
