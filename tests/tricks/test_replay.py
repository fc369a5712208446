"""Experience replay: nothing while empty, old fakes later, of every worker its part, resuming."""

import pytest
import torch

from ganray.recipe import tricks as specs
from ganray.tricks.replay import Replay


def replay(capacity=8, share=0.5, n_workers=1, side=4, small=None):
    return Replay(specs.Replay(name="replay", capacity=capacity, share=share), n_workers, side, small)


def numbered(numbers, side=4):
    """Images of one value each, on the grid of 8 bits: number n is n/127.5 - 1."""
    return (torch.tensor(numbers, dtype=torch.float32) / 127.5 - 1).view(-1, 1, 1, 1).expand(-1, 3, side, side)


def numbers_of(x):
    assert (x == x[:, :1, :1, :1]).all()
    return ((x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def test_the_first_batch_comes_back_as_it_is():
    memory, x, small = replay(small=2), torch.randn(4, 3, 4, 4), torch.randn(4, 3, 2, 2)
    full, quarter = memory.mix(x, small)
    assert torch.equal(full, x)
    assert torch.equal(quarter, small)
    assert memory.held == 4


def test_the_share_of_old_fakes():
    torch.manual_seed(0)
    memory, old = replay(capacity=64, share=0.3), 0
    memory.mix(numbered([0] * 64), None)
    for _ in range(200):
        memory.full.zero_()
        mixed, small = memory.mix(numbered([200] * 20), None)
        assert small is None
        old += numbers_of(mixed).count(0)
    assert old / 4000 == pytest.approx(0.3, abs=4 * 0.0072)


def test_old_fakes_are_drawn_from_what_is_held_alone():
    torch.manual_seed(0)
    memory = replay(capacity=200, share=0.9)
    memory.mix(numbered([10, 20, 30]), None)
    shown, _ = memory.mix(numbered([40] * 50), None)
    assert set(numbers_of(shown)) == {10, 20, 30, 40}  # the 197 empty places are never shown


def test_full_and_small_are_of_the_same_fake():
    torch.manual_seed(0)
    memory = replay(capacity=6, side=8, small=2)
    for start in range(0, 240, 4):
        batch = list(range(start, start + 4))
        full, small = memory.mix(numbered(batch, 8), numbered(batch, 2))
        assert numbers_of(full) == numbers_of(small)
    assert numbers_of(memory.full / 127.5 - 1) == numbers_of(memory.small / 127.5 - 1)


def test_while_there_is_room_all_are_kept():
    memory = replay(capacity=7, share=0.9)
    for start in (0, 3):
        memory.mix(numbered([start, start + 1, start + 2]), None)
    assert memory.full[:6, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    memory.mix(numbered([6, 7, 8]), None)  # the last place, then the first ones
    assert memory.held == 7
    assert sorted(memory.full[:, 0, 0, 0].tolist()) == [2, 3, 4, 5, 6, 7, 8]


def test_once_full_the_fakes_shown_now_overwrite_places_at_random():
    torch.manual_seed(0)
    memory = replay(capacity=16, share=0.5)
    memory.mix(numbered([0] * 16), None)
    shown, _ = memory.mix(numbered([100, 101, 102, 103, 104, 105, 106, 107]), None)
    new = [n for n in numbers_of(shown) if n]
    assert 0 < len(new) < 8
    held = memory.full[:, 0, 0, 0].tolist()
    assert sorted(n for n in held if n) == sorted(new)  # those that D has not been shown are not kept
    # memory fades: after many batches nothing of the beginning is left, and the recent outnumber the old
    for start in range(0, 200, 2):
        memory.mix(numbered([start % 256] * 8), None)
    assert 0 not in memory.full[:, 0, 0, 0].tolist() or memory.full[:, 0, 0, 0].float().mean() > 150


def test_a_batch_larger_than_the_memory():
    torch.manual_seed(0)
    memory = replay(capacity=2)
    for _ in range(4):
        memory.mix(numbered([1, 2, 3, 4, 5]), None)
        assert memory.held == 2
        assert set(memory.full[:, 0, 0, 0].tolist()) <= {1, 2, 3, 4, 5}


def test_eight_bits_and_what_is_outside_is_cut():
    torch.manual_seed(0)
    memory = replay(share=0.99)
    x = torch.tensor([-3.0, 0.1234, 3.0, -1.0]).view(4, 1, 1, 1).expand(4, 3, 4, 4)
    memory.mix(x, None)
    shown = memory.mix(x, None)[0][:, 0, 0, 0]
    allowed = torch.cat([torch.tensor([-1.0, 0.1234, 1.0]), x[:, 0, 0, 0]])
    assert ((shown[:, None] - allowed).abs().min(dim=1).values <= 1 / 255 + 1e-6).all()
    assert memory.full.dtype == torch.uint8


def test_workers_share_the_capacity():
    assert len(replay(capacity=256, n_workers=4).full) == 64
    assert len(replay(capacity=2, n_workers=4).full) == 1


def test_the_fakes_are_cut_off_from_g():
    memory, x = replay(), torch.randn(4, 3, 4, 4, requires_grad=True)
    for _ in range(2):
        mixed, _ = memory.mix(x, None)
        assert not mixed.requires_grad


@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize("images", [3, 6])
def test_another_number_of_workers_goes_on_with_what_there_is_room_for(n_workers, images):
    torch.manual_seed(0)
    saved, memory = (replay(capacity=8, n_workers=n, small=2) for n in (3 - n_workers, n_workers))
    saved.mix(numbered(range(1, images + 1)), numbered(range(1, images + 1), 2))
    memory.load_state_dict(saved.state_dict())
    held = min(images, 4)  # the places of the one of two workers, on either side
    assert memory.held == held
    assert memory.full[:held, 0, 0, 0].tolist() == memory.small[:held, 0, 0, 0].tolist() == [1, 2, 3, 4][:held]
    memory.mix(numbered([9, 9]), numbered([9, 9], 2))
    assert 9 in memory.full[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("steps", [1, 5])
def test_resuming_goes_on_exactly(steps):
    def batches(n):
        return [(torch.rand(4, 3, 4, 4), torch.rand(4, 3, 2, 2)) for _ in range(n)]

    torch.manual_seed(0)
    data = batches(steps + 3)
    straight, second = replay(capacity=10, small=2), replay(capacity=10, small=2)
    for x in data[:steps]:
        straight.mix(*x)
    second.load_state_dict({name: value.clone() for name, value in straight.state_dict().items()})
    rng = torch.get_rng_state()
    expected = [straight.mix(*x) for x in data[steps:]]
    torch.set_rng_state(rng)
    for (full, small), x in zip(expected, data[steps:]):
        again_full, again_small = second.mix(*x)
        assert torch.equal(full, again_full)
        assert torch.equal(small, again_small)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
