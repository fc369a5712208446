"""Skipping D: the moving average by hand, hysteresis-free, resuming."""

import pytest
import torch

from ganray.recipe import tricks as specs
from ganray.tricks.balance import Balance


def balance(accuracy=0.9):
    return Balance(specs.SkipDiscriminator(name="skip_discriminator", accuracy=accuracy))


def test_a_fresh_one_lets_d_learn():
    assert not balance(0.51).wins


def test_the_moving_average_by_hand():
    """Three of four reals and one of two fakes right: 5/8; 0.5 moves a tenth of the way to it, twice."""
    trick = balance()
    real, fake = torch.tensor([1.0, 2.0, 3.0, -1.0]), torch.tensor([-1.0, 1.0])
    trick.observe(real, fake)
    assert trick.accuracy.item() == pytest.approx(0.5125)
    trick.observe(real, fake)
    assert trick.accuracy.item() == pytest.approx(0.52375)


def test_d_waits_after_winning_long_enough_and_comes_back():
    """0.5 + 0.5 (1 - 0.9^n) passes 0.9 at n = 16: 0.9^16 = 0.185."""
    trick, won = balance(), []
    for _ in range(18):
        trick.observe(torch.ones(3, 1, 2, 2), -torch.ones(3, 5))
        won.append(trick.wins)
    assert won == [False] * 15 + [True] * 3
    trick.observe(-torch.ones(3), torch.ones(3))
    assert not trick.wins


def test_logits_at_the_boundary_are_not_right():
    trick = balance()
    trick.observe(torch.full((4,), 0.5), torch.full((4,), 0.5), boundary=0.5)
    assert trick.accuracy.item() == pytest.approx(0.45)


def test_all_workers_count():
    trick = balance()
    trick.observe(torch.ones(2), -torch.ones(2), batch_mean=lambda x: x.mean() / 2)  # the other errs always
    assert trick.accuracy.item() == pytest.approx(0.5)


def test_resuming_goes_on_exactly():
    torch.manual_seed(0)
    pairs = [(torch.randn(4) + 1, torch.randn(4) - 1) for _ in range(20)]
    straight, second = balance(), balance()
    for pair in pairs[:9]:
        straight.observe(*pair)
    second.load_state_dict({name: value.clone() for name, value in straight.state_dict().items()})
    for pair in pairs[9:]:
        straight.observe(*pair)
        second.observe(*pair)
        assert torch.equal(straight.accuracy, second.accuracy)
        assert straight.wins == second.wins
