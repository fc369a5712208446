"""The signs of trouble: pure functions of a history, each with its threshold and the reason for it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from statistics import fmean, median

from ganray.training.health.diagnosis import Diagnosis
from ganray.training.health.history import History

SUSTAINED = 5
"""Readings in a row, half of what lies between two evaluations: neither one bad batch nor the first steps count."""

UNDECIDED_LOSS_D = {
    "minimax": 2 * math.log(2),
    "non_saturating": 2 * math.log(2),
    "hinge": 2.0,
    "lsgan": 0.25,
    "rpgan": math.log(2),
    "ragan": 2 * math.log(2),
    "ralsgan": 2.0,
    "rahinge": 2.0,
}
"""D's loss where it says the same, and the best, of everything. Others (wasserstein, ebgan) have no such value."""

WON_SHARE = 0.1
"""Of the undecided loss: under cross-entropy D gives the truth 93 %. Healthy tiny trainings stay above 0.3."""

WEAK_SHARE = 0.98
"""Of the undecided loss: D has found nothing that tells fakes from reals. Healthy tiny trainings stay below 0.96."""

LARGE_NORM = 100.0
"""Hack 10 of the GAN hacks: gradient norms above 100 are a bug or a learning rate that is too high."""

CRITIC_NORM = 1000.0
"""The same for the Wasserstein loss, whose logits have no scale: a healthy tiny WGAN-GP begins at 200."""

SMALL_NORM = 1e-3
"""Of G's gradient; healthy tiny trainings have 0.3 to 10."""

SATURATED_LOGIT = 20.0
"""1 - sigma(20) is 2e-9: in fp32 sigma(D) is 1 up to its last bits. For the hinge it is twenty times its margin."""

BOUNDED_BY_TARGETS = ("minimax", "non_saturating", "hinge", "lsgan", "rpgan", "ragan", "ralsgan", "rahinge")
"""Losses under which larger logits bring D nothing; the Wasserstein loss and energies have their own scale."""

ALIKE = 0.25
"""Of the reals' own distance. Healthy tiny trainings are above 0.3 once their average is settled, most above 0.45.

It can pass: a hinge GAN on 20 pets was at 0.18 after 4.8 kimg and at 0.43 after 7.2.
"""

OVERFIT = 0.5
"""ADA's r_v: 0 is none, 1 is complete (arXiv 2006.06676, eq. 1).

Hinge without augmentation on 20 images, 64 px, 300 to 900 steps: 0.7 to 0.9, and 0.8 to 0.9 with held-out images in
place of changed ones. On 100 images with DiffAugment: -0.4 to 0.2.
"""

STALLED_EVALUATIONS = 4
STALLED_GAIN = 0.02
"""Share of the metric that counts as movement: below the spread of two evaluations of one generator."""
FALLING_SHARE = 0.2
"""G's loss has fallen by this share of its size, and in nearly every reading."""

SWINGS = 8
"""Readings that are looked at for oscillation."""

SETTLED_EVALUATIONS = {"mode-collapse": 1, "discriminator-overfits": 2, "metric-stalls": STALLED_EVALUATIONS}
"""How many evaluations of settled networks it takes to look for these."""


def discriminator_won(history: History) -> str | None:
    """D's adversarial loss is close to zero, again and again."""
    undecided = UNDECIDED_LOSS_D.get(history.loss)
    losses = history.last("loss_d", SUSTAINED)
    if undecided is None or not _all(losses, lambda loss: loss < WON_SHARE * undecided):
        return None
    gap = [r - f for r, f in zip(history.last("logits_real", SUSTAINED), history.last("logits_fake", SUSTAINED))]
    apart = f", its logits {fmean(gap):.3g} apart" if gap else ""
    return f"D's loss is {fmean(losses):.3g} on average over {SUSTAINED} readings ({undecided:.3g} is undecided){apart}"


def discriminator_weak(history: History) -> str | None:
    """D says nearly the same of reals and fakes, while the fakes are not the reals."""
    undecided = UNDECIDED_LOSS_D.get(history.loss)
    losses = history.last("loss_d", SUSTAINED, history.begun_kimg)
    if undecided is None or not _all(losses, lambda loss: loss > 0.9 * undecided):
        return None
    share = fmean(losses) / undecided
    if not WEAK_SHARE < share < 1.1:
        return None
    return f"D's loss is {fmean(losses):.3g} on average over {SUSTAINED} readings: {100 * share:.0f} % of undecided"


def gradient_explosion(history: History) -> str | None:
    """A gradient norm over 100 in most readings; in between it may be 0, where D is far beyond its targets."""
    limit = CRITIC_NORM if history.loss == "wasserstein" else LARGE_NORM
    for name, label in (("grad_norm_g", "G"), ("grad_norm_d", "D")):
        norms = history.last(name, SUSTAINED)
        if len(norms) == SUSTAINED and median(norms) > limit:
            return f"{label}'s gradient norm is {median(norms):.3g}, the median of {SUSTAINED} readings"
    return None


def gradient_vanishing(history: History) -> str | None:
    """G's gradient is next to nothing."""
    norms = history.last("grad_norm_g", SUSTAINED, history.begun_kimg)
    if not _all(norms, lambda norm: norm < SMALL_NORM):
        return None
    return f"G's gradient norm is {median(norms):.2g} (median of {SUSTAINED} readings): G learns nothing"


