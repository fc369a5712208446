"""Each sign fires on a history that has it, and not on its healthy neighbour."""

import json
import math

import pytest
import torch

from ganray.objectives.adversarial import build_adversarial
from ganray.recipe.objective import Objective
from ganray.recipe.recipe import Recipe
from ganray.recipe.settings import Prunable
from ganray.training.health import REMEDIES, SIGNS, Diagnosis, History, Unhealthy, check_finite, examine, follow
from ganray.training.health.history import begun_kimg, settled_kimg
from ganray.training.health.signs import SUSTAINED, UNDECIDED_LOSS_D

HEALTHY = {
    "loss_d": 1.1, "loss_g": 0.9, "logits_real": 0.6, "logits_fake": -0.4, "grad_norm_d": 4.0, "grad_norm_g": 1.5,
}  # fmt: skip
SCORED = {"protocol": "p", "frechet": 300.0, "diversity": 0.6, "overfit": 0.1, "sure_of_reals": 0.7}


def history(readings=(), evaluations=(), loss="non_saturating", n=20, begun=0.0, settled=0.0):
    """n healthy readings at 0.1, 0.2, ... kimg, the last of them changed; and evaluations at 1, 2, ... kimg."""
    changed = [{}] * (n - len(readings)) + list(readings)
    return History(
        loss=loss,
        begun_kimg=begun,
        settled_kimg=settled,
        readings=tuple({**HEALTHY, **c, "kimg": (i + 1) / 10} for i, c in enumerate(changed)),
        evaluations=tuple({**SCORED, **e, "kimg": float(i + 1)} for i, e in enumerate(evaluations)),
    )


def found(*args, **kwargs):
    return {d.name: d.evidence for d in examine(history(*args, **kwargs))}


def repeated(n=SUSTAINED, **changes):
    return [changes] * n


def test_a_healthy_training_has_no_diagnosis():
    assert found(evaluations=[{}, {"frechet": 280.0}, {"frechet": 250.0}, {"frechet": 240.0}]) == {}
    assert found(n=0) == {}


@pytest.mark.parametrize(
    ("name", "sick", "healthy"),
    [
        ("gradient-explosion", {"grad_norm_g": 140.0}, {"grad_norm_g": 60.0}),
        ("gradient-explosion", {"grad_norm_d": 140.0}, {"grad_norm_d": 60.0}),
        ("gradient-vanishing", {"grad_norm_g": 1e-4}, {"grad_norm_g": 0.02}),
        ("logits-saturated", {"logits_fake": -35.0}, {"logits_fake": -8.0}),
        ("discriminator-won", {"loss_d": 0.12}, {"loss_d": 0.18}),
        ("discriminator-weak", {"loss_d": 1.385}, {"loss_d": 1.3}),
    ],
)
def test_what_lasts_is_named_and_what_passes_is_not(name, sick, healthy):
    assert list(found(repeated(**sick))) == [name]
    assert found(repeated(**healthy)) == {}
    few = 2 if name == "gradient-explosion" else SUSTAINED - 1
    assert found([*repeated(few, **sick), {}]) == {}, "healthy readings among them"
    assert found(repeated(SUSTAINED - 1, **sick), n=SUSTAINED - 1) == {}, "too early to say"


def test_an_explosion_may_pause():
    """Under the hinge, D's gradient is 0 while all logits are beyond the margins, and huge again when they are not."""
    assert "gradient-explosion" in found([{"grad_norm_d": norm} for norm in (0.0, 5e4, 0.0, 9e4, 2e5)])


def test_the_evidence_has_the_numbers():
    assert "gradient norm is 140" in found(repeated(grad_norm_g=140.0))["gradient-explosion"]
    evidence = found(repeated(loss_d=0.03, logits_real=6.0, logits_fake=-6.5))["discriminator-won"]
    assert "0.03" in evidence
    assert "12.5 apart" in evidence


def test_a_critic_has_logits_and_gradients_of_its_own_scale():
    critic = repeated(loss_d=-30.0, logits_real=140.0, logits_fake=110.0, grad_norm_d=150.0)
    assert found(critic, loss="wasserstein") == {}
    assert "logits-saturated" in found(critic, loss="hinge")
    assert "gradient-explosion" in found(repeated(grad_norm_d=2e4), loss="wasserstein")


