"""What the literature advises for a set of so many images of such a size: options for each part of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from ganray.recipe.data import Resolution
from ganray.recipe.discriminators import DISCRIMINATOR_RESOLUTIONS

PARTS = ("generator", "discriminator", "objective", "tricks", "optimizers")
"""What an option is for: the parts of a recipe that a search may change."""

FEW = 1000
"""Below so many images D overfits without augmentation (arXiv 2006.10738, Fig. 1)."""
VERY_FEW = 100
"""The smallest sets that few-shot papers publish (100-shot Obama, Grumpy cat, Panda)."""
LABELLED_FROM = 500
"""Images in the smallest class. Conditional GANs collapse on small classes where unconditional ones do not (arXiv
2201.06578, whose sets have about a hundred a class); the threshold is ours."""
FASTGAN_FROM_PX = 128
ENLARGED_AT_MOST = 0.05
"""Share of the images that may be smaller than the training resolution."""


@dataclass(frozen=True)
class Facts:
    """What is known of the images and of this machine."""

    source: str
    """As `data.source`."""
    n_images: int
    """Readable ones."""
    n_unreadable: int
    class_folders: Mapping[str, int]
    """Class to its number of images; empty unless `data.labels: folders` can be set."""
    resolution: int
    resolution_why: str
    fingerprints: tuple[str, ...]
    """At that resolution, without and with labels."""
    gpu: bool
    protocol: str
    protocol_why: str
    lite0: bool
    """Whether the embedded extractor is installed."""

    @property
    def conditional(self) -> bool:
        """Whether the classes are large enough to be learnt one by one."""
        return bool(self.class_folders) and min(self.class_folders.values()) >= LABELLED_FROM


@dataclass(frozen=True)
class Option:
    """One value of a part of the recipe, distributions allowed, and why it is worth a try."""

    value: Any
    why: str
    start: Any = None
    """Plain values for the distributions; left out: `value` has none."""

    @property
    def first(self) -> Any:
        """What a search tries first."""
        return self.value if self.start is None else self.start


@dataclass(frozen=True)
class Budget:
    """How long a trial lasts."""

    kimg: float
    batch_size: int
    why: str

    @property
    def steps(self) -> float:
        return self.kimg * 1000 / self.batch_size


def choose_resolution(shorter_sides: Mapping[int, int], gpu: bool) -> tuple[int, str]:
    """The training resolution and the reason, from the images' shorter sides in pixels and their numbers."""
    n_images, most = sum(shorter_sides.values()), 256 if gpu else 64
    for resolution in sorted(get_args(Resolution), reverse=True):
        smaller = sum(count for side, count in shorter_sides.items() if side < resolution)
        if smaller > ENLARGED_AT_MOST * n_images:
            continue
        if resolution > most:
            where = "more takes days" if gpu else "more takes a GPU, and this machine shows none"
            return most, f"the images have {resolution} px and more, but {where} (--resolution changes it)"
        return resolution, f"at least {1 - ENLARGED_AT_MOST:.0%} of the images have that many pixels"
    return 32, "most images are smaller still and are enlarged"


def choose_protocol(fid_dims: int, gpu: bool) -> tuple[str, str]:
    """The protocol to rank by and the reason; `fid_dims`: features that the FID weights found here give, 0 for none."""
    if fid_dims >= 2048:
        return "fid_5k_train", "the FID Inception's weights are on this machine"
    if gpu:
        return "fid_5k_train", "with a GPU 5,000 samples cost little; the FID Inception's weights are downloaded once"
    if fid_dims:
        return "fid_768_1k_train", f"the FID Inception's short weights are here, which give {fid_dims} features"
    return "fd_lite0_1k_train", "no FID weights and no GPU here: a distance that needs neither, which is no FID"


def choose_budget(facts: Facts, kimg: float | None) -> Budget:
    """Kimg a trial and the batch; `kimg` is what the user asked for."""
    batch = 8 if facts.resolution >= FASTGAN_FROM_PX else 16
    why = "as asked for"
    if kimg is None and facts.gpu:
        kimg, why = 200.0, "half of what FastGAN's authors train for; give the winner 400"
    elif kimg is None:
        kimg = 20.0 if facts.resolution < FASTGAN_FROM_PX else 5.0
        why = "what a CPU can do: enough to rank recipes, not to finish them; give the winner ten times more"
    return Budget(kimg=kimg, batch_size=batch, why=why)


def practice(facts: Facts, budget: Budget) -> dict[str, list[Option]]:
    """Options for each part, the one to begin with first. Not each goes with each other: see `advise`."""
    return {
        "generator": _generators(facts),
        "discriminator": _discriminators(facts),
        "objective": _objectives(facts),
        "tricks": _tricks(facts, budget),
        "optimizers": [_optimizers(facts)],
    }


