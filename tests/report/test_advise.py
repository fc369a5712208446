"""Advice is a file that loads, follows from the facts and the store alone, and says why."""

import itertools
from dataclasses import replace
from typing import get_args

import pytest
import yaml

from ganray.errors import DataError, GanrayError
from ganray.evaluation.protocols import get_protocol
from ganray.recipe.data import Resolution
from ganray.recipe.experiment import load_experiment
from ganray.report.advise import advise, name_for, write_new
from ganray.report.practice import Facts, choose_budget, choose_protocol, choose_resolution, practice

FACTS = Facts(
    source="my images/",
    n_images=100,
    n_unreadable=0,
    class_folders={},
    resolution=64,
    resolution_why="as asked for",
    fingerprints=("f00d", "c1a55"),
    gpu=False,
    protocol="fd_lite0_1k_train",
    protocol_why="no FID weights here",
    lite0=True,
)
CLASSES = {"cats": 500, "dogs": 900}


@pytest.fixture
def make(store, tmp_path):
    """make(facts) writes and loads the advised file; gives the experiment and the advice."""
    numbers = itertools.count()

    def make(facts=FACTS, kimg=None):
        advice = advise(facts, store, "mine", kimg)
        path = tmp_path / f"{next(numbers)}.yaml"
        path.write_text(advice.text, encoding="utf-8")
        return load_experiment(path), advice

    return make


def first(experiment):
    """The recipe that the search begins with."""
    return experiment.fixed(experiment.start_params()[0])


def names(experiment, part):
    node = experiment.space[part]
    return [option["name"] for option in node["choice"]] if "choice" in node else [node["name"]]


SIZES = [
    *((n, resolution, gpu) for n in (20, 100, 1000) for resolution, gpu in ((64, False), (256, True))),
    *((100, resolution, gpu) for resolution in get_args(Resolution) for gpu in (False, True)),
    (3, 32, False),
]


@pytest.mark.parametrize(("n_images", "resolution", "gpu"), dict.fromkeys(SIZES))
def test_a_file_for_any_set_loads_and_begins_in_its_own_space(make, n_images, resolution, gpu):
    protocol = "fid_5k_train" if gpu else "fd_lite0_1k_train"
    facts = replace(FACTS, n_images=n_images, resolution=resolution, gpu=gpu, protocol=protocol, lite0=gpu)
    experiment, advice = make(replace(facts, class_folders=CLASSES if n_images == 1000 else {}))
    assert experiment.is_search
    assert experiment.metric == protocol
    recipe = first(experiment)
    assert (recipe.data.source, recipe.data.resolution) == ("my images/", resolution)
    assert recipe.data.min_images <= n_images
    assert all(line.startswith("#") for line in advice.text.splitlines()[: 1 + len(advice.reasons)])


@pytest.mark.parametrize("kimg", [0.05, 3, 400])
def test_the_budget_is_what_was_asked_for(make, kimg):
    experiment, advice = make(replace(FACTS, n_images=20), kimg)
    recipe = first(experiment)
    assert recipe.budget.kimg == kimg
    assert recipe.evaluation.every_kimg == kimg / 4
    assert f"{kimg:g} kimg a trial, as asked for" in advice.reasons


def test_the_same_facts_give_the_same_file(store):
    assert advise(FACTS, store, "mine").text == advise(FACTS, store, "mine").text


def test_published_practice_follows_the_number_of_images():
    def tricks(n):
        facts = replace(FACTS, n_images=n)
        return [[t["name"] for t in o.value] for o in practice(facts, choose_budget(facts, None))["tricks"]]

    assert all("diffaugment" in option for option in tricks(20))
    assert any("pretrain" in option for option in tricks(20))
    assert not any("pretrain" in option for option in tricks(100))
    assert tricks(1000)[-1] == ["ema", "flips"]  # the first size at which no augmentation is worth a try
    assert not any(option == ["ema", "flips"] for option in tricks(999))


