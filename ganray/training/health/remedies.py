"""What the literature advises against each trouble, in the words of a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

Path = tuple[str, ...]
"""Keys from the recipe's root: `("optimizers", "generator", "lr")`."""


class Severity(IntEnum):
    """How bad it is."""

    NOTICE = 1
    """Worth knowing; many such trainings end well."""
    SERIOUS = 2
    """Seldom ends well."""
    FATAL = 3
    """The trial cannot go on."""


@dataclass(frozen=True)
class Set:
    """Another value, or another component, at a path."""

    path: Path
    value: Any


@dataclass(frozen=True)
class Scale:
    """A number times a factor."""

    path: Path
    factor: float


@dataclass(frozen=True)
class OfBudget:
    """A parameter in kimg, as a share of the recipe's budget."""

    share: float


@dataclass(frozen=True)
class Add:
    """One more component in a list; nothing where one of that name is there."""

    path: Path
    component: Mapping[str, Any]


@dataclass(frozen=True)
class Try:
    """One experiment worth making: changes that belong together, and why."""

    why: str
    changes: tuple[Set | Scale | Add, ...]


@dataclass(frozen=True)
class Remedy:
    """How bad it is, what to do in a sentence, and experiments in the order in which they are worth making."""

    severity: Severity
    text: str
    tries: tuple[Try, ...]


TRICKS, LOSS, PENALTIES = ("tricks",), ("objective", "loss"), ("objective", "penalties")
LR_G, LR_D = ("optimizers", "generator", "lr"), ("optimizers", "discriminator", "lr")

R1 = {"name": "r1", "gamma": 1.0}
R3GAN = Try(
    "rpgan has no bad minimum that drops modes (arXiv 2011.04926); r1 and r2 let it converge (arXiv 2501.05441)",
    (Set(LOSS, {"name": "rpgan"}), Add(PENALTIES, R1), Add(PENALTIES, {"name": "r2", "gamma": 1.0})),
)
PENALISE = Try(
    "r1 bounds D's slope at the reals, and with it the gradients of both (arXiv 1801.04406)", (Add(PENALTIES, R1),)
)
SLOWER = Try("a tenth of both learning rates", (Scale(LR_G, 0.1), Scale(LR_D, 0.1)))
SLOWER_D = Try("a quarter of D's learning rate, so that G can follow", (Scale(LR_D, 0.25),))
SPECTRAL = Try(
    "spectral norm bounds each layer of D (arXiv 1802.05957)", (Set(("discriminator", "spectral_norm"), True),)
)
CLIP = Try("clipping keeps one bad batch from spoiling the weights", (Add(TRICKS, {"name": "clip_gradients"}),))
AUGMENT = Try(
    "augmentation shows D more than the few images there are (arXiv 2006.10738)",
    (Add(TRICKS, {"name": "diffaugment"}),),
)
LECAM = Try(
    "lecam pulls D's logits towards the other side's mean (arXiv 2104.03310)", (Add(PENALTIES, {"name": "lecam"}),)
)
SMOOTHING = Try(
    "targets below 1 leave D something to lose (arXiv 1606.03498)", (Add(TRICKS, {"name": "label_smoothing"}),)
)
NOISE = Try(
    "noise on all that D sees makes reals and fakes overlap (arXiv 1610.04490)",
    (Add(TRICKS, {"name": "instance_noise"}),),
)
LSGAN = Try("the gradient of lsgan does not vanish where D is sure (arXiv 1611.04076)", (Set(LOSS, {"name": "lsgan"}),))
MATCHING = Try(
    "feature matching gives G a target that D's logits cannot take away (arXiv 1606.03498)",
    (Add(("objective", "generator_losses"), {"name": "feature_matching"}),),
)