def _generators(facts: Facts) -> list[Option]:
    if facts.resolution >= FASTGAN_FROM_PX:
        width = 64 if facts.gpu else 16
        options = [Option({"name": "fastgan", "width": width}, "made for 60 to 1,000 images (arXiv 2101.04775)")]
        if facts.resolution <= 256:
            options.append(
                Option({"name": "resnet", "width": width // 2}, "SNGAN's residual generator, with fewer assumptions")
            )
        return options
    size = {"width": 64, "latent_dim": 128} if facts.gpu else {"width": 32, "latent_dim": 64}
    return [
        Option({"name": "dcgan", **size}, "small and fast; everybody knows what it does"),
        Option({"name": "dcgan", **size, "up": "nearest"}, "no checkerboards (Odena et al., Distill 2016)"),
    ]


def _discriminators(facts: Facts) -> list[Option]:
    large = facts.resolution >= FASTGAN_FROM_PX
    width = (64 if facts.gpu else 16) if large else (64 if facts.gpu else 32)
    options = []
    if large:
        decode = {"distance": "perceptual"} if facts.lite0 else {"distance": "l1"}
        options.append(
            Option(
                {"name": "fastgan", "width": width, "decode": decode},
                "rebuilds the real images, which keeps it from memorising them (arXiv 2101.04775)",
            )
        )
    else:
        options.append(Option({"name": "dcgan", "width": width, "spectral_norm": True}, "the baseline, held in check"))
    layers = 3 if large else 2
    patch = {"name": "patch", "width": width, "layers": layers, "spectral_norm": True}
    options.append(Option(patch, f"judges patches of {9 * 2**layers - 2} px: texture before layout"))
    if facts.lite0 and facts.gpu and facts.resolution >= DISCRIMINATOR_RESOLUTIONS["projected"][0]:
        options.append(Option({"name": "projected"}, "frozen features, the fastest start (arXiv 2111.01007)"))
    if not large and facts.gpu:
        unet = {"name": "unet", "width": width // 2, "spectral_norm": True}
        options.append(Option(unet, "a logit per pixel, for fine detail; strong and unstable (arXiv 2002.12655)"))
    return options


def _objectives(facts: Facts) -> list[Option]:
    gamma = {"log_uniform": [0.1, 10.0]}
    r1, r2 = ({"name": name, "gamma": gamma} for name in ("r1", "r2"))
    r1_start, r2_start = ({"name": name, "gamma": 1.0} for name in ("r1", "r2"))
    options = [Option({"loss": {"name": "hinge"}}, "the default of FastGAN, SAGAN, BigGAN and Projected GAN")]
    if facts.n_images < FEW:
        lecam = {"loss": {"name": "hinge"}, "penalties": [{"name": "lecam"}]}
        options.append(Option(lecam, "keeps D from running away from the fakes on small sets (arXiv 2104.03310)"))
    options += [
        Option({"loss": {"name": "ragan"}}, "D cannot win on the reals alone (arXiv 1807.00734)"),
        Option({"loss": {"name": "lsgan"}}, "its gradient does not vanish where D is sure (arXiv 1611.04076)"),
        Option(
            {"loss": {"name": "non_saturating"}, "penalties": [r1]},
            "StyleGAN2's pair; which gamma depends on the set",
            {"loss": {"name": "non_saturating"}, "penalties": [r1_start]},
        ),
        Option(
            {"loss": {"name": "rpgan"}, "penalties": [r1, r2]},
            "R3GAN's, proven to converge near the solution (arXiv 2501.05441)",
            {"loss": {"name": "rpgan"}, "penalties": [r1_start, r2_start]},
        ),
    ]
    if not facts.conditional:
        return options
    labels = {"conditioning": {"name": "projection"}}
    return [Option({**o.value, **labels}, o.why, o.start and {**o.start, **labels}) for o in options]


def _tricks(facts: Facts, budget: Budget) -> list[Option]:
    always = [{"name": "ema", "decay": _ema_decay(budget.steps)}, {"name": "flips"}]
    mild = {"name": "diffaugment", "policy": ["color", "translation"]}
    strong = {"name": "diffaugment", "policy": ["color", "translation", "cutout"]}
    # In the paper the probability could rise from 0 to 1 within 500 of 25,000 kimg; here the budgets are short.
    ada = {"name": "ada", "kimg": budget.kimg / 4}
    with_mild = Option([*always, mild], "DiffAugment as FastGAN's authors train (arXiv 2101.04775)")
    with_ada = Option([*always, ada], "augments the more, the more D overfits (arXiv 2006.06676)")
    if facts.n_images >= FEW:
        return [with_mild, with_ada, Option(always, "enough images to try without augmentation")]
    with_strong = Option([*always, strong], "brought StyleGAN2 on 100-shot Obama from FID 80 to 47 (arXiv 2006.10738)")
    if facts.n_images >= VERY_FEW:
        return [with_mild, with_strong, with_ada]
    pretrain = {"name": "pretrain", "kimg": budget.kimg / 10}
    begun = Option([*always, strong, pretrain], "G begins with blurred training images, not noise (arXiv 1707.05776)")
    return [with_strong, with_mild, begun]


def _ema_decay(steps: float) -> float:
    """The average reaches back over 1 / (1 - decay) steps, which must be few of them all."""
    return 0.99 if steps < 5_000 else 0.995 if steps < 20_000 else 0.999


def _optimizers(facts: Facts) -> Option:
    low, start, high = (1.0e-4, 2.0e-4, 6.0e-4) if facts.gpu else (1.0e-4, 5.0e-4, 2.0e-3)
    each = {"lr": {"log_uniform": [low, high]}, "beta1": 0.5}
    plain = {"lr": start, "beta1": 0.5}
    return Option(
        {"generator": each, "discriminator": each},
        "two learning rates (TTUR, arXiv 1706.08500); beta1 0.5 as DCGAN",
        {"generator": plain, "discriminator": plain},
    )
