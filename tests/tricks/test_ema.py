"""The generator's moving average: closed form, buffers, spectral norm, state."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganray.tricks.ema import make_ema, update_ema


def small_generator():
    return nn.Sequential(
        spectral_norm(nn.Linear(6, 8)), nn.BatchNorm1d(8), nn.ReLU(), nn.Sequential(spectral_norm(nn.Linear(8, 4)))
    )


def move(generator):
    """What a training step does: weights by the optimizer, buffers by a forward pass in train mode."""
    with torch.no_grad():
        for p in generator.parameters():
            p.add_(torch.randn_like(p))
    generator.train()(torch.randn(16, 6))


def set_all(generator, value):
    with torch.no_grad():
        for p in generator.parameters():
            p.fill_(value)
        for b in generator.buffers():
            b.fill_(value)


def test_closed_form():
    decay, generator = 0.9, nn.Linear(2, 2)
    ema = make_ema(generator, decay)
    states = [3.0, -1.0, 4.0, 1.0, -5.0]
    for state in states:
        set_all(generator, state)
        update_ema(ema, generator)
    # the first update copies, the others mix
    expected = decay**4 * states[0] + (1 - decay) * sum(decay ** (4 - i) * states[i] for i in range(1, 5))
    assert ema.n_averaged == 5
    for p in ema.module.parameters():
        torch.testing.assert_close(p, torch.full_like(p, expected))


def test_distance_to_a_constant_model_falls_by_the_decay():
    decay, generator = 0.8, nn.BatchNorm1d(3)
    ema = make_ema(generator, decay)
    set_all(generator, 2.0)
    update_ema(ema, generator)
    set_all(generator, 10.0)
    for _ in range(6):
        update_ema(ema, generator)
    for name in ("weight", "bias", "running_mean", "running_var"):  # buffers are averaged like parameters
        value = getattr(ema.module, name)
        torch.testing.assert_close(value, torch.full_like(value, 10 - 8 * decay**6))
    assert ema.module.num_batches_tracked == 10  # a counter is copied


def test_average_of_a_model_that_stands_still_is_the_model():
    generator = small_generator()
    move(generator)
    ema = make_ema(generator, 0.5)
    for _ in range(80):  # forward passes in eval mode change nothing
        update_ema(ema, generator)
    for (name, averaged), current in zip(ema.module.state_dict().items(), generator.state_dict().values()):
        torch.testing.assert_close(averaged, current, msg=name)
    z = torch.randn(5, 6)
    torch.testing.assert_close(ema(z), generator.eval()(z))


def test_spectral_norm_vectors_and_counters_are_copied():
    torch.manual_seed(0)
    generator = small_generator()
    ema = make_ema(generator, 0.9)
    for _ in range(10):
        move(generator)
        update_ema(ema, generator)
    averaged, current = dict(ema.module.named_buffers()), dict(generator.named_buffers())
    vectors = [name for name in current if name.endswith(("._u", "._v"))]
    assert len(vectors) == 4
    for name in vectors:
        assert torch.equal(averaged[name], current[name])
        assert averaged[name].norm().item() == pytest.approx(1.0, rel=1e-5)
    assert averaged["1.num_batches_tracked"] == current["1.num_batches_tracked"] == 10
    assert not torch.equal(averaged["1.running_mean"], current["1.running_mean"])


def test_samples_follow_the_generator_slowly():
    torch.manual_seed(0)
    generator = small_generator()
    ema = make_ema(generator, 0.9)
    update_ema(ema, generator)
    z = torch.randn(5, 6)
    before = ema(z)
    move(generator)
    update_ema(ema, generator)
    after = ema(z)
    assert not torch.allclose(before, after)
    assert not torch.allclose(after, generator.eval()(z))


def test_the_average_is_frozen_and_apart_from_the_generator():
    generator = small_generator()
    ema = make_ema(generator, 0.9)
    assert not ema.training
    assert not ema.module.training
    assert not any(p.requires_grad for p in ema.parameters())
    assert all(p.requires_grad for p in generator.parameters())
    own = {p.data_ptr() for p in ema.module.parameters()}
    assert not own & {p.data_ptr() for p in generator.parameters()}


def test_state_round_trips_and_goes_on_the_same():
    torch.manual_seed(0)
    generator = small_generator()
    ema = make_ema(generator, 0.9)
    for _ in range(3):
        move(generator)
        update_ema(ema, generator)
    resumed = make_ema(small_generator(), 0.9)
    resumed.load_state_dict(ema.state_dict())
    assert resumed.n_averaged == 3
    move(generator)
    for average in (ema, resumed):
        update_ema(average, generator)
    assert resumed.state_dict().keys() == ema.state_dict().keys()
    for name, value in ema.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_warm_up_by_hand():
    """Decays 2/11, 3/12, 4/13 (after the first update, which copies), then the limit of 0.3."""
    generator = nn.Linear(2, 2)
    ema = make_ema(generator, 0.3, warmup=True)
    states = [3.0, -1.0, 4.0, 1.0, -5.0]
    expected = states[0]
    for t, state in enumerate(states):
        set_all(generator, state)
        update_ema(ema, generator)
        if t:
            decay = min(0.3, {1: 2 / 11, 2: 3 / 12, 3: 4 / 13, 4: 5 / 14}[t])
            expected = decay * expected + (1 - decay) * state
        for p in ema.module.parameters():
            torch.testing.assert_close(p, torch.full_like(p, expected))


def test_warm_up_reaches_the_decay():
    """(1 + t) / (10 + t) = 0.9 at t = 80: from then on both averages shrink a distance alike."""
    generator = nn.Linear(2, 2)
    ema = make_ema(generator, 0.9, warmup=True)
    ema.n_averaged.fill_(80)
    set_all(ema.module, 10.0)
    set_all(generator, 0.0)
    for n in range(1, 4):
        update_ema(ema, generator)
        for p in ema.module.parameters():
            torch.testing.assert_close(p, torch.full_like(p, 10 * 0.9**n))


def test_warm_up_treats_buffers_as_ever():
    torch.manual_seed(0)
    generator = small_generator()
    ema = make_ema(generator, 0.9, warmup=True)
    for _ in range(10):
        move(generator)
        update_ema(ema, generator)
    averaged, current = dict(ema.module.named_buffers()), dict(generator.named_buffers())
    for name in current:
        if name.endswith(("._u", "._v", "num_batches_tracked")):
            assert torch.equal(averaged[name], current[name])
    assert not torch.equal(averaged["1.running_mean"], current["1.running_mean"])


@pytest.mark.parametrize("warmup", [False, True])
def test_a_restored_average_goes_on_exactly(warmup):
    torch.manual_seed(0)
    generator = small_generator()
    ema, again = (make_ema(generator, 0.9, warmup) for _ in range(2))
    for _ in range(3):
        move(generator)
        update_ema(ema, generator)
    again.load_state_dict({name: value.clone() for name, value in ema.state_dict().items()})
    for _ in range(3):
        move(generator)
        update_ema(ema, generator)
        update_ema(again, generator)
    for name, value in ema.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert ema.state_dict().keys() == make_ema(generator, 0.9).state_dict().keys()


def test_without_warm_up_it_is_torchs_average_bit_for_bit():
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    torch.manual_seed(0)
    generator = small_generator()
    ema, torchs = make_ema(generator, 0.97), AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.97))
    for _ in range(5):
        move(generator)
        update_ema(ema, generator)
        torchs.update_parameters(generator)
    for a, b in zip(ema.module.parameters(), torchs.module.parameters()):
        assert torch.equal(a, b)
