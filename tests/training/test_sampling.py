"""What each step sees depends on the seed and the step alone, whatever the number of workers."""

import pytest
import torch

from ganray.training.distributed import World
from ganray.training.sampling import ImageSampler, latents, quarter


def test_each_epoch_is_another_permutation():
    sampler = ImageSampler(n_images=10, batch_size=4, seed=3)
    seen = torch.cat([sampler.next_batch() for _ in range(15)])  # 60 images: six epochs, batches across borders
    epochs = seen.reshape(6, 10)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(10).expand(6, 10))
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 6


def test_a_batch_may_be_larger_than_the_set():
    batch = ImageSampler(n_images=3, batch_size=8, seed=0).next_batch()
    assert batch.bincount().tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_the_position_is_the_whole_state():
    sampler = ImageSampler(n_images=10, batch_size=4, seed=3)
    for _ in range(7):
        sampler.next_batch()
    other = ImageSampler(n_images=10, batch_size=4, seed=3, position=sampler.position)
    assert torch.equal(sampler.next_batch(), other.next_batch())


def test_seeds_differ_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    a, b = (ImageSampler(n_images=100, batch_size=100, seed=seed).next_batch() for seed in (0, 1))
    assert not torch.equal(a, b)
    assert not torch.equal(latents(0, 0, 4, 8), latents(1, 0, 4, 8))
    assert not torch.equal(latents(0, 0, 4, 8), latents(0, 1, 4, 8))
    quarter(0, 0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [1, 2, 4])
def test_shares_partition_the_batch_in_rank_order(size):
    batch = torch.arange(8)
    shares = [batch[World(rank, size).share(8)] for rank in range(size)]
    assert torch.equal(torch.cat(shares), batch)
    assert {len(share) for share in shares} == {8 // size}


def test_a_batch_that_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="batch_size 8 cannot be split over 3 workers"):
        World(0, 3).share(8)


def test_latents_are_standard_normal():
    z = torch.cat([latents(5, step, 64, 32) for step in range(50)])  # 102,400 numbers
    assert abs(float(z.mean())) < 0.01  # three standard errors
    assert abs(float(z.std()) - 1) < 0.007


def test_every_quarter_comes_up():
    drawn = [quarter(0, step) for step in range(400)]
    counts = [drawn.count(index) for index in range(4)]
    assert sum(counts) == 400
    assert min(counts) > 70  # 100 expected, standard deviation 8.7
