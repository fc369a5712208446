"""Whatever else than the networks has state, in one module: saved and restored with the checkpoint."""

from typing import cast

from torch import nn

from ganray.models.conditional import feature_channels
from ganray.models.generators.fastgan import small_side
from ganray.objectives.generator_losses import GeneratorLoss, build_generator_losses
from ganray.objectives.penalties import Penalty, build_penalties
from ganray.objectives.reconstruction import Features
from ganray.objectives.self_supervision import SelfSupervision, build_self_supervision
from ganray.objectives.weight_penalties import WeightPenalty, build_weight_penalties
from ganray.recipe.recipe import Recipe
from ganray.training.distributed import World
from ganray.tricks.ada import Ada
from ganray.tricks.apa import Apa
from ganray.tricks.balance import Balance
from ganray.tricks.pretrain import ImageLatents
from ganray.tricks.replay import Replay


class Extras(nn.Module):
    """Losses and tricks by their place in the step; None where the recipe has no such trick.

    All state lies in buffers and parameters. Only the auxiliary heads have parameters, which D's optimizer trains.
    """

    def __init__(
        self,
        recipe: Recipe,
        generator: nn.Module,
        discriminator: nn.Module,
        n_images: int,
        world: World,
        features: Features | None,
    ) -> None:
        """`features`: the embedded extractor's feature maps, for perceptual losses."""
        super().__init__()
        objective, resolution = recipe.objective, recipe.data.resolution
        channels = feature_channels(discriminator, resolution) if objective.self_supervision else 0
        self._penalties = build_penalties(objective.penalties)
        self._generator_losses = build_generator_losses(objective.generator_losses, features)
        self._self_supervision = build_self_supervision(objective.self_supervision, channels)
        self._weights_g = build_weight_penalties(objective.weight_penalties, generator, "generator")
        self._weights_d = build_weight_penalties(objective.weight_penalties, discriminator, "discriminator")
        ada, apa, skip = (recipe.trick(name) for name in ("ada", "apa", "skip_discriminator"))
        self.ada = Ada(ada) if ada else None
        self.apa = Apa(apa) if apa else None
        self.balance = Balance(skip) if skip else None
        small = small_side(resolution) if recipe.generator.name == "fastgan" else None
        replay = recipe.trick("replay")
        self.replay = Replay(replay, world.size, resolution, small) if replay else None
        spec = recipe.generator
        self.latents = ImageLatents(n_images, spec.latent_dim, spec.latent) if recipe.trick("pretrain") else None

    @property
    def penalties(self) -> list[Penalty]:
        """Added to D's loss."""
        return cast(list[Penalty], list(self._penalties.values()))

    @property
    def generator_losses(self) -> list[GeneratorLoss]:
        """Added to G's loss."""
        return cast(list[GeneratorLoss], list(self._generator_losses.values()))

    @property
    def self_supervision(self) -> list[SelfSupervision]:
        """Further tasks of D."""
        return cast(list[SelfSupervision], list(self._self_supervision.values()))

    @property
    def weights_g(self) -> list[WeightPenalty]:
        """On G's weights."""
        return cast(list[WeightPenalty], list(self._weights_g.values()))

    @property
    def weights_d(self) -> list[WeightPenalty]:
        """On D's weights."""
        return cast(list[WeightPenalty], list(self._weights_d.values()))
