"""Effects against hand-computed differences, and the words for what a recipe does differently."""

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from scipy.stats import t, ttest_rel

from ganray.cli.main import main
from ganray.errors import StoreError
from ganray.recipe.experiment import load_experiment
from ganray.report.effects import BASELINE, change_of, effects
from ganray.report.recipes import flatten, not_default
from ganray.report.render_effects import (
    difference,
    effects_to_csv,
    effects_to_json,
    effects_to_markdown,
    effects_to_rich,
    interval,
)
from ganray.report.spread import holm
from ganray.store.schema import CurveRow
from tests.report.conftest import START

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

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


def test_speed_is_the_ratio_of_medians_of_the_fastest_seeds(switches):
    found = effects(switches, "switches")
    assert found.effects[0].speed == pytest.approx(40.0 / 80.0)
    assert not any("speeds are rough" in note for note in found.notes)
    for seed in (0, 1):  # two of three baseline trials, while the machine had other work
        slow = [CurveRow(trial_id=f"base-{seed}", experiment="switches", kimg=k, images_per_s=30.0) for k in (4.0, 8.0)]
        switches.put_curves(slow)
    found = effects(switches, "switches")
    assert found.effects[0].speed == pytest.approx(40.0 / 80.0)
    assert any("the baseline's own trials ran at 30 to 80 images per second" in note for note in found.notes)


def test_another_baseline_turns_the_signs(switches):
    found = effects(switches, "switches", baseline="replay-1")
    assert {e.change: e.difference for e in found.effects}["- replay"] == pytest.approx(10.0)


def test_a_baseline_of_another_experiment_is_refused(switches, put_trial):
    put_trial("stranger")
    with pytest.raises(StoreError, match="trial stranger is of demo; name one of switches as the baseline"):
        effects(switches, "switches", baseline="stranger")


@pytest.mark.parametrize("name", ["losses", "discriminators", "pretrain_256"])
@pytest.mark.parametrize("n", [2, 3, 5, None])
def test_the_baseline_of_a_design_is_its_first_recipe_however_far_it_has_got(store, put_trial, put_scores, name, n):
    experiment = load_experiment(EXPERIMENTS / f"{name}.yaml", check=False)
    for i, params in enumerate([params for params in experiment.design if params["seed"] == 0][:n]):
        content = json.loads(experiment.fixed(params).model_dump_json())
        put_trial(f"t{i:02d}", content=content, created_at=START + timedelta(seconds=i))
        put_scores(f"t{i:02d}", {12.0: 100.0 + i})
    assert effects(store, "demo").baseline.value == 100.0


def test_trials_that_have_not_ended_are_named_and_left_out(switches, put_trial, recipe):
    put_trial("replay-3", "running", recipe(seed=3, tricks=[FLIPS, REPLAY], loss="lsgan"), experiment="switches")
    found = effects(switches, "switches")
    assert found.effects[0].seeds == (0, 1, 2)
    assert "1 of 9 trials have not ended and are left out" in found.notes


def test_nothing_compares_with_a_baseline_that_never_completed(store, put_trial, put_scores, recipe):
    put_trial("a", "failed", recipe())
    put_trial("b", "completed", recipe("lsgan"))
    put_scores("b", {12.0: 100.0})
    found = effects(store, "demo", baseline="a")
    assert found.effects[0].difference is None
    assert any("no trial of the baseline has completed" in note for note in found.notes)


def test_what_a_scheduler_stops_has_not_failed(switches, put_trial, recipe):
    hinge = recipe(seed=2, tricks=[FLIPS])
    put_trial("hinge-2", "pruned", hinge, experiment="switches")
    assert effects(switches, "switches").effects[1].failed == 1  # hinge-1
    put_trial("hinge-2", "pruned", hinge, experiment="switches", diagnosis="mode-collapse: two fakes are 0.1")
    found = effects(switches, "switches")
    assert found.effects[1].failed == 2
    assert "the switch is worse than its number" in effects_to_markdown(found)


def test_a_damaged_diagnosis_costs_its_name_and_no_error(switches, put_trial, recipe):
    put_trial("hinge-1", "failed", recipe(seed=1, tricks=[FLIPS]), experiment="switches", diagnoses=("half a {", "{}"))
    assert effects(switches, "switches").effects[1].diagnoses == ("unreadable (1)",)


@pytest.fixture
def repeated(store, put_trial, put_scores, recipe):
    """Five recipes of three seeds, each with a standard deviation of 3, means 100, 100, 100, 100 and 90."""
    for i in range(5):
        for seed, value in enumerate((97.0, 100.0, 103.0)):
            put_trial(f"{i}-{seed}", content=recipe(seed=seed, tricks=[{"name": "ema", "decay": 0.9 + i / 100}]))
            put_scores(f"{i}-{seed}", {12.0: value - 10 * (i == 4)})
    return store


