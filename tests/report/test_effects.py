"""Effects against hand-computed differences, and the words for what a recipe does differently."""

import json

import pytest
from scipy.stats import t

from ganray.cli.main import main
from ganray.errors import StoreError
from ganray.report.effects import BASELINE, change_of, effects
from ganray.report.recipes import flatten, not_default
from ganray.report.render_effects import effects_to_csv, effects_to_json, effects_to_markdown
from ganray.store.schema import CurveRow

REPLAY, FLIPS = {"name": "replay"}, {"name": "flips"}
BASE = {0: 100.0, 1: 110.0, 2: 105.0}
WITH_REPLAY = {0: 90.0, 1: 104.0, 2: 91.0}


@pytest.fixture
def switches(store, put_trial, put_scores, recipe):
    """A baseline and replay with three seeds each; the hinge with one seed, another failed."""

    def put(name, seed, value, status="completed", images_per_s=80.0, **parts):
        trial = f"{name}-{seed}"
        put_trial(trial, status, recipe(seed=seed, **parts), experiment="switches")
        put_scores(trial, {6.0: value + 50, 12.0: value}, experiment="switches")
        speeds = (images_per_s, images_per_s + 4, 1.0)  # the last one while the machine was busy
        for kimg, speed in zip((4.0, 8.0, 12.0), speeds):
            store.put_curves([CurveRow(trial_id=trial, experiment="switches", kimg=kimg, images_per_s=speed)])

    for seed in BASE:
        put("base", seed, BASE[seed], tricks=[FLIPS], loss="lsgan")
        put("replay", seed, WITH_REPLAY[seed], tricks=[FLIPS, REPLAY], loss="lsgan", images_per_s=40.0)
    put("hinge", 0, 130.0, tricks=[FLIPS])
    put("hinge", 1, 130.0, "failed", tricks=[FLIPS])
    return store


def test_differences_are_by_seed_with_students_interval(switches):
    found = effects(switches, "switches")
    assert found.baseline.change == BASELINE
    assert found.baseline.value == pytest.approx(105.0)
    replay, hinge = found.effects
    differences = [WITH_REPLAY[seed] - BASE[seed] for seed in BASE]  # -10, -6, -14
    assert replay.difference == pytest.approx(-10.0)
    half = t.ppf(0.975, 2) * 4.0 / 3**0.5  # their standard deviation is 4
    assert (replay.low, replay.high) == (pytest.approx(-10 - half), pytest.approx(-10 + half))
    assert sum(differences) / 3 == replay.difference
    assert replay.seeds == (0, 1, 2)
    assert replay.is_clear
    assert (hinge.seeds, hinge.difference, hinge.low, hinge.failed) == ((0,), 30.0, None, 1)
    assert not hinge.is_clear


def test_speed_is_the_ratio_of_medians(switches):
    replay = effects(switches, "switches").effects[0]
    assert replay.speed == pytest.approx(40.0 / 80.0)


def test_another_baseline_turns_the_signs(switches):
    found = effects(switches, "switches", baseline="replay-1")
    assert {e.change: e.difference for e in found.effects}["- replay"] == pytest.approx(10.0)


def test_the_best_checkpoint_can_be_compared_instead(switches, put_scores):
    put_scores("replay-0", {3.0: 1.0}, experiment="switches")
    assert effects(switches, "switches", show="best").effects[0].difference == pytest.approx((-99 - 6 - 14) / 3)
    assert effects(switches, "switches").effects[0].difference == pytest.approx(-10.0)


def test_an_experiment_without_numbers_says_so(store, put_trial):
    put_trial("a")
    with pytest.raises(StoreError, match="nothing of demo has been evaluated"):
        effects(store, "demo")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"tricks": [FLIPS, REPLAY]}, "+ replay"),
        ({"tricks": []}, "- flips"),
        ({"tricks": [FLIPS], "loss": "hinge"}, "loss hinge"),
        ({"tricks": [FLIPS], "penalties": [{"name": "r1", "gamma": 1.0}]}, "+ r1 (gamma 1)"),
        ({"tricks": [FLIPS], "discriminator": {"name": "dcgan", "width": 32, "norm": "batch"}}, "D.norm batch"),
        ({"tricks": [FLIPS], "discriminator": {"name": "patch", "width": 32}}, "D patch"),
        ({"tricks": [FLIPS], "discriminator": {"name": "patch", "width": 32, "layers": 2}}, "D patch (layers 2)"),
        ({"tricks": [FLIPS], "seed": 7, "runtime": {"device": "cuda"}}, BASELINE),
    ],
    ids=str,
)
def test_changes_in_words(recipe, parts, words):
    plain = flatten(json.dumps(recipe(loss="lsgan", tricks=[FLIPS])), "a")
    other = json.dumps(recipe(**{"loss": "lsgan", **parts}))
    assert change_of(plain, flatten(other, "b"), not_default(other)) == words


def test_every_format_has_every_switch(switches):
    found = effects(switches, "switches")
    markdown = effects_to_markdown(found)
    assert "| + replay" in markdown
    assert "-10 *" in markdown
    assert "loss hinge" in effects_to_csv(found)
    assert json.loads(effects_to_json(found))["effects"][0]["difference"] == -10.0


def test_the_command_line(switches, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["effects", "switches", "--store", switches.uri])
    assert caught.value.code == 0
    assert "+ replay" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["effects", "nothing", "--store", switches.uri])
    assert caught.value.code == 2
    assert "no experiment 'nothing'" in capsys.readouterr().err
