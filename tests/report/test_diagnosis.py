"""What the store says of a sick trial, as findings, remedies, text and a picture."""

import io
import json

import pytest
import yaml
from PIL import Image
from rich.console import Console

from ganray.errors import RecipeError, StoreError
from ganray.recipe.experiment import load_experiment
from ganray.recipe.recipe import Recipe
from ganray.report.curves import draw_curves, in_lines, log_ticks, nice_ticks
from ganray.report.diagnosis import diagnose
from ganray.report.remedies import TRIES, plain_tree, remedies, write
from ganray.report.render_diagnosis import change_words, findings_to_json, findings_to_rich
from ganray.store.schema import CurveRow
from ganray.training.health import REMEDIES, Diagnosis

EXPLODING = {"loss_d": 9.0, "loss_g": 7.0, "logits_real": 3.0, "logits_fake": -2.0, "grad_norm_d": 900.0}
COLLAPSE = Diagnosis("mode-collapse", "two fakes are 0.08 times as far apart as two reals", 2.0, 4.0)


@pytest.fixture
def real_recipe():
    def make(**sections):
        plain = {
            "data": {"source": "sample:hubble", "resolution": 64},
            "generator": {"name": "dcgan", "width": 8},
            "discriminator": {"name": "dcgan", "width": 8},
            "tricks": [{"name": "flips"}],
            "budget": {"kimg": 4.0, "batch_size": 8},
            "evaluation": {"protocols": ["fd_lite0_1k_train"], "every_kimg": 1},
            "runtime": {"device": "cpu"},
        }
        return Recipe.model_validate({**plain, **sections})

    return make


@pytest.fixture
def put_sick(store, put_trial, put_scores, real_recipe):
    """put_sick(id, reading, diagnoses) writes a trial of 20 such readings and 4 evaluations."""

    def put(trial_id="sick11112222", reading=EXPLODING, recipe=None, **changes):
        content = json.loads((recipe or real_recipe()).model_dump_json())
        put_trial(trial_id, content=content, kimg=4.0, budget_kimg=4.0, **changes)
        put_scores(trial_id, {float(k): 300.0 - k for k in range(1, 5)}, diversity=0.6)
        store.put_curves([CurveRow(trial_id=trial_id, experiment="demo", kimg=k / 5, **reading) for k in range(1, 21)])
        return trial_id

    return put


def names(findings):
    return [d.name for d in findings.diagnoses]


def text_of(findings, width=100):
    console = Console(width=width, file=io.StringIO())
    console.print(findings_to_rich(findings))
    return console.file.getvalue()


def test_what_the_training_found_is_what_is_told_the_worst_first(store, put_sick):
    explosion = Diagnosis("gradient-explosion", "D's gradient norm is 900", 1.0, 4.0)
    weak = Diagnosis("discriminator-weak", "99 %", 0.5, 0.5)
    put_sick(diagnoses=[d.to_json() for d in (weak, COLLAPSE, explosion)])
    found = diagnose(store, "sick")
    assert found.diagnoses == (explosion, COLLAPSE, weak)
    shown = text_of(found)
    for words in ("sick11112222  demo  completed  4 of 4 kimg", "mode-collapse  serious, from 2 to 4 kimg",
                  "two fakes are 0.08 times", "discriminator-weak  notice, at 0.5 kimg", "What helps: rpgan",
                  "objective.generator_losses + mode_seeking", "optimizers.generator.lr × 0.1"):  # fmt: skip
        assert words in shown


def test_a_trial_of_a_version_that_did_not_look_is_looked_at_now(store, put_sick):
    found = diagnose(store, put_sick(diagnoses=None))
    assert names(found) == ["gradient-explosion"]
    assert (found.diagnoses[0].since_kimg, found.diagnoses[0].kimg) == (1.0, 4.0)
    assert "by a version that did not look" in found.notes[0]


def test_nothing_found_is_said_with_what_was_looked_for(store, put_sick):
    found = diagnose(store, put_sick(diagnoses=[]))
    assert "Nothing wrong was found in 20 readings and 4 evaluations (looked for: gradient-explosion" in " ".join(
        text_of(found).split()
    )
    with pytest.raises(StoreError, match="nothing to remedy; name what you see yourself with --also"):
        found.remedies()


def test_what_it_was_too_early_for_is_said(store, put_sick, real_recipe):
    slow = real_recipe(tricks=[{"name": "ema", "decay": 0.999}])
    found = diagnose(store, put_sick("slow11112222", recipe=slow, diagnoses=[]))
    (note,) = found.notes
    assert "mode-collapse (1), discriminator-overfits (2), metric-stalls (4): they count from 24 kimg on" in note
    assert note.endswith("their average has forgotten its first steps, and there are 0")
    assert diagnose(store, put_sick("fast11112222", diagnoses=[])).notes == ()