def test_with_enough_seeds_all_intervals_follow_from_the_spread_of_all(repeated):
    found = effects(repeated, "demo", baseline="0-0")
    assert not any(column in effects_to_markdown(found) for column in ("| failed", "| went wrong"))
    assert any("standard deviation of 3 (pooled over 5 recipes)" in note for note in found.notes)
    best = found.effects[0]
    half = t.ppf(0.975, 10) * 3.0 * (2 / 3) ** 0.5
    assert (best.difference, best.low, best.high) == pytest.approx((-10, -10 - half, -10 + half))
    assert best.is_clear
    assert not any(effect.is_clear for effect in found.effects[1:])
    half = t.ppf(0.975, 10) * 3.0 / 3**0.5
    assert (found.baseline.low, found.baseline.high) == pytest.approx((100 - half, 100 + half))


def test_a_difference_survives_that_is_clear_for_as_many_comparisons(repeated):
    best, *others = effects(repeated, "demo", baseline="0-0").effects
    p = 2 * t.sf(10 / (3.0 * (2 / 3) ** 0.5), 10)
    assert (best.p, best.p_holm) == pytest.approx((p, 4 * p))
    assert [effect.p_holm for effect in others] == [1.0, 1.0, 1.0]
    assert best.survives
    assert not any(effect.survives for effect in others)
    assert "| -10.0 ** |" in effects_to_markdown(effects(repeated, "demo", baseline="0-0"))


def test_paired_differences_have_the_p_of_scipys_paired_test(switches):
    replay, hinge = effects(switches, "switches").effects
    expected = ttest_rel(list(WITH_REPLAY.values()), list(BASE.values())).pvalue
    assert replay.p == pytest.approx(expected)
    assert replay.p_holm == pytest.approx(expected)  # the hinge has no interval, so nothing else was compared
    assert (hinge.p, hinge.p_holm, hinge.survives) == (None, None, False)


def test_holms_correction_of_a_worked_example():
    """R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_more_seeds_of_the_baseline_narrow_every_interval(repeated, put_trial, put_scores, recipe):
    for seed, value in ((3, 97.0), (4, 100.0), (5, 103.0)):
        put_trial(f"0-{seed}", content=recipe(seed=seed, tricks=[{"name": "ema", "decay": 0.9}]))
        put_scores(f"0-{seed}", {12.0: value})
    found = effects(repeated, "demo", baseline="0-0")
    best, deviation = found.effects[0], (6 * 18 / 13) ** 0.5  # each three seeds have squares of 9 + 0 + 9
    half = t.ppf(0.975, 13) * deviation * (1 / 3 + 1 / 6) ** 0.5
    assert (best.seeds, found.baseline.seeds) == ((0, 1, 2), (0, 1, 2, 3, 4, 5))
    assert (best.difference, best.high) == pytest.approx((-10, -10 + half))


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
        ({"tricks": [FLIPS], "discriminator": {"name": "fastgan", "decode": None}}, "D fastgan (decode null)"),
        (
            {"tricks": [FLIPS], "discriminator": {"name": "fastgan", "decode": {"distance": "l1"}}},
            "D fastgan (decode.distance l1)",
        ),
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
    assert "| -10.0 ** | -19.9 to -0.1 | 0.05 |" in markdown
    assert "loss hinge" in effects_to_csv(found)
    assert json.loads(effects_to_json(found))["effects"][0]["difference"] == -10.0


def test_numbers_have_the_digits_that_their_interval_leaves(switches):
    found = effects(switches, "switches")
    replay, hinge = found.effects
    assert (difference(replay), interval(replay, ", ")) == ("-10.0", "-19.9, -0.1")  # half of it is 9.9
    assert (difference(hinge), interval(hinge)) == ("+30", "–")  # one seed
    assert interval(found.baseline) == "93 to 117"  # half of it is 12
    assert not found.baseline.is_clear, "its interval is of the distance, not of a difference"


def test_a_narrow_terminal_breaks_no_word(switches, put_trial, recipe):
    collapse = json.dumps({"name": "mode-collapse", "evidence": "", "since_kimg": 1, "kimg": 2})
    put_trial("hinge-1", "failed", recipe(seed=1, tricks=[FLIPS]), experiment="switches", diagnoses=(collapse,))
    found = effects(switches, "switches")
    for width, under in ((100, False), (70, True)):
        console = Console(width=width, file=io.StringIO())
        console.print(effects_to_rich(found, width))
        lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
        assert ("  mode-collapse (1)" in lines) is under
        assert any("mode-collapse (1)" in line for line in lines)


def test_the_command_line(switches, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["effects", "switches", "--store", switches.uri])
    assert caught.value.code == 0
    assert "+ replay" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["effects", "nothing", "--store", switches.uri])
    assert caught.value.code == 2
    assert "no experiment 'nothing'" in capsys.readouterr().err
