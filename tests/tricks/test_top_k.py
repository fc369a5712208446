"""Top-k training of G: which fakes, how many, and that only they get a gradient."""

import pytest
import torch

from ganray.recipe import tricks as specs
from ganray.tricks.top_k import share_at, top_k_logits, top_k_rows

TOP_K = specs.TopK(name="top_k", share=0.4, until=0.5)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 1.0), (0.125, 0.85), (0.25, 0.7), (0.5, 0.4), (0.75, 0.4), (1.0, 0.4)]
)
def test_the_share_falls_in_a_straight_line(progress, expected):
    assert share_at(TOP_K, progress) == pytest.approx(expected)


def test_the_whole_batch_comes_back_as_it_is():
    heads = (torch.randn(5, requires_grad=True), torch.randn(5, 1, 2, 2))
    assert all(a is b for a, b in zip(top_k_logits(heads, 1.0), heads))


def test_the_best_by_their_mean_over_heads():
    """Means 2, 3, 1.5, 4 (each head counts alike, though the second has four logits)."""
    scalar = torch.tensor([4.0, 2.0, -1.0, 8.0])
    patches = torch.tensor([0.0, 4.0, 4.0, 0.0]).view(4, 1, 1, 1).expand(4, 1, 2, 2)
    assert top_k_rows((scalar, patches), 0.75).tolist() == [3, 1, 0]
    best_scalar, best_patches = top_k_logits((scalar, patches), 0.5)
    assert best_scalar.tolist() == [8.0, 2.0]
    assert best_patches.shape == (2, 1, 2, 2)
    assert best_patches[:, 0, 0, 0].tolist() == [0.0, 4.0]


@pytest.mark.parametrize(("n", "share", "k"), [(10, 0.3, 3), (10, 0.31, 4), (4, 0.01, 1), (1, 0.5, 1), (8, 0.5, 4)])
def test_how_many(n, share, k):
    assert len(top_k_rows((torch.randn(n),), share)) == k


def test_only_the_best_get_a_gradient():
    logits = torch.tensor([1.0, -2.0, 3.0, 0.0], requires_grad=True)
    (best,) = top_k_logits((logits,), 0.5)
    (-best.mean()).backward()
    assert logits.grad.tolist() == [-0.5, 0.0, -0.5, 0.0]