def test_what_takes_more_evaluations_was_not_looked_for(store, put_sick, real_recipe):
    later = real_recipe(tricks=[{"name": "pretrain", "kimg": 2.1}])  # of four evaluations, two are left
    found = diagnose(store, put_sick("late11112222", recipe=later, diagnoses=[]))
    assert found.too_early == ("metric-stalls",)
    assert found.notes[0].endswith("they count from 2.9 kimg on, when the networks have begun, and there are 2")
    shown = " ".join(text_of(found).split())
    assert "discriminator-overfits). Shapes are for the eye" in shown


def test_the_reason_of_the_end_is_said_once(store, put_sick):
    explosion = Diagnosis("gradient-explosion", "D's gradient norm is 900", 4.0, 4.0)
    shown = text_of(
        diagnose(store, put_sick(status="pruned", diagnosis=str(explosion), diagnoses=[explosion.to_json()]))
    )
    assert shown.count("D's gradient norm is 900") == 1
    other = put_sick("oom011112222", status="failed", diagnosis="RuntimeError: out of memory", diagnoses=[])
    assert "RuntimeError: out of memory" in text_of(diagnose(store, other))


def test_rows_of_another_version_cost_a_note_and_no_error(store, put_sick, put_trial):
    unknown = json.dumps({"name": "hiccups", "evidence": "x", "since_kimg": 1, "kimg": 1})
    found = diagnose(store, put_sick(diagnoses=[unknown, COLLAPSE.to_json()]))
    assert names(found) == ["mode-collapse"]
    assert "'hiccups' is a diagnosis that this GANRay does not know" in found.notes[0]

    ancient = {"objective": {"loss": {"name": "hinge"}}, "seed": 0}
    put_trial("old011112222", status="failed", content=ancient, diagnosis="RuntimeError: out of memory")
    old = diagnose(store, "old0")
    assert (old.recipe, old.diagnoses) == (None, ())
    assert len(old.notes) == 2
    assert "RuntimeError: out of memory" in text_of(old)
    with pytest.raises(StoreError, match="of another version"):
        old.remedies()
    with pytest.raises(StoreError, match="nothing to draw"):
        draw_curves(old, store)


def test_troubles_that_the_user_sees(store, put_sick):
    trial = put_sick(diagnoses=[])
    found = diagnose(store, trial, ("unrealistic-shape",))
    assert "unrealistic-shape  as you say" in text_of(found)
    tricks = [option.value for option in found.remedies().options if option.section == "tricks"]
    assert {"name": "pretrain", "kimg": 0.4} in tricks[0], "a tenth of the budget"
    with pytest.raises(RecipeError, match="no advice on 'mode-colapse'; did you mean 'mode-collapse'"):
        diagnose(store, trial, ("mode-colapse",))


def test_json_has_the_findings_and_the_advice_as_choices(store, put_sick):
    found = json.loads(findings_to_json(diagnose(store, put_sick(diagnoses=[COLLAPSE.to_json()]))))
    (collapse,) = found["diagnoses"]
    assert (collapse["name"], collapse["severity"], collapse["since_kimg"]) == ("mode-collapse", "serious", 2.0)
    options = found["advice"]["objective"]["choice"]
    assert options[1]["loss"] == {"name": "rpgan"}
    assert [p["name"] for p in options[1]["penalties"]] == ["r1", "r2"]


@pytest.mark.parametrize("name", list(REMEDIES))
def test_the_remedies_of_every_diagnosis_are_a_valid_experiment(name, real_recipe, tmp_path):
    found = remedies("abc", real_recipe(), REMEDIES[name].tries)
    path = tmp_path / "any.yaml"
    write(found, path)
    loaded = load_experiment(path)
    assert loaded.name == "abc-remedies"
    assert loaded.trials == 1 + len(found.options), "the recipe as it was, and each remedy alone"
    recipes = [loaded.fixed(params) for params in loaded.start_params()]
    assert recipes[0] == real_recipe()
    assert len({recipe.hash for recipe in recipes}) == len(recipes)


def test_what_is_there_already_is_not_advised_and_what_is_refused_is_left_out(real_recipe):
    tricks = [{"name": "diffaugment"}, {"name": "flips"}]
    found = remedies("abc", real_recipe(tricks=tricks), REMEDIES["discriminator-overfits"].tries)
    added = {t["name"] for o in found.options if o.section == "tricks" for t in o.value} - {"diffaugment", "flips"}
    assert added <= {"ada"}
    assert [o.value["width"] for o in found.options if o.section == "discriminator"] == [4]
    hinge = remedies("abc", real_recipe(), REMEDIES["discriminator-won"].tries)
    (reason,) = hinge.left_out
    assert "label_smoothing softens labels, and hinge has none" in reason