def test_what_batch_norm_rules_out_is_left_as_a_comment(make):
    small, _ = make(FACTS)
    assert "penalties" in yaml.safe_dump(small.space["objective"]["choice"][-1])
    large, advice = make(replace(FACTS, resolution=256))
    assert names(large, "discriminator")[0] == "fastgan"
    assert not any(
        penalty["name"] in ("r1", "r2")
        for option in large.space["objective"]["choice"]
        for penalty in option.get("penalties", [])
    )
    assert "  # Left out, for these do not go with every option of the other parts:\n  # - {loss: {name:" in advice.text


def test_the_projected_discriminator_is_never_its_own_judge(make):
    facts = replace(FACTS, gpu=True, protocol="fid_5k_train")
    assert "projected" in names(make(facts)[0], "discriminator")
    experiment, advice = make(replace(facts, protocol="fd_lite0_1k_train"))
    assert "projected" not in names(experiment, "discriminator")
    assert "# - {name: projected}" in advice.text


def test_labels_are_used_where_classes_are_large_enough(make):
    experiment, advice = make(replace(FACTS, n_images=1400, class_folders=CLASSES))
    assert first(experiment).data.labels == "folders"
    assert experiment.sample(3).objective.conditioning.name == "projection"
    assert any("the smallest of 500 images: trained with labels" in reason for reason in advice.reasons)
    experiment, advice = make(replace(FACTS, class_folders={"cats": 40, "dogs": 60}))
    assert first(experiment).data.labels == "none"
    assert any("trained without labels" in reason and "2201.06578" in reason for reason in advice.reasons)


def test_few_or_broken_images_are_allowed_for(make, store):
    experiment, advice = make(replace(FACTS, n_images=3, n_unreadable=2))
    recipe = first(experiment)
    assert (recipe.data.min_images, recipe.data.on_corrupt) == (3, "skip")
    assert "2 files cannot be read and are left out" in advice.reasons
    with pytest.raises(DataError, match="no image in my images/ can be read"):
        advise(replace(FACTS, n_images=0), store, "mine")


# What the store knows.

CUTOUT = {"name": "diffaugment", "policy": ["cutout"]}


@pytest.fixture
def put(put_trial, put_scores, recipe):
    """put(id, {kimg: value}, recipe's loss, ...) writes a completed trial and its scores."""

    def put(trial_id, values, loss="hinge", status="completed", protocol="fd_lite0_1k_train", row=(), **parts):
        put_trial(trial_id, status, recipe(loss, **parts), **dict(row))
        put_scores(trial_id, values, protocol=protocol)

    return put


def test_the_best_recipe_on_these_images_comes_first(make, put):
    put("aaaa", {4: 50.0, 8: 60.0}, "lsgan", seed=0)
    put("bbbb", {4: 70.0, 8: 58.0}, "lsgan", seed=1)  # lsgan: (50 + 58) / 2 = 54
    put("cccc", {4: 40.0}, "ragan", seed=0)
    put("dddd", {4: 90.0}, "ragan", seed=1)  # ragan: 65, although it has the best trial
    put("eeee", {4: 10.0}, "minimax", status="pruned")
    put("ffff", {4: 10.0}, "minimax", status="failed")
    put("gggg", {4: 1.0}, "rpgan", row={"dataset_fingerprint": "other"})
    experiment, advice = make()
    assert first(experiment).objective.loss.name == "lsgan"
    assert advice.reasons[1] == (
        "best so far on these very images: fd_lite0_1k_train 54 (the mean of 2 trials) by dcgan against dcgan, lsgan "
        "(trial aaaa of demo)"
    )
    starts = [experiment.fixed(params).objective.loss.name for params in experiment.start_params()]
    assert starts == ["lsgan", "hinge"]  # published practice second


