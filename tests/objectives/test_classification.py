"""The auxiliary classifier's loss by hand."""

import math

import pytest
import torch

from ganray.objectives.classification import classification_loss


def test_by_hand():
    # P(0) = 3/4 of the first, P(1) = 1/4 of the second: softmax of (log 3, 0) twice.
    classes = torch.tensor([[math.log(3), 0.0]]).repeat(2, 1)
    value = classification_loss(classes, torch.tensor([0, 1]))
    assert value.item() == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4)) / 2)


def test_full_precision():
    assert classification_loss(torch.zeros(2, 3).bfloat16(), torch.tensor([0, 2])).dtype == torch.float32
