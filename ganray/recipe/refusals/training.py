"""Rules on tricks, schedules and judges: what cancels out, and what could never begin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganray.recipe.discriminators import DiscriminatorOptions
from ganray.recipe.refusals.facts import Fault, mixes_samples, n_stages

if TYPE_CHECKING:
    from ganray.recipe.recipe import Recipe

TRICKS = ("tricks",)

EXTRACTOR_OF_OURS = "fd_lite0"
"""How the names of the protocols begin that judge by the extractor that losses and discriminators look through too."""


def augmentations(recipe: Recipe) -> Iterator[Fault]:
    """Two augmentations on top of each other."""
    if recipe.trick("diffaugment") and recipe.trick("ada"):
        yield TRICKS, "diffaugment and ada both augment all that D sees, one on top of the other; keep one"


def waiting(recipe: Recipe) -> Iterator[Fault]:
    """More steps for D and fewer steps for D at once."""
    if recipe.trick("skip_discriminator") and recipe.trick("discriminator_steps"):
        yield TRICKS, "discriminator_steps gives D more steps and skip_discriminator takes them away; keep one"


def joining(recipe: Recipe) -> Iterator[Fault]:
    """Reals and fakes in one batch where D judges each image by itself, so that it cannot tell."""
    spec = recipe.discriminator
    if not recipe.trick("joined_batches") or mixes_samples(spec):
        return
    remedy = "set discriminator.norm to batch, or discriminator.minibatch_std or minibatch_discrimination"
    if not isinstance(spec, DiscriminatorOptions):
        remedy = "use a discriminator that looks at the whole batch (dcgan with norm: batch)"
    yield (
        TRICKS,
        f"joined_batches changes nothing: the {spec.name} discriminator judges each image by itself, whatever else is "
        f"in its batch; {remedy}, or drop joined_batches",
    )


def replayed_labels(recipe: Recipe) -> Iterator[Fault]:
    """Replay with labels: an old fake would be judged under the class of a new one."""
    if recipe.trick("replay") and recipe.objective.conditioning:
        yield TRICKS, "replay keeps old fakes without their classes, so conditioning would judge them by wrong ones"


def beginnings(recipe: Recipe) -> Iterator[Fault]:
    """A pre-training or a warm-up that lasts the whole budget."""
    budget, pretrain, schedule = recipe.budget.kimg, recipe.trick("pretrain"), recipe.optimizers.schedule
    if pretrain and pretrain.kimg >= budget:
        yield TRICKS, f"pretrain takes {pretrain.kimg:g} kimg, and budget.kimg is {budget:g}: no game would be played"
    if schedule and schedule.warmup_kimg >= budget:
        yield (
            ("optimizers", "schedule"),
            f"the warm-up takes {schedule.warmup_kimg:g} kimg, and budget.kimg is {budget:g}: "
            f"the learning rates would never be reached",
        )


def freezing(recipe: Recipe) -> Iterator[Fault]:
    """FreezeD where D starts from random weights, is frozen anyway, or has fewer layers."""
    freeze = recipe.trick("freeze_d")
    if not freeze:
        return
    if not (recipe.initial and recipe.initial.discriminator):
        yield (
            TRICKS,
            "freeze_d would freeze random layers: it needs a trained D, from initial.checkpoint with "
            "initial.discriminator: true",
        )
    if recipe.discriminator.name == "projected":
        yield TRICKS, "freeze_d has nothing to freeze in the projected discriminator: its features are frozen anyway"
        return
    there = n_stages(recipe.discriminator, recipe.data.resolution)
    if freeze.layers > there:
        yield (
            TRICKS,
            f"freeze_d.layers is {freeze.layers}, and the {recipe.discriminator.name} discriminator has {there}",
        )


def own_judge(recipe: Recipe) -> Iterator[Fault]:
    """A recipe ranked by a distance in the features that it trains on: it would win without better images."""
    fault = judged_by_itself(recipe, recipe.evaluation.protocols[0])
    if fault:
        yield fault


def judged_by_itself(recipe: Recipe, protocol: str) -> Fault | None:
    """The fault of ranking this recipe by that protocol, where there is one."""
    if not protocol.startswith(EXTRACTOR_OF_OURS):
        return None
    remedy = (
        f"{protocol} measures in those very features, so its number would flatter it. Name a FID protocol first and "
        f"rank by it (fid_5k_train; fid_768_1k_train and fid_192_1k_train need only the short weights)"
    )
    if recipe.discriminator.name == "projected":
        return ("discriminator",), f"projected looks through EfficientNet-Lite0, and {remedy}"
    for i, loss in enumerate(recipe.objective.generator_losses):
        if loss.name in ("content", "style"):
            return (
                ("objective", "generator_losses", i),
                f"{loss.name} trains G on the features of EfficientNet-Lite0, and {remedy}",
            )
    pretrain = recipe.trick("pretrain")
    if pretrain and pretrain.perceptual:
        return TRICKS, f"pretrain.perceptual trains G on the features of EfficientNet-Lite0, and {remedy}"
    return None


def repeated(recipe: Recipe) -> Iterator[Fault]:
    """A component that is listed twice."""
    objective = recipe.objective
    for place, components in (
        (TRICKS, recipe.tricks),
        (("objective", "penalties"), objective.penalties),
        (("objective", "generator_losses"), objective.generator_losses),
        (("objective", "weight_penalties"), objective.weight_penalties),
        (("objective", "self_supervision"), objective.self_supervision),
    ):
        names = [component.name for component in components]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield place, f"{name} is there twice; keep one"