def test_names_that_are_missing_from_a_reading_are_passed_over():
    """Two steps of D to one of G, a reading per step: every other reading knows nothing of G."""
    only_d = {"loss_g": None, "grad_norm_g": None, "grad_norm_d": 200.0}
    both = {"grad_norm_g": 200.0, "grad_norm_d": 200.0}
    assert "G's gradient norm" in found([only_d, both] * SUSTAINED)["gradient-explosion"]
    bare = History("hinge", 0.0, 0.0, tuple({"kimg": k / 10, "images_per_s": 9.0} for k in range(20)), ())
    assert examine(bare) == []
    blind = repeated(loss_d=0.03, logits_real=None, logits_fake=None)
    assert found(blind, n=SUSTAINED)["discriminator-won"].endswith("(1.39 is undecided)")


def test_fakes_that_are_all_alike():
    assert found(evaluations=[{}, {"diversity": 0.08}])["mode-collapse"].startswith("two fakes are 0.08 times as far")
    assert "0.60 at the evaluation before" in found(evaluations=[{}, {"diversity": 0.08}])["mode-collapse"]
    assert found(evaluations=[{"diversity": 0.08}, {}]) == {}, "it has come back"
    assert found(evaluations=[{"diversity": 0.4}]) == {}
    assert found(evaluations=[{"diversity": None}]) == {}
    assert found(evaluations=[{"diversity": 0.08}, {"diversity": None}]) == {}
    assert found(evaluations=[{"diversity": 0.001}], settled=1.5) == {}, "an average of the first steps is no collapse"


def test_a_discriminator_that_knows_its_images_by_heart():
    evidence = found(evaluations=[{"overfit": 0.7}, {"overfit": 0.8, "sure_of_reals": 0.96}])["discriminator-overfits"]
    assert "80 %" in evidence
    assert "98 % of the training images" in evidence
    assert found(evaluations=[{"overfit": 0.7}, {"overfit": 0.3}]) == {}
    assert found(evaluations=[{"overfit": 0.9}]) == {}, "once is no proof"
    assert found(evaluations=[{"overfit": 0.9}, {"overfit": None}]) == {}
    stale = [{"overfit": 0.9}, {"overfit": 0.9}, {"overfit": None}]
    assert found(evaluations=stale) == {}, "what was two evaluations ago is not so now"


def test_a_metric_that_stalls_while_g_gets_better_at_its_game():
    falling = [{"loss_g": 2.0 - 0.02 * i} for i in range(60)]
    stuck, moving = (
        [{"frechet": f} for f in (300, 302, 298, 301, 300, 299)],
        [{"frechet": f} for f in (300, 280, 260, 250, 240, 235)],
    )
    evidence = found(falling, stuck, n=60)["metric-stalls"]
    assert "298 to 299" in evidence
    assert found(falling, moving, n=60) == {}
    assert found([{}] * 60, stuck, n=60) == {}, "G's loss does not fall"
    assert found(falling, stuck[:3], n=60) == {}, "too early to say"


def test_large_swings_are_an_oscillation_and_noise_is_none():
    swings = [{"loss_d": 0.3}, {"loss_d": 2.9}] * 5
    assert "8 readings" in found(swings)["oscillation"]
    assert found([{"loss_d": 0.9}, {"loss_d": 1.2}] * 5) == {}
    assert found([{"loss_d": 0.5}] * 5 + [{"loss_d": 2.9}] * 5) == {}, "one change is no oscillation"


@pytest.mark.parametrize("loss", list(UNDECIDED_LOSS_D))
def test_the_undecided_loss_is_the_least_that_a_constant_discriminator_can_have(loss):
    discriminator = build_adversarial(Objective.model_validate({"loss": {"name": loss}}).loss).discriminator
    constants = [torch.full((16,), c) for c in torch.linspace(-2, 2, 401)]
    least = min(float(discriminator(x, x)) for x in constants)
    assert UNDECIDED_LOSS_D[loss] == pytest.approx(least, rel=1e-3)


def test_every_sign_has_a_remedy_and_every_remedy_names_fields_of_one_section():
    assert {*SIGNS, "non-finite", "out-of-memory", "unrealistic-shape"} == set(REMEDIES)
    assert set(Prunable.__args__) == set(SIGNS)
    for remedy in REMEDIES.values():
        assert remedy.tries
        for attempt in remedy.tries:
            assert len({change.path[0] for change in attempt.changes}) == 1
            assert {change.path[0] for change in attempt.changes} <= set(Recipe.model_fields)