def test_a_recipe_from_outside_the_usual_space_becomes_an_option(make, put):
    put(
        "aaaa", {4: 50.0}, {"name": "lsgan", "c": 0.9}, tricks=[CUTOUT], penalties=[{"name": "r1", "gamma": 77.0}],
        discriminator={"name": "unet", "width": 8, "attention": [16]},
        generator={"name": "resnet", "width": 8, "hierarchical": True},
        optimizers={"generator": {"name": "sgd", "lr": 0.3}, "discriminator": {"lr": 0.01, "beta1": 0.0}},
    )  # fmt: skip
    experiment, advice = make()
    recipe = first(experiment)
    assert (recipe.generator.hierarchical, recipe.discriminator.attention) == (True, (16,))
    assert recipe.objective.loss.c == 0.9
    assert recipe.objective.penalties[0].gamma == 77.0
    assert [trick.name for trick in recipe.tricks] == ["diffaugment"]
    assert (recipe.optimizers.generator.name, recipe.optimizers.discriminator.lr) == ("sgd", 0.01)
    assert names(experiment, "discriminator") == ["unet", "dcgan", "patch"]
    assert "  # of trial aaaa (demo)\n  - {name: unet, width: 8, attention: [16]}" in advice.text


def test_a_recipe_inside_the_usual_space_adds_no_option(make, put):
    usual = practice(FACTS, choose_budget(FACTS, None))
    plain, _ = make()
    put(
        "aaaa", {4: 50.0}, {"name": "non_saturating"}, penalties=[{"name": "r1", "gamma": 3.0}],
        tricks=usual["tricks"][1].value, generator=usual["generator"][1].value,
        discriminator=usual["discriminator"][1].value,
        optimizers={"generator": {"lr": 1.5e-3, "beta1": 0.5}, "discriminator": {"lr": 2e-4, "beta1": 0.5}},
    )  # fmt: skip
    experiment, _ = make()
    recipe = first(experiment)
    assert recipe.objective.penalties[0].gamma == 3.0
    assert (recipe.optimizers.generator.lr, recipe.optimizers.discriminator.lr) == (1.5e-3, 2e-4)
    for part in ("generator", "discriminator", "objective", "tricks"):
        # The same options, the known ones first.
        assert len(experiment.space[part]["choice"]) == len(plain.space[part]["choice"])
        assert all(option in experiment.space[part]["choice"] for option in plain.space[part]["choice"])
    assert experiment.space["optimizers"] == plain.space["optimizers"]


def test_the_best_of_each_protocol_is_told_that_of_ours_first(make, put):
    put("aaaa", {4: 300.0, 8: 200.0}, "lsgan", protocol="fid_5k_train")
    put("bbbb", {4: 250.0}, "ragan", protocol="fid_5k_train")
    put("cccc", {4: 80.0}, "hinge", seed=3)
    _, advice = make()
    assert [reason.split(" by ")[0] for reason in advice.reasons[1:3]] == [
        "best so far on these very images: fd_lite0_1k_train 80 (1 trial)",
        "best so far on these very images: fid_5k_train 200 (1 trial)",
    ]
    experiment, advice = make(replace(FACTS, protocol="fid_5k_train"))
    assert first(experiment).objective.loss.name == "lsgan"


def test_else_a_similar_set_speaks(make, put):
    near = {"dataset_fingerprint": "near", "n_images": 120, "dataset": "cats/"}
    put("aaaa", {4: 50.0}, "lsgan", row=near)
    put("bbbb", {4: 5.0}, "ragan", row={**near, "dataset_fingerprint": "further", "n_images": 199})
    put("cccc", {4: 5.0}, "rpgan", row={**near, "dataset_fingerprint": "too far", "n_images": 201})
    put("dddd", {4: 5.0}, "minimax", row={**near, "dataset_fingerprint": "larger", "n_images": 100, "resolution": 128})
    facts = replace(FACTS, fingerprints=("new", "new too"))
    experiment, advice = make(facts)
    assert first(experiment).objective.loss.name == "lsgan"
    assert "on the 120 images of cats/, a similar set: fd_lite0_1k_train 50" in advice.reasons[1]
    _, advice = make(replace(facts, n_images=50))
    assert "knows no completed trial on these images or similar ones: published practice" in advice.reasons[1]


