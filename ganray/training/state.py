"""Everything that changes while a trial trains, built from its recipe."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ganray.models.registry import build_discriminator, build_generator
from ganray.objectives.reconstruction import Features
from ganray.recipe.recipe import Recipe
from ganray.training.distributed import World, broadcast_module
from ganray.training.extras import Extras
from ganray.training.freeze import freeze_stages
from ganray.training.optimizers import build_optimizer
from ganray.training.sampling import ImageSampler
from ganray.tricks.ema import make_ema


@dataclass
class TrainState:
    """Networks, optimizers, the sampler's position and how far the trial has come."""

    recipe: Recipe
    world: World
    generator: nn.Module
    discriminator: nn.Module
    ema: AveragedModel | None
    extras: Extras
    """Whatever else has state: penalties' averages, auxiliary heads, ADA's probability, old fakes, latents."""
    parameters_g: list[nn.Parameter]
    parameters_d: list[nn.Parameter]
    """What D's optimizer trains: D without its frozen layers, and the heads of its auxiliary tasks."""
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    sampler: ImageSampler
    labels: Tensor | None = None
    """int64 [n_images], the class of each training image, where the recipe uses labels."""
    classes: tuple[str, ...] = ()
    step: int = 0
    images_shown: int = 0
    wall_s: float = 0.0
    """Seconds of training and evaluation up to the last `tick`, over all resumptions."""
    started_at_s: float = field(default_factory=time.time)
    """When training first began, in seconds since 1970; kept over resumptions."""
    last_metrics: dict[str, float] = field(default_factory=dict)
    lineage: tuple[str, ...] = ()
    """What was taken over from other members of a population, one JSON object each, the earliest first."""
    _ticked: float = field(default_factory=time.perf_counter)

    def tick(self) -> None:
        """Count the seconds since the last tick."""
        now = time.perf_counter()
        self.wall_s, self._ticked = self.wall_s + now - self._ticked, now

    @property
    def kimg(self) -> float:
        return self.images_shown / 1000

    @property
    def budget_images(self) -> int:
        return round(self.recipe.budget.kimg * 1000)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        return min(1.0, self.images_shown / self.budget_images)

    @property
    def is_done(self) -> bool:
        return self.images_shown >= self.budget_images

    @property
    def sampling_generator(self) -> nn.Module:
        """The network that samples are drawn from: the EMA where the recipe has one."""
        return self.ema.module if self.ema is not None else self.generator


def build_state(
    recipe: Recipe,
    n_images: int,
    world: World,
    *,
    labels: Tensor | None = None,
    classes: tuple[str, ...] = (),
    features: Features | None = None,
) -> TrainState:
    """Fresh networks and optimizers, the same on every worker; seeds every global RNG of this process.

    `features`: the embedded extractor's feature maps, for perceptual losses.
    """
    seed_everything(recipe.seed)
    resolution = recipe.data.resolution
    generator = build_generator(recipe.generator, resolution, len(classes))
    discriminator = build_discriminator(recipe.discriminator, resolution, len(classes), recipe.objective.conditioning)
    if freeze := recipe.trick("freeze_d"):
        freeze_stages(discriminator, freeze.layers)
    extras = Extras(recipe, generator, discriminator, n_images, world, features)
    layout = torch.channels_last if recipe.runtime.channels_last else torch.contiguous_format
    for network in (generator, discriminator):
        network.to(device=world.device, memory_format=layout)  # type: ignore[call-overload]
        broadcast_module(network, world)
    broadcast_module(extras.to(world.device), world)
    ema = recipe.trick("ema")
    parameters_g = list(generator.parameters())
    parameters_d = [p for p in (*discriminator.parameters(), *extras.parameters()) if p.requires_grad]
    state = TrainState(
        recipe=recipe,
        world=world,
        generator=generator,
        discriminator=discriminator,
        ema=make_ema(generator, ema.decay, ema.warmup) if ema else None,
        extras=extras,
        parameters_g=parameters_g,
        parameters_d=parameters_d,
        optimizer_g=build_optimizer(parameters_g, recipe.optimizers.generator),
        optimizer_d=build_optimizer(parameters_d, recipe.optimizers.discriminator),
        sampler=ImageSampler(n_images, recipe.budget.batch_size, recipe.seed),
        labels=labels,
        classes=classes,
    )
    # From here on the workers' global RNGs differ: they augment different images.
    seed_everything(recipe.seed, world.rank)
    return state


def seed_everything(seed: int, rank: int | None = None) -> None:
    """Seed torch on every device, given a rank as that worker's own. (Nothing here draws from `random` or numpy.)"""
    torch.manual_seed(seed if rank is None else seed + 1_000_003 * (rank + 1))


def count_parameters(network: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
