"""FreezeD: the first layers of a pre-trained discriminator stay as they are."""

from typing import Protocol, cast

from torch import nn

from ganray.errors import RecipeError


class HasStages(Protocol):
    """What every discriminator offers besides its forward."""

    def stages_from_image(self) -> list[nn.Module]:
        """Its stages in the order in which the image passes."""
        ...


def freeze_stages(discriminator: nn.Module, layers: int) -> None:
    """FreezeD (arXiv 2002.10964): the parameters of D's first stages take no gradient any more.

    Call it before the optimizers are built. They stay frozen where G's step, which switches all of D's gradients
    off, switches back on only what was on before (`training.updates.frozen`); where missing gradients are filled
    with zeros only for parameters that take one (`average_gradients`: weight decay moves whatever has a gradient,
    be it zero); and where weight penalties act on trained parameters alone. As in the authors' code, statistics of
    batch norm go on moving. Raises RecipeError where D has fewer stages, or nothing would be left to train.
    """
    stages = cast(HasStages, discriminator).stages_from_image()
    if layers > len(stages):
        raise RecipeError(f"freeze_d.layers is {layers}, but this discriminator has {len(stages)} stages; lower it")
    for stage in stages[:layers]:
        stage.requires_grad_(False)
    if not any(p.requires_grad for p in discriminator.parameters()):
        raise RecipeError(f"freeze_d.layers of {layers} leaves nothing of this discriminator to train; lower it")
