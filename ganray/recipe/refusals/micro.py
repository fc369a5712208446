"""Whether a step's gradient is a sum over its images, so that it can be had in passes of fewer images each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganray.recipe.objective import EnergyBased
from ganray.recipe.refusals.facts import Fault, has_batch_norm

if TYPE_CHECKING:
    from ganray.recipe.recipe import Recipe

MEAN_LOGIT = "compares each logit with the other side's mean over the batch"
MEANS = "compares means over the batch"

WHOLE_BATCH = {
    "loss": {
        "ragan": MEAN_LOGIT,
        "ralsgan": MEAN_LOGIT,
        "rahinge": MEAN_LOGIT,
        "dual_contrastive": "compares each image with all others of the batch",
    },
    "penalties": {
        "dragan": "takes the spread of the reals from the batch",
        "lecam": "moves its averages by the batch's mean logits",
    },
    "generator_losses": {
        "feature_matching": MEANS,
        "style": MEANS,
        "mode_seeking": "is the inverse of a mean over the batch",
        "path_length": "moves its average by the batch's mean length",
    },
    "self_supervision": {"contrastive": "tells each image from the others of the batch"},
    "tricks": {"top_k": "picks the best of the batch"},
}
"""By family and name, how a component looks at the batch as a whole; the others take a mean over single images.

tests/training/test_micro.py compares every component with the gradient of the whole batch, whether it is here or not.
"""


def why_not_micro(recipe: Recipe) -> str | None:
    """Why micro-batches would change what this recipe trains, and what to do; None where they change nothing."""
    return next(_reasons(recipe), None)


def micro_batches(recipe: Recipe) -> Iterator[Fault]:
    """Micro-batches where something looks at the batch as a whole: parts of it would train another thing."""
    reason = why_not_micro(recipe) if recipe.runtime.micro_batch is not None else None
    if reason:
        yield (
            ("runtime", "micro_batch"),
            f"micro-batches would change what is trained: {reason}, or leave runtime.micro_batch out",
        )


def _reasons(recipe: Recipe) -> Iterator[str]:
    objective, loss = recipe.objective, recipe.objective.loss
    for role, spec in (("generator", recipe.generator), ("discriminator", recipe.discriminator)):
        if has_batch_norm(spec):
            remedy = f"set {role}.norm to another" if hasattr(spec, "norm") else f"take a {role} without it"
            yield f"batch norm in the {spec.name} {role} mixes the images of a batch; {remedy}"
    for name in ("minibatch_std", "minibatch_discrimination"):
        if getattr(recipe.discriminator, name, False):
            yield f"{name} shows the discriminator the batch as a whole; switch discriminator.{name} off"
    if isinstance(loss, EnergyBased) and loss.pull_away:
        yield "ebgan's pull_away compares the images of a batch with each other; set objective.loss.pull_away to 0"
    components = {
        "loss": (loss,),
        "penalties": objective.penalties,
        "generator_losses": objective.generator_losses,
        "self_supervision": objective.self_supervision,
        "tricks": recipe.tricks,
    }
    for family, looks in WHOLE_BATCH.items():
        for component in components[family]:
            if component.name in looks:
                yield f"{component.name} {looks[component.name]}; take another"