def test_following_a_history_remembers_the_first_and_the_last_sighting():
    past = history(evaluations=[{}, {"diversity": 0.2}, {"diversity": 0.1}, {}], n=40)
    (collapse,) = follow(past)
    assert (collapse.name, collapse.since_kimg, collapse.kimg) == ("mode-collapse", 2.0, 3.0)
    assert "0.10 times" in collapse.evidence
    late = history(repeated(grad_norm_g=500.0), [{}], n=20)
    assert follow(late) == ()
    assert [d.name for d in follow(late, now=True)] == ["gradient-explosion"]


def test_a_diagnosis_survives_the_store():
    before = Diagnosis("mode-collapse", "two fakes are 0.1", 1.0, 2.5)
    assert Diagnosis.from_json(before.to_json()) == before
    assert str(before) == f"mode-collapse: two fakes are 0.1; {REMEDIES['mode-collapse'].text}"
    for damaged in ("{}", "half a {", json.dumps({"name": "x", "evidence": "", "since_kimg": 0, "kimg": 0})):
        with pytest.raises(ValueError):
            Diagnosis.from_json(damaged)


def test_values_that_are_not_finite_end_the_trial():
    with pytest.raises(Unhealthy, match=r"non-finite: loss_g = nan at 1\.500 kimg; lower the learning rates") as caught:
        check_finite({"loss_d": 1.0, "loss_g": math.nan}, 1.5)
    assert caught.value.diagnosis.name == "non-finite"
    check_finite({"loss_d": 1.0, "loss_g": -1e30}, 1.5)


def recipe(**sections):
    plain = {
        "data": {"source": "x", "resolution": 32},
        "generator": {"name": "dcgan", "width": 4},
        "discriminator": {"name": "dcgan", "width": 4},
        "budget": {"kimg": 1, "batch_size": 10},
    }
    return Recipe.model_validate({**plain, **sections})


def test_when_the_networks_have_begun_and_their_average_has_forgotten_its_first_steps():
    ema, several = {"name": "ema", "decay": 0.99}, {"name": "discriminator_steps", "n": 2}
    assert begun_kimg(recipe()) == settled_kimg(recipe()) == 1.0  # 100 steps of 10 images
    assert settled_kimg(recipe(tricks=[ema])) == 3.0
    assert settled_kimg(recipe(tricks=[ema, several])) == 6.0
    assert begun_kimg(recipe(tricks=[ema, several])) == 2.0
    assert settled_kimg(recipe(tricks=[{**ema, "warmup": True}])) == 1.0
    pretrain = {"name": "pretrain", "kimg": 0.5}  # 50 steps
    assert begun_kimg(recipe(tricks=[pretrain])) == settled_kimg(recipe(tricks=[pretrain])) == 1.5
    assert settled_kimg(recipe(tricks=[pretrain, ema])) == 3.5, "the average begins the game full of pre-training"
    long = {"budget": {"kimg": 100, "batch_size": 10}, "tricks": [{"name": "pretrain", "kimg": 10}]}
    warm = recipe(**{**long, "tricks": [*long["tricks"], {**ema, "decay": 0.9999, "warmup": True}]})
    assert settled_kimg(warm) == 14.0  # of 1000 steps, forgotten after 400 more


def test_fresh_networks_are_not_called_weak():
    assert found(repeated(20, loss_d=1.386, grad_norm_g=1e-4), begun=5.0) == {}
    late = found(repeated(20, loss_d=1.386, grad_norm_g=1e-4), begun=1.0)
    assert set(late) == {"discriminator-weak", "gradient-vanishing"}


def test_a_history_takes_rows_in_any_order_and_of_the_first_protocol_alone():
    protocols = {"protocols": ["a", "b"], "every_kimg": 1}
    rows = [{"kimg": k, "loss_d": 1.0} for k in (2.0, 1.0)] + [{"kimg": 0.5, "reconstruction": 0.3}]
    scores = [{"kimg": 2.0, "protocol": p} for p in "ba"]
    past = History.of(recipe(evaluation=protocols), rows, scores)
    assert [r["kimg"] for r in past.readings] == [1.0, 2.0], "pre-training is not the game"
    assert [e["protocol"] for e in past.evaluations] == ["a"]
    assert past.until(1.0).kimg == 1.0
