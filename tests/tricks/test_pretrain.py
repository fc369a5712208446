"""Latents per image (GLO): on the sphere, the step by hand, the same on any number of workers."""

import math
import threading
from typing import get_args

import pytest
import torch

from ganray.models.latents import shape_latents
from ganray.recipe.generators import Latent
from ganray.tricks.pretrain import ImageLatents, on_sphere


def lengths(z):
    return torch.linalg.vector_norm(z, dim=1)


def test_they_begin_on_the_sphere_and_differ():
    torch.manual_seed(0)
    table = ImageLatents(500, 64)
    torch.testing.assert_close(lengths(table.latents), torch.full((500,), 8.0))
    assert table.latents.mean().item() == pytest.approx(0.0, abs=0.03)
    assert table.latents.std().item() == pytest.approx(1.0, abs=0.03)
    torch.manual_seed(0)
    assert torch.equal(table.latents, ImageLatents(500, 64).latents)


@pytest.mark.parametrize("kind", get_args(Latent))
def test_they_are_as_long_as_the_latents_of_the_game(kind):
    torch.manual_seed(0)
    table, drawn = ImageLatents(50, 64, kind), shape_latents(torch.randn(50, 64), kind)
    assert table.latents.square().mean().item() == pytest.approx(drawn.square().mean().item(), rel=0.05)
    length = lengths(table.latents[:1]).item()
    table.step(torch.tensor([3]), torch.randn(1, 64), lr=0.1)
    torch.testing.assert_close(lengths(table.latents), torch.full((50,), length))


def test_the_rate_is_in_units_of_the_unit_sphere_for_any_kind():
    torch.manual_seed(0)
    tables, direction = [ImageLatents(1, 8, kind) for kind in get_args(Latent)], torch.randn(1, 8)
    for table in tables:
        table.latents.copy_(on_sphere(torch.ones(1, 8), table.mean_square))
        # dL/dz of a loss that depends on the direction alone is the larger the shorter z is
        table.step(torch.tensor([0]), direction / table.mean_square**0.5, lr=0.05)
    units = [on_sphere(table.latents) for table in tables]
    torch.testing.assert_close(units[1:], units[:1] * 2)


def test_rows_are_leaves_and_the_table_is_not_touched_by_reading():
    table = ImageLatents(5, 4)
    rows = table.rows(torch.tensor([3, 1]))
    assert rows.requires_grad
    assert rows.is_leaf
    assert torch.equal(rows.detach(), table.latents[[3, 1]])
    rows.sum().backward()
    assert rows.grad is not None
    with torch.no_grad():
        rows.zero_()
    assert (table.latents[3] != 0).any()
    assert not list(table.parameters())


def test_one_step_by_hand():
    """Two latents of 4 at (2, 0, 0, 0). u = (1, 0, 0, 0); per image dL/du = 2 * 2 * grad = (0, 4, 0, 0) for the first
    and 0 for the second; with rate 0.25, u = (1, -1, 0, 0) / sqrt(2), and the latent is twice that."""
    table = ImageLatents(3, 4)
    table.latents.copy_(torch.tensor([2.0, 0, 0, 0]).expand(3, 4))
    grad = torch.tensor([[0.0, 1.0, 0, 0], [0, 0, 0, 0]])
    table.step(torch.tensor([0, 2]), grad, lr=0.25)
    torch.testing.assert_close(table.latents[0], torch.tensor([math.sqrt(2), -math.sqrt(2), 0, 0]))
    torch.testing.assert_close(table.latents[1:], torch.tensor([2.0, 0, 0, 0]).expand(2, 4))


def test_it_goes_downhill():
    """The mean over images of the squared distance to a target on the sphere, whatever the batch size."""
    torch.manual_seed(0)
    targets, table = on_sphere(torch.randn(6, 8)), ImageLatents(6, 8)
    for _ in range(60):
        indices = torch.randperm(6)[:3]
        rows = table.rows(indices)
        (rows - targets[indices]).square().sum(dim=1).mean().backward()
        table.step(indices, rows.grad, lr=0.05)
    torch.testing.assert_close(table.latents, targets, atol=1e-2, rtol=0)


@pytest.mark.parametrize("copies", [2, 3])
def test_the_step_of_an_image_does_not_depend_on_the_batch(copies):
    torch.manual_seed(0)
    alone, company = ImageLatents(6, 8), ImageLatents(6, 8)
    company.load_state_dict(alone.state_dict())
    gradient = torch.randn(6, 8)  # of each image's own loss
    alone.step(torch.tensor([2]), gradient[2:3], 0.1)
    indices = torch.tensor([2, 0, 5])[:copies]
    company.step(indices, gradient[indices] / copies, 0.1)
    torch.testing.assert_close(alone.latents[2], company.latents[2])


def test_an_image_that_occurs_twice_takes_both_steps():
    torch.manual_seed(0)
    table = ImageLatents(3, 8)
    start, grad = table.latents.clone(), torch.randn(2, 8)
    table.step(torch.tensor([1, 1]), grad, lr=0.01)
    expected = on_sphere(start[1:2] - 0.01 * 2 * 8 * grad.sum(dim=0, keepdim=True))
    torch.testing.assert_close(table.latents[1:2], expected)
    assert torch.equal(table.latents[[0, 2]], start[[0, 2]])


class Worker:
    """One of several threads that exchange values, as processes do."""

    def __init__(self, rank, board, barrier):
        self.rank, self.board, self.barrier, self.size = rank, board, barrier, len(board)

    def gather(self, value):
        self.board[self.rank] = value
        self.barrier.wait(timeout=10)
        values = list(self.board)
        self.barrier.wait(timeout=10)
        return values


def test_two_workers_do_what_one_does_and_stay_the_same():
    torch.manual_seed(0)
    alone, first, second = (ImageLatents(9, 8) for _ in range(3))
    first.load_state_dict(alone.state_dict())
    second.load_state_dict(alone.state_dict())
    board, barrier = [None, None], threading.Barrier(2)
    for _ in range(3):
        indices, gradient = torch.randperm(9)[:4], torch.randn(4, 8)
        alone.step(indices, gradient / 4, 0.1)

        def work(rank, table, indices=indices, gradient=gradient):
            mine = slice(2 * rank, 2 * rank + 2)
            table.step(indices[mine], gradient[mine] / 2, 0.1, Worker(rank, board, barrier))

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate((first, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert torch.equal(first.latents, second.latents)
    torch.testing.assert_close(alone.latents, first.latents)


def test_resuming_goes_on_exactly():
    torch.manual_seed(0)
    table, again = ImageLatents(4, 8), ImageLatents(4, 8)
    table.step(torch.tensor([1]), torch.randn(1, 8), 0.1)
    again.load_state_dict(table.state_dict())
    gradient = torch.randn(2, 8)
    for each in (table, again):
        each.step(torch.tensor([1, 3]), gradient, 0.1)
    assert torch.equal(table.latents, again.latents)
