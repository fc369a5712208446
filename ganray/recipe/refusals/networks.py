"""Rules on the networks: what their maps and their norms allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganray.recipe.discriminators import (
    DISCRIMINATOR_RESOLUTIONS,
    DCGANDiscriminator,
    MultiScalePatchDiscriminator,
    PatchDiscriminator,
    UNetDiscriminator,
)
from ganray.recipe.generators import GENERATOR_RESOLUTIONS, ResNetGenerator
from ganray.recipe.penalties import GRADIENT_PENALTIES
from ganray.recipe.refusals.facts import (
    Fault,
    has_batch_norm,
    map_sides,
    most_halvings,
    n_halvings,
    n_latent_parts,
    smallest_maps,
)

if TYPE_CHECKING:
    from ganray.recipe.recipe import Recipe

LEAST_PATCH_MAP = 4
"""The last two convolutions of a PatchGAN, 4 x 4 with a border of one, make 2 x 2 logits of 4 x 4."""


def resolution(recipe: Recipe) -> Iterator[Fault]:
    """A network at a resolution that it was not written for."""
    side = recipe.data.resolution
    for role, spec, limits in (
        ("generator", recipe.generator, GENERATOR_RESOLUTIONS),
        ("discriminator", recipe.discriminator, DISCRIMINATOR_RESOLUTIONS),
    ):
        low, high = limits[spec.name]
        if not low <= side <= high:
            yield (
                (role,),
                f"{spec.name} works from {low} to {high} px, but data.resolution is {side}; "
                f"change the one or the other",
            )


def attention(recipe: Recipe) -> Iterator[Fault]:
    """Self-attention on a map that the network does not have."""
    side = recipe.data.resolution
    for role, spec in (("generator", recipe.generator), ("discriminator", recipe.discriminator)):
        there = map_sides(spec, side)
        absent = [str(wanted) for wanted in getattr(spec, "attention", ()) if wanted not in there]
        if absent:
            choice = f"choose among {', '.join(map(str, there))}" if there else "leave attention out"
            yield (
                (role, "attention"),
                f"{spec.name} has no map of {' or '.join(absent)} px at data.resolution {side}; {choice}",
            )


def patches(recipe: Recipe) -> Iterator[Fault]:
    """A PatchGAN that halves the map until nothing is left for its last two convolutions."""
    spec = recipe.discriminator
    if not isinstance(spec, PatchDiscriminator | MultiScalePatchDiscriminator):
        return
    least = min(smallest_maps(spec, recipe.data.resolution))
    if least >= LEAST_PATCH_MAP:
        return
    fewer = "layers or scales" if isinstance(spec, MultiScalePatchDiscriminator) else "layers"
    yield (
        ("discriminator", "layers"),
        f"{spec.name} is left with a map of {least} px at data.resolution {recipe.data.resolution}, and its last two "
        f"convolutions need {LEAST_PATCH_MAP}; take fewer {fewer}, or a higher resolution",
    )


def halvings(recipe: Recipe) -> Iterator[Fault]:
    """A discriminator that halves the map until less than 4 x 4 is left for its logit."""
    spec, side = recipe.discriminator, recipe.data.resolution
    if not isinstance(spec, DCGANDiscriminator | UNetDiscriminator):
        return
    most = most_halvings(side)
    if n_halvings(spec, side) > most:
        yield (
            ("discriminator", "layers"),
            f"{spec.name} can halve {side} px {most} times, down to 4, and layers is {n_halvings(spec, side)}; take "
            f"{most} or fewer, leave layers out, or take a higher data.resolution",
        )


def hierarchy(recipe: Recipe) -> Iterator[Fault]:
    """A hierarchical latent with nothing to act on, or too short for its parts."""
    spec = recipe.generator
    if not isinstance(spec, ResNetGenerator) or not spec.hierarchical:
        return
    if spec.norm == "none":
        yield (
            ("generator", "hierarchical"),
            "a hierarchical latent acts through the scale and shift of norms, and generator.norm is none; take batch, "
            "instance or pixel",
        )
    parts = n_latent_parts(recipe.data.resolution)
    if spec.latent_dim < parts:
        yield (
            ("generator", "latent_dim"),
            f"a hierarchical latent has {parts} parts at data.resolution {recipe.data.resolution}, and latent_dim is "
            f"{spec.latent_dim}; make it at least {parts}",
        )


def batch_norm(recipe: Recipe) -> Iterator[Fault]:
    """Batch norm in D with a penalty on the gradient of each sample, which it mixes over the batch."""
    spec = recipe.discriminator
    if not has_batch_norm(spec):
        return
    remedy = "set discriminator.norm to none, layer or instance"
    if not hasattr(spec, "norm"):
        remedy = "use a discriminator without it (dcgan with norm: none)"
    for i, penalty in enumerate(recipe.objective.penalties):
        if penalty.name in GRADIENT_PENALTIES:
            yield (
                ("objective", "penalties", i),
                f"{penalty.name} takes a gradient per sample, which batch norm in the {spec.name} discriminator "
                f"mixes over the batch (arXiv 1704.00028, section 4); {remedy}",
            )


def path_length(recipe: Recipe) -> Iterator[Fault]:
    """Batch norm in G with path length, which takes the gradient of each image by its own latent."""
    spec = recipe.generator
    if not has_batch_norm(spec):
        return
    remedy = "set generator.norm to instance, pixel or none"
    if not hasattr(spec, "norm"):
        remedy = "use a generator without it (dcgan or resnet with norm: pixel)"
    for i, loss in enumerate(recipe.objective.generator_losses):
        if loss.name == "path_length":
            yield (
                ("objective", "generator_losses", i),
                f"path_length takes the gradient of each image by its own latent, which batch norm in the {spec.name} "
                f"generator mixes over the batch; {remedy}",
            )