def logits_saturated(history: History) -> str | None:
    """Logits far beyond where a loss with targets still changes."""
    if history.loss not in BOUNDED_BY_TARGETS:
        return None
    found = []
    for name, label in (("logits_real", "reals"), ("logits_fake", "fakes")):
        logits = history.last(name, SUSTAINED)
        if _all(logits, lambda logit: abs(logit) > SATURATED_LOGIT):
            found.append(f"{fmean(logits):.3g} on {label}")
    return f"D's mean logit is {' and '.join(found)} over {SUSTAINED} readings" if found else None


def mode_collapse(history: History) -> str | None:
    """Fakes that differ far less than the reals do."""
    before, now = [None, None, *history.settled("diversity")][-2:]
    if now is None or now >= ALIKE:
        return None
    remark = "" if before is None else f" ({before:.2f} at the evaluation before)"
    return f"two fakes are {now:.2f} times as far apart as two reals{remark}"


def discriminator_overfits(history: History) -> str | None:
    """D knows the training images rather than what they have in common, at two evaluations in a row."""
    before, now = [None, None, *history.settled("overfit")][-2:]
    if before is None or now is None or min(before, now) < OVERFIT:
        return None
    sure = history.settled("sure_of_reals")[-1]
    certainty = "" if sure is None else f"; it takes {50 + 50 * sure:.0f} % of the training images to be real"
    return (
        f"D loses {100 * now:.0f} % of its advantage on training images once they are mirrored and moved by a few "
        f"pixels{certainty}"
    )


def metric_stalls(history: History) -> str | None:
    """G's loss falls steadily, and the metric does not follow."""
    rows = [e for e in history.evaluations if e["kimg"] >= history.settled_kimg and e.get("frechet") is not None]
    if len(rows) < STALLED_EVALUATIONS:
        return None
    first, *later = rows[-STALLED_EVALUATIONS:]
    gain = 1 - min(e["frechet"] for e in later) / first["frechet"] if first["frechet"] > 0 else 1.0
    losses = [float(r["loss_g"]) for r in history.readings if r["kimg"] > first["kimg"] and r.get("loss_g") is not None]
    if gain > STALLED_GAIN or not _falls(losses):
        return None
    third = len(losses) // 3
    return (
        f"G's loss fell from {fmean(losses[:third]):.3g} to {fmean(losses[-third:]):.3g} since {first['kimg']:g} kimg, "
        f"while the metric went from {first['frechet']:.4g} to {rows[-1]['frechet']:.4g}"
    )


def oscillation(history: History) -> str | None:
    """One network wins, then the other, in large swings."""
    undecided = UNDECIDED_LOSS_D.get(history.loss)
    losses = history.last("loss_d", SWINGS)
    if undecided is None or len(losses) < SWINGS:
        return None
    sides = [1 if loss > 1.5 * undecided else -1 if loss < 0.5 * undecided else 0 for loss in losses]
    turns = sum(a * b < 0 for a, b in itertools.pairwise(side for side in sides if side))
    if turns < SWINGS // 2:
        return None
    return f"D's loss went between {min(losses):.3g} and {max(losses):.3g}, {turns} times in {SWINGS} readings"


Sign = Callable[[History], str | None]

SIGNS: dict[str, Sign] = {
    "gradient-explosion": gradient_explosion,
    "logits-saturated": logits_saturated,
    "gradient-vanishing": gradient_vanishing,
    "discriminator-won": discriminator_won,
    "discriminator-weak": discriminator_weak,
    "mode-collapse": mode_collapse,
    "oscillation": oscillation,
    "discriminator-overfits": discriminator_overfits,
    "metric-stalls": metric_stalls,
}
"""By the name of the diagnosis: what to look for. Each answers with its evidence, or with None."""


def examine(history: History) -> list[Diagnosis]:
    """What is wrong at the end of a history."""
    found = ((name, sign(history)) for name, sign in SIGNS.items())
    return [Diagnosis(name, evidence, history.kimg, history.kimg) for name, evidence in found if evidence]


def follow(history: History, now: bool = False) -> tuple[Diagnosis, ...]:
    """All that was wrong at any evaluation (and, with `now`, at the end): first and last sighting, last evidence."""
    times = sorted({e["kimg"] for e in history.evaluations} | ({history.kimg} if now else set()))
    found: dict[str, Diagnosis] = {}
    for kimg in times:
        for seen in examine(history.until(kimg)):
            since = found[seen.name].since_kimg if seen.name in found else kimg
            found[seen.name] = Diagnosis(seen.name, seen.evidence, since, kimg)
    return tuple(found.values())


def _all(values: Sequence[float], holds: Callable[[float], bool]) -> bool:
    """Whether there are as many values as it takes, and it holds for each."""
    return len(values) == SUSTAINED and all(holds(value) for value in values)


def _falls(losses: Sequence[float]) -> bool:
    """Whether the thirds of a curve fall, by a share of its size that is no noise."""
    third = len(losses) // 3
    if third < SUSTAINED:
        return False
    a, b, c = (fmean(losses[i * third : (i + 1) * third]) for i in range(3))
    return a > b > c and a - c > FALLING_SHARE * max(abs(a), abs(c))