REMEDIES: dict[str, Remedy] = {
    "non-finite": Remedy(
        Severity.FATAL,
        "lower the learning rates (optimizers.*.lr), add a penalty or spectral norm, or set runtime.precision: fp32",
        (SLOWER, CLIP, SPECTRAL, PENALISE),
    ),
    "gradient-explosion": Remedy(
        Severity.SERIOUS,
        "lower the learning rates, bound D (spectral_norm, r1), or clip_gradients",
        (SLOWER, SPECTRAL, PENALISE, CLIP),
    ),
    "logits-saturated": Remedy(
        Severity.SERIOUS,
        "bound D's logits: r1, lecam or spectral_norm; or a lower learning rate of D",
        (PENALISE, LECAM, SPECTRAL, SLOWER_D),
    ),
    "out-of-memory": Remedy(
        Severity.SERIOUS,
        "lower runtime.micro_batch or budget.batch_size, make the networks narrower, take fewer pixels "
        "(data.resolution), or give each worker more of a GPU (resources.gpus_per_worker) or of the machine",
        (
            Try("half the batch", (Scale(("budget", "batch_size"), 0.5),)),
            Try("half the width of G", (Scale(("generator", "width"), 0.5),)),
            Try("half the width of D", (Scale(("discriminator", "width"), 0.5),)),
        ),
    ),
    "discriminator-won": Remedy(
        Severity.SERIOUS,
        "make D's task harder: diffaugment, r1, a lower learning rate of D, instance_noise; or a loss that it cannot "
        "finish (lsgan, ragan)",
        (
            AUGMENT,
            PENALISE,
            SLOWER_D,
            NOISE,
            SMOOTHING,
            Try("ragan's loss cannot reach zero on reals alone", (Set(LOSS, {"name": "ragan"}),)),
        ),
    ),
    "discriminator-weak": Remedy(
        Severity.NOTICE,
        "make D stronger: more width, a higher learning rate, several steps to one of G, or self-supervision",
        (
            Try("a D of twice the width", (Scale(("discriminator", "width"), 2.0),)),
            Try("twice the learning rate of D (TTUR, arXiv 1706.08500)", (Scale(LR_D, 2.0),)),
            Try("two steps of D to one of G", (Add(TRICKS, {"name": "discriminator_steps", "n": 2}),)),
            Try(
                "D learns features from a task of its own (arXiv 1811.11212)",
                (Add(("objective", "self_supervision"), {"name": "rotation"}),),
            ),
        ),
    ),
    "gradient-vanishing": Remedy(
        Severity.SERIOUS,
        "take a loss whose gradient does not vanish where D is sure (non_saturating, lsgan, hinge), or help G by "
        "feature_matching",
        (
            Try("the non-saturating loss exists for this (arXiv 1406.2661)", (Set(LOSS, {"name": "non_saturating"}),)),
            LSGAN,
            MATCHING,
            NOISE,
        ),
    ),
    "mode-collapse": Remedy(
        Severity.SERIOUS,
        "rpgan with r1 and r2, mode_seeking, or a D that sees the whole batch (minibatch_std)",
        (
            R3GAN,
            Try(
                "fakes of distant latents are to differ (arXiv 1903.05628)",
                (Add(("objective", "generator_losses"), {"name": "mode_seeking"}),),
            ),
            Try("D sees how much a batch varies (arXiv 1710.10196)", (Set(("discriminator", "minibatch_std"), True),)),
            Try(
                "D compares the images of a batch (arXiv 1606.03498)",
                (Set(("discriminator", "minibatch_discrimination"), 32),),
            ),
            Try(
                "old fakes keep D from forgetting modes that G has left (arXiv 1612.07828)",
                (Add(TRICKS, {"name": "replay"}),),
            ),
        ),
    ),
    "discriminator-overfits": Remedy(
        Severity.NOTICE,
        "augment (diffaugment, or ada where you do not know how much), add flips where mirror images make sense, "
        "lecam, or a smaller D",
        (
            AUGMENT,
            Try(
                "the amount of augmentation follows D's overfitting (arXiv 2006.06676)",
                (Add(TRICKS, {"name": "ada", "kimg": OfBudget(0.25)}),),
            ),
            Try("twice the images, where mirror images make sense", (Add(TRICKS, {"name": "flips"}),)),
            LECAM,
            Try("a D of half the width remembers less", (Scale(("discriminator", "width"), 0.5),)),
        ),
    ),
    "metric-stalls": Remedy(
        Severity.NOTICE,
        "G gets better at a game that the metric does not see: change D (its loss, its augmentation) rather than "
        "train on",
        (
            AUGMENT,
            MATCHING,
            R3GAN,
            Try("rates that fall to zero over the budget", (Set(("optimizers", "schedule"), {"name": "cosine"}),)),
        ),
    ),
    "oscillation": Remedy(
        Severity.NOTICE,
        "lower the learning rates, damp the game (r1, historical_averaging), and draw samples from an average (ema)",
        (
            Try("half of both learning rates", (Scale(LR_G, 0.5), Scale(LR_D, 0.5))),
            PENALISE,
            Try("samples from an average of the weights do not swing", (Add(TRICKS, {"name": "ema", "decay": 0.99}),)),
            Try(
                "weights are pulled to their average over time (arXiv 1606.03498)",
                (Add(("objective", "weight_penalties"), {"name": "historical_averaging"}),),
            ),
        ),
    ),
    "unrealistic-shape": Remedy(
        Severity.NOTICE,
        "what no number here shows: right textures in wrong shapes. Let D see the whole image (attention, unet, "
        "minibatch_std) and let G start from the images (pretrain)",
        (
            Try(
                "self-attention in D relates distant places (arXiv 1805.08318)",
                (Set(("discriminator", "attention"), [16]),),
            ),
            Try("and so in G (arXiv 1805.08318)", (Set(("generator", "attention"), [16]),)),
            Try(
                "a U-Net judges the whole and each pixel (arXiv 2002.12655)",
                (Set(("discriminator",), {"name": "unet"}),),
            ),
            Try(
                "G starts from blurred training images (arXiv 1707.05776)",
                (Add(TRICKS, {"name": "pretrain", "kimg": OfBudget(0.1)}),),
            ),
        ),
    ),
}
"""By the name of the diagnosis. `unrealistic-shape` is for the eye: no sign finds it."""
