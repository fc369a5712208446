"""The auxiliary classifier's loss (AC-GAN, arXiv 1610.09585, section 3)."""

import torch.nn.functional as F
from torch import Tensor


def classification_loss(classes: Tensor, labels: Tensor) -> Tensor:
    """Mean of -log P(class = label): one side of -L_C (arXiv 1610.09585, section 3), a scalar in full precision.

    `classes` [N, n_classes] are D's logits of the class, `labels` int64 [N]. As in the paper, D minimises the sum
    of this over reals and over fakes, and G minimises it over fakes.
    """
    return F.cross_entropy(classes.float(), labels)
