"""Every discriminator with every loss: finite, the right sign, a gradient for every trainable parameter."""

import pytest
import torch

from ganray.models.registry import DISCRIMINATORS
from ganray.objectives.adversarial import ADVERSARIAL
from ganray.training.inputs import next_batch
from ganray.training.step import discriminator_step, generator_step
from tests.conformance.games import allowed, begin, content, pictures

FURTHER = {"wasserstein": {"weight_penalties": [{"name": "weight_clipping", "limit": 0.5}]}}  # no loss without
ADAM = {"lr": 2e-3}
STEPS = 5
EVALUATION = {"protocols": ["fid_768_1k_train"]}  # the projected discriminator is not judged by its own features


def tree(discriminator, loss):
    further = FURTHER.get(loss, {})
    if loss == "wasserstein" and discriminator in ("fastgan", "projected"):
        further = {}  # spectral norm constrains them already
    objective = {"loss": {"name": loss}, **further}
    return content(discriminator, objective=objective, optimizers={"discriminator": ADAM}, evaluation=EVALUATION)


PAIRS = [(d, loss) for d in DISCRIMINATORS for loss in ADVERSARIAL]
ALLOWED = [pair for pair in PAIRS if allowed(tree(*pair))]
REFUSED = [pair for pair in PAIRS if pair not in ALLOWED]


def test_what_is_refused_is_known():
    # An energy is never below zero, so its logits cannot be what a probability or a margin around zero asks for.
    one_sided = {("autoencoder", loss) for loss in ("minimax", "non_saturating", "hinge", "lsgan")}
    without_energy = {(d, "ebgan") for d in DISCRIMINATORS if d != "autoencoder"}
    assert set(REFUSED) == one_sided | without_energy


def gap(state, game, batch, x_fake):
    """How much more real D finds the reals than the fakes."""
    with torch.no_grad():
        real = game.judge(type(x_fake)(batch.x_real, None)).logits.mean()
        return float(real - game.judge(x_fake).logits.mean())


@pytest.mark.parametrize(("discriminator", "loss"), ALLOWED, ids=lambda value: str(value))
def test_steps_are_finite_and_have_the_right_sign(discriminator, loss):
    state, game = begin(allowed(tree(discriminator, loss)))
    batch = next_batch(state, pictures(state.recipe.data.resolution))
    x_fake = game.generate(batch.z)
    before = gap(state, game, batch, x_fake)
    stats = discriminator_step(state, game, batch, x_fake)
    assert all(torch.isfinite(value) for value in stats.values())
    without = [p for p in state.parameters_d if not torch.count_nonzero(p.grad)]
    # The last bias alone may have none: reals pull it up as much as fakes push it down.
    assert sum(p.numel() for p in without) <= max(2, len(state.discriminator(x_fake).heads))
    for _ in range(STEPS):  # one is too few: LSGAN at first pulls reals and fakes up together
        discriminator_step(state, game, batch, x_fake)
    assert gap(state, game, batch, x_fake) > before

    stats = generator_step(state, game, batch, x_fake)
    assert all(torch.isfinite(value) for value in stats.values())
    assert all(torch.count_nonzero(p.grad) for p in state.generator.parameters())
    assert all(p.requires_grad for p in state.parameters_d)
