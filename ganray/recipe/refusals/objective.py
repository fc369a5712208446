"""Rules on the objective: which losses, labels and penalties have anything to say to each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganray.recipe.objective import LeastSquares
from ganray.recipe.penalties import GRADIENT_PENALTIES
from ganray.recipe.refusals.facts import Fault

if TYPE_CHECKING:
    from ganray.recipe.recipe import Recipe

TAKES_LABELS = ("minimax", "non_saturating", "lsgan")
"""Losses that compare each logit with a target."""

COMPARES_LOGITS = ("wasserstein", "rpgan", "ragan", "ralsgan", "rahinge", "dual_contrastive")
"""Losses that look at differences of logits alone, so that logits that are never above 0 suit them."""

LABEL_TRICKS = {"label_smoothing": "softens", "soft_labels": "draws", "label_flips": "flips"}
"""Tricks that change targets, and what they do to them."""

TRICKS = ("tricks",)
LOSS = ("objective", "loss")


def lipschitz(recipe: Recipe) -> Iterator[Fault]:
    """The Wasserstein loss without a Lipschitz constraint: nothing keeps it from running away."""
    objective = recipe.objective
    if objective.loss.name != "wasserstein" or recipe.discriminator.spectral_norm:
        return
    added = {penalty.name for penalty in (*objective.penalties, *objective.weight_penalties)}
    if not added & {*GRADIENT_PENALTIES, "weight_clipping"}:
        yield (
            LOSS,
            "the Wasserstein loss is unbounded without a Lipschitz constraint; add a gradient penalty "
            "(wgan_gp, r1, r2 or dragan) or weight_clipping, or set discriminator.spectral_norm: true",
        )


def clipping(recipe: Recipe) -> Iterator[Fault]:
    """Weight clipping under spectral norm: the clipped weight is divided by its own size again."""
    if not recipe.discriminator.spectral_norm:
        return
    for i, penalty in enumerate(recipe.objective.weight_penalties):
        if penalty.name == "weight_clipping":
            yield (
                ("objective", "weight_penalties", i),
                "weight_clipping limits weights that spectral norm divides by their own size, so it changes nothing; "
                "keep one of the two (discriminator.spectral_norm: false)",
            )


def labels(recipe: Recipe) -> Iterator[Fault]:
    """A trick with labels where the loss has none."""
    loss = recipe.objective.loss.name
    for name, does in LABEL_TRICKS.items():
        if recipe.trick(name) and loss not in TAKES_LABELS:
            yield TRICKS, f"{name} {does} labels, and {loss} has none; use it with {', '.join(TAKES_LABELS)}"


def targets(recipe: Recipe) -> Iterator[Fault]:
    """Targets of D that are set in two places."""
    setting = [name for name in ("label_smoothing", "soft_labels") if recipe.trick(name)]
    if len(setting) > 1:
        yield TRICKS, "label_smoothing and soft_labels both set the targets of D; keep one"
    loss = recipe.objective.loss
    if setting and isinstance(loss, LeastSquares) and (loss.a, loss.b) != (0.0, 1.0):
        yield TRICKS, f"{setting[0]} and lsgan's own a, b both set the targets; set them in one place"


def margins(recipe: Recipe) -> Iterator[Fault]:
    """Noisy margins for a loss that has no margin."""
    if recipe.trick("noisy_margins") and recipe.objective.loss.name != "hinge":
        yield TRICKS, f"noisy_margins moves the hinge's margins, but the loss is {recipe.objective.loss.name}"


def energy(recipe: Recipe) -> Iterator[Fault]:
    """An energy where none is meant: `ebgan` needs D's reconstruction error, and others need logits of both signs."""
    loss, discriminator = recipe.objective.loss.name, recipe.discriminator.name
    if loss == "ebgan" and discriminator != "autoencoder":
        yield (
            LOSS,
            f"ebgan's energy is a reconstruction error, and the {discriminator} discriminator has none; "
            f"use the autoencoder discriminator or another loss",
        )
    if discriminator == "autoencoder" and loss not in ("ebgan", *COMPARES_LOGITS):
        yield (
            ("discriminator",),
            f"the autoencoder's logit is minus an error and never above 0, and {loss} wants reals above 0; use it "
            f"with ebgan, or with a loss that only compares ({', '.join(COMPARES_LOGITS)})",
        )
    conditioning = recipe.objective.conditioning
    if loss == "ebgan" and conditioning and conditioning.name == "projection":
        yield (
            ("objective", "conditioning"),
            "projection adds a number of either sign to ebgan's energy, which is an error and not below 0; use acgan",
        )


def cutmix(recipe: Recipe) -> Iterator[Fault]:
    """CutMix consistency where D has no logit per pixel."""
    for i, penalty in enumerate(recipe.objective.penalties):
        if penalty.name == "cutmix" and recipe.discriminator.name != "unet":
            yield (
                ("objective", "penalties", i),
                f"cutmix compares logits per pixel, and the {recipe.discriminator.name} discriminator has none; "
                f"use the unet discriminator, or the penalty consistency",
            )


def pairs(recipe: Recipe) -> Iterator[Fault]:
    """A loss that compares an image with the real one that it stands for, where no latent belongs to an image."""
    for i, loss in enumerate(recipe.objective.generator_losses):
        if loss.name in ("l1", "content") and not recipe.trick("pretrain"):
            yield (
                ("objective", "generator_losses", i),
                f"{loss.name} compares each training image with what G makes of that image's latent, and without the "
                f"trick pretrain no latent belongs to an image; add pretrain, or use feature_matching or style",
            )


def conditioning(recipe: Recipe) -> Iterator[Fault]:
    """Labels without a use, or a use without labels."""
    used, given = recipe.objective.conditioning, recipe.data.labels != "none"
    if used and not given:
        yield ("objective", "conditioning"), f"{used.name} needs labels; set data.labels: folders"
    if given and not used:
        yield (
            ("data", "labels"),
            "labels are read and nothing uses them; set objective.conditioning to projection or acgan, or data.labels: "
            "none",
        )