def test_of_changes_that_belong_together_what_is_there_already_stays(real_recipe):
    penalised = real_recipe(objective={"loss": {"name": "lsgan"}, "penalties": [{"name": "r1", "gamma": 3.0}]})
    (option,) = remedies("abc", penalised, REMEDIES["mode-collapse"].tries[:1]).options
    assert option.value["loss"] == {"name": "rpgan"}
    assert option.value["penalties"] == [{"name": "r1", "gamma": 3.0}, {"name": "r2", "gamma": 1.0}]


def test_a_file_has_so_many_remedies_and_no_more(real_recipe):
    every = [attempt for remedy in REMEDIES.values() for attempt in remedy.tries]
    found = remedies("abc", real_recipe(), every)
    assert len(found.options) == TRIES
    assert any("are enough for one experiment" in reason for reason in found.left_out)


def test_no_remedy_that_fits_is_an_error_with_its_reason(real_recipe):
    done = real_recipe(tricks=[{"name": "clip_gradients"}])
    clip = [t for t in REMEDIES["gradient-explosion"].tries if "clipping" in t.why]
    with pytest.raises(StoreError, match="no remedy fits the recipe of trial abc: the recipe has all"):
        remedies("abc", done, clip)


def test_the_file_says_why_and_reads_as_the_recipe(real_recipe, tmp_path):
    found = remedies("abc", real_recipe(), REMEDIES["mode-collapse"].tries)
    text = found.to_yaml()
    assert "  # as it was" in text
    assert "    # fakes of distant latents are to differ (arXiv 1903.05628)" in text
    assert yaml.safe_load(text) == found.tree
    assert Recipe.model_validate(plain_tree(real_recipe())) == real_recipe()


def test_numbers_are_scaled_and_networks_replaced_at_their_width(real_recipe):
    slower = remedies("abc", real_recipe(), REMEDIES["gradient-explosion"].tries[:1])
    rates = slower.options[0].value
    assert (rates["generator"]["lr"], rates["discriminator"]["lr"]) == (2e-5, 2e-5)
    unet = [t for t in REMEDIES["unrealistic-shape"].tries if "U-Net" in t.why]
    assert remedies("abc", real_recipe(), unet).options[0].value == {"name": "unet", "width": 8}


def test_changes_in_words():
    words = [change_words(change) for change in REMEDIES["mode-collapse"].tries[0].changes]
    assert words == [
        "objective.loss: rpgan",
        "objective.penalties + r1 (gamma 1)",
        "objective.penalties + r2 (gamma 1)",
    ]
    assert change_words(REMEDIES["gradient-explosion"].tries[1].changes[0]) == "discriminator.spectral_norm: true"


def test_the_picture_has_a_panel_per_kind_of_curve(store, put_sick, tmp_path):
    found = diagnose(store, put_sick(diagnoses=[COLLAPSE.to_json()]))
    path = draw_curves(found, tmp_path / "new" / "curves.png")
    with Image.open(path) as page:
        assert page.width == 900
        assert page.height > 4 * 190
        colours = {pixel for _, pixel in page.getcolors(2**24)}
    assert {(0x1F, 0x77, 0xB4), (0xD6, 0x27, 0x28), (0xB0, 0, 0)} <= colours


def test_a_picture_that_cannot_be_written(store, put_sick, tmp_path):
    (tmp_path / "file").write_text("I am a file")
    with pytest.raises(StoreError, match="cannot write"):
        draw_curves(diagnose(store, put_sick(diagnoses=[])), tmp_path / "file" / "curves.png")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 4.0, [0, 1, 2, 3, 4]), (0.0, 0.08, [0, 0.02, 0.04, 0.06, 0.08]), (-130, 270, [-100, 0, 100, 200])],
)
def test_ticks_are_round(low, high, expected):
    assert nice_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.002, 3e4, [0.01, 1, 100, 10000]), (0.5, 900, [1, 10, 100]), (0.4, 6, [0.5, 1, 2, 5]),
        (20, 30, range(20, 31, 2)),
    ],
)  # fmt: skip
def test_ticks_of_a_logarithmic_axis(low, high, expected):
    assert log_ticks(low, high) == pytest.approx(list(expected))


def test_names_of_many_troubles_take_more_lines():
    texts = [f"{name} from 12.34" for name in REMEDIES]
    lines = in_lines(texts, width_px=820)
    assert len(lines) > 1
    assert [text for line in lines for text in line.split("   ")] == texts
    assert in_lines([]) == []
