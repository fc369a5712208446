"""G learns from the best fakes alone (arXiv 2002.06224)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ganray.recipe import tricks as specs


def share_at(spec: specs.TopK, progress: float) -> float:
    """The share of the batch that G learns from: 1 at first, in a straight line to `spec.share` at `spec.until`.

    `progress`: the share of the budget that is spent, in [0, 1]. (The paper multiplies by 0.99 each epoch; in a
    few-shot set an epoch is a handful of steps.)
    """
    return 1 - (1 - spec.share) * min(progress / spec.until, 1.0)


def top_k_rows(heads: Sequence[Tensor], share: float) -> Tensor:
    """Which images D finds most real, int64 [k], best first: by their mean logit, each head counting alike.

    At least one. Each worker picks from its own part of the batch, so that all go on with equally many.
    """
    score = torch.stack([head.detach().float().reshape(len(head), -1).mean(dim=1) for head in heads]).mean(dim=0)
    k = max(1, math.ceil(share * len(score) - 1e-6))  # 0.3 * 10 is a little more than 3
    return score.topk(k).indices


def top_k_logits(heads: Sequence[Tensor], share: float) -> tuple[Tensor, ...]:
    """The heads' logits of the best `share` of the fakes, [k, ...] each; at share 1 the heads as they are."""
    if share >= 1:
        return tuple(heads)
    rows = top_k_rows(heads, share)
    return tuple(head[rows] for head in heads)
