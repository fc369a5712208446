"""The course of one trial, as the signs look at it: live readings, or rows of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganray.recipe.recipe import Recipe

Reading = Mapping[str, Any]
"""Name to number at one `kimg`. A name may be missing or None: not every step has a penalty, or moves both networks."""

BEGINNING = 100
"""Steps of G in which nothing of it can be judged yet: fresh networks make grey pictures and know no difference."""

FORGOTTEN = 3.0
"""An average over 1 / (1 - decay) steps keeps e^-3 = 5 % of its first weights after three times as many."""

FORGOTTEN_IN_WARMUP = 0.4
"""While its decay is (1 + t) / (10 + t), it keeps (1 / 1.4)^9 = 5 % of the past after 0.4 times as many steps."""


@dataclass(frozen=True)
class History:
    """Readings and evaluations by kimg."""

    loss: str
    """Name of the adversarial loss: it says what D's loss and logits mean."""
    begun_kimg: float
    """Before this, G and D are as good as fresh."""
    settled_kimg: float
    """Before this, samples are drawn from an average that is still made of the first steps' weights."""
    readings: tuple[Reading, ...]
    """With the columns of the store's curves, from the first step of the game."""
    evaluations: tuple[Reading, ...]
    """With the columns of the store's evaluations, under one protocol."""

    @classmethod
    def of(cls, recipe: Recipe, readings: Iterable[Reading], evaluations: Iterable[Reading]) -> History:
        """Of a recipe's readings and evaluations in any order; those under its first protocol count."""
        protocol = recipe.evaluation.protocols[0]
        return cls(
            loss=recipe.objective.loss.name,
            begun_kimg=begun_kimg(recipe),
            settled_kimg=settled_kimg(recipe),
            readings=_ordered(r for r in readings if r.get("loss_d") is not None),
            evaluations=_ordered(e for e in evaluations if e["protocol"] == protocol),
        )

    def until(self, kimg: float) -> History:
        """What was known at that time."""
        return replace(
            self,
            readings=tuple(r for r in self.readings if r["kimg"] <= kimg),
            evaluations=tuple(e for e in self.evaluations if e["kimg"] <= kimg),
        )

    @property
    def kimg(self) -> float:
        """How far it goes."""
        return max([0.0, *(row["kimg"] for row in (*self.readings[-1:], *self.evaluations[-1:]))])

    def last(self, name: str, n: int, since_kimg: float = 0.0) -> list[float]:
        """The last n readings that have that name; fewer where there are fewer."""
        found = [r[name] for r in self.readings if r.get(name) is not None and r["kimg"] > since_kimg]
        return [float(value) for value in found[-n:]]

    def settled(self, name: str) -> list[float | None]:
        """That column of the evaluations whose samples say something; None where it could not be measured."""
        return [e.get(name) for e in self.evaluations if e["kimg"] >= self.settled_kimg]


def begun_kimg(recipe: Recipe) -> float:
    """From where on the networks can be judged."""
    return _pretrained_kimg(recipe) + _kimg_of_steps(recipe, BEGINNING)


def settled_kimg(recipe: Recipe) -> float:
    """From where on the sampling generator is no longer what the first steps, or pre-training, made of it."""
    pretrained, ema = _pretrained_kimg(recipe), recipe.trick("ema")
    average = FORGOTTEN / (1 - ema.decay) if ema else 0.0
    if ema and ema.warmup:
        average = min(average, FORGOTTEN_IN_WARMUP * pretrained * 1000 / recipe.budget.batch_size)
    return max(begun_kimg(recipe), pretrained + _kimg_of_steps(recipe, average))


def _pretrained_kimg(recipe: Recipe) -> float:
    pretrain = recipe.trick("pretrain")
    return pretrain.kimg if pretrain else 0.0


def _kimg_of_steps(recipe: Recipe, steps: float) -> float:
    """Thousands of images that are shown in so many steps of G."""
    several = recipe.trick("discriminator_steps")
    return round(steps) * recipe.budget.batch_size * (several.n if several else 1) / 1000


def _ordered(rows: Iterable[Reading]) -> tuple[Reading, ...]:
    found: Sequence[Reading] = sorted(rows, key=lambda row: row["kimg"])
    return tuple(found)
