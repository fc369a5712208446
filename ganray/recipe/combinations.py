"""Combinations that make no sense are refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from ganray.recipe.networks import DISCRIMINATOR_RESOLUTIONS, GENERATOR_RESOLUTIONS, DCGANDiscriminator

if TYPE_CHECKING:
    from ganray.recipe.recipe import Recipe

Fault = tuple[tuple[str | int, ...], str]
"""The place in the recipe and the reason."""

TAKES_LABELS = ("minimax", "non_saturating", "lsgan")
TRICKS = ("tricks",)


def refuse_nonsense(recipe: Recipe) -> None:
    """Raise ValidationError with the place and the reason of everything that cannot be meant together."""
    faults = [*_resolution(recipe), *_lipschitz(recipe), *_batch_norm(recipe), *_targets(recipe), *_repeated(recipe)]
    if faults:
        raise ValidationError.from_exception_data(
            "Recipe",
            [
                {"type": PydanticCustomError("nonsense", "{reason}", {"reason": reason}), "loc": path, "input": None}
                for path, reason in faults
            ],
        )


def _resolution(recipe: Recipe) -> Iterator[Fault]:
    resolution = recipe.data.resolution
    for role, spec, limits in (
        ("generator", recipe.generator, GENERATOR_RESOLUTIONS),
        ("discriminator", recipe.discriminator, DISCRIMINATOR_RESOLUTIONS),
    ):
        low, high = limits[spec.name]
        if not low <= resolution <= high:
            yield (
                (role,),
                f"{spec.name} works from {low} to {high} px, but data.resolution is {resolution}; "
                f"change the one or the other",
            )


def _lipschitz(recipe: Recipe) -> Iterator[Fault]:
    constrained = bool(recipe.objective.penalties) or recipe.discriminator.spectral_norm
    if recipe.objective.loss.name == "wasserstein" and not constrained:
        yield (
            ("objective", "loss"),
            "the Wasserstein loss is unbounded without a Lipschitz constraint; add a penalty "
            "(wgan_gp or r1) or set discriminator.spectral_norm: true",
        )


def _batch_norm(recipe: Recipe) -> Iterator[Fault]:
    discriminator = recipe.discriminator
    if isinstance(discriminator, DCGANDiscriminator):
        has_batch_norm, remedy = discriminator.norm == "batch", "set discriminator.norm to none or instance"
    else:
        has_batch_norm, remedy = True, "use a discriminator without it (dcgan with norm: none)"
    for i, penalty in enumerate(recipe.objective.penalties):
        if has_batch_norm:
            yield (
                ("objective", "penalties", i),
                f"{penalty.name} takes a gradient per sample, which batch norm in the "
                f"{discriminator.name} discriminator mixes over the batch (arXiv 1704.00028, section 4); {remedy}",
            )


def _targets(recipe: Recipe) -> Iterator[Fault]:
    loss = recipe.objective.loss.name
    if recipe.trick("label_smoothing") and loss not in TAKES_LABELS:
        yield TRICKS, f"label_smoothing softens labels, and {loss} has none; use it with {', '.join(TAKES_LABELS)}"
    if recipe.trick("noisy_margins") and loss != "hinge":
        yield TRICKS, f"noisy_margins moves the hinge's margins, but the loss is {loss}"
    if recipe.trick("label_smoothing") and loss == "lsgan":
        targets = recipe.objective.loss
        if (getattr(targets, "a", 0.0), getattr(targets, "b", 1.0)) != (0.0, 1.0):
            yield TRICKS, "label_smoothing and lsgan's own a, b both set the targets; set them in one place"


def _repeated(recipe: Recipe) -> Iterator[Fault]:
    places: dict[tuple[str, ...], list[str]] = {
        TRICKS: [trick.name for trick in recipe.tricks],
        ("objective", "penalties"): [penalty.name for penalty in recipe.objective.penalties],
    }
    for place, names in places.items():
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield place, f"{name} is there twice; keep one"