def test_recipes_that_make_no_sense_here_are_not_begun_with(make, put):
    put("aaaa", {4: 50.0}, discriminator={"name": "projected"}, evaluation={"protocols": ["fid_5k_train"]})
    experiment, advice = make()
    assert first(experiment).discriminator.name == "dcgan"
    assert "those recipes make no sense here, so the file starts from published practice" in advice.reasons


def test_rows_of_another_ganray_are_passed_over(make, put):
    put("aaaa", {4: 5.0}, "a_loss_of_tomorrow")
    put("bbbb", {4: 50.0}, "lsgan")
    assert first(make()[0]).objective.loss.name == "lsgan"


def test_labels_of_an_earlier_recipe_follow_this_set(make, put):
    objective = {"loss": {"name": "lsgan"}, "conditioning": {"name": "acgan", "weight": 2.0}}
    data = {"source": "x", "resolution": 64, "labels": "folders"}
    put("aaaa", {4: 50.0}, "lsgan", objective=objective, data=data, row={"dataset_fingerprint": "c1a55"})
    assert first(make()[0]).objective.conditioning is None
    recipe = first(make(replace(FACTS, class_folders=CLASSES))[0])
    assert (recipe.objective.loss.name, recipe.objective.conditioning.weight) == ("lsgan", 2.0)


def test_two_earlier_recipes_that_do_not_mix_are_not_mixed(make, put):
    fastgan = {"name": "fastgan", "width": 8, "decode": None}
    put("aaaa", {4: 50.0}, "hinge", discriminator=fastgan)
    put("bbbb", {4: 300.0}, "hinge", penalties=[{"name": "r2"}], protocol="fid_5k_train")
    experiment, _ = make()
    assert first(experiment).discriminator.name == "fastgan"
    assert not any(
        p.name == "r2" for params in experiment.start_params() for p in experiment.fixed(params).objective.penalties
    )


def test_an_experiment_of_that_name_gets_no_namesake(store, put):
    assert advise(FACTS, store, "demo").name == "demo"
    put("aaaa", {4: 50.0})
    assert advise(FACTS, store, "demo").name == "demo-2"
    assert "\nname: demo-2\n" in advise(FACTS, store, "demo").text


def test_a_file_that_is_there_is_left_alone(store, tmp_path):
    path = tmp_path / "new" / "mine.yaml"
    write_new(advise(FACTS, store, "mine"), path)
    path.write_text("my changes")
    with pytest.raises(GanrayError, match=r"mine\.yaml is there already .* name another file with -o"):
        write_new(advise(FACTS, store, "mine"), path)
    assert path.read_text() == "my changes"


# The rules of thumb.


def test_the_resolution_is_what_nearly_all_images_have():
    assert choose_resolution({300: 19, 100: 1}, gpu=True)[0] == 256  # 5 % may be enlarged
    assert choose_resolution({300: 18, 100: 2}, gpu=True)[0] == 64
    assert choose_resolution({300: 20}, gpu=False)[0] == 64
    assert "this machine shows none" in choose_resolution({300: 20}, gpu=False)[1]
    assert choose_resolution({2000: 20}, gpu=True) == (
        256, "the images have 1024 px and more, but more takes days (--resolution changes it)",
    )  # fmt: skip
    assert choose_resolution({20: 5}, gpu=True) == (32, "most images are smaller still and are enlarged")


@pytest.mark.parametrize(
    ("dims", "gpu", "protocol"),
    [
        (2048, False, "fid_5k_train"), (768, True, "fid_5k_train"), (0, True, "fid_5k_train"),
        (768, False, "fid_768_1k_train"), (0, False, "fd_lite0_1k_train"),
    ],
)  # fmt: skip
def test_the_protocol_is_one_that_can_be_computed(dims, gpu, protocol):
    assert choose_protocol(dims, gpu)[0] == protocol
    get_protocol(protocol)


@pytest.mark.parametrize(
    ("text", "name"),
    [("cats", "cats"), ("my photos (2026)", "my_photos_2026"), ("..", "images"), ("-x-", "x"), ("ü" * 3, "images")],
)
def test_names_that_an_experiment_may_have(text, name):
    assert name_for(text) == name
