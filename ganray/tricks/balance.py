"""Whether D wins so easily that it may sit out a step (hack 11 of the GAN hacks, which warns against it)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganray.recipe import tricks as specs

MEMORY = 0.9
"""Of the moving average, per step: the last ten steps or so count."""


class Balance(nn.Module):
    """Moving average of D's accuracy, in a buffer; it starts at 1/2, where D tells nothing apart.

    D is judged in every step, also in those that it sits out, or it would never be let back in.
    """

    accuracy: Tensor

    def __init__(self, spec: specs.SkipDiscriminator) -> None:
        super().__init__()
        self.limit = spec.accuracy
        self.register_buffer("accuracy", torch.full((), 0.5))

    @torch.no_grad()
    def observe(
        self,
        logits_real: Tensor,
        logits_fake: Tensor,
        batch_mean: Callable[[Tensor], Tensor] = torch.mean,
        boundary: Tensor | float = 0.0,
    ) -> None:
        """Once per step of D, before `wins` is asked. Collective: every worker must call it.

        Logits of any shape; `boundary` is the logit at which D is undecided (`adaptive.decision_boundary`).
        """
        right_real = batch_mean((logits_real.detach().float() > boundary).float())
        right_fake = batch_mean((logits_fake.detach().float() < boundary).float())
        self.accuracy.lerp_((right_real + right_fake) / 2, 1 - MEMORY)

    @property
    def wins(self) -> bool:
        """Whether D should wait; the same on every worker. Reading it waits for the device."""
        return bool(self.accuracy > self.limit)
