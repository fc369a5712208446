"""The picture of memorisation pairs shows the very samples that were scored, over the images they copy."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganray.data.images import ImageSet, load_images
from ganray.evaluation.memorisation import Pair
from ganray.evaluation.sampling import sample_images
from ganray.store.store import Store
from ganray.training.distributed import World
from ganray.training.state import build_state
from ganray.trial import assess, pairs
from ganray.trial.pairs import picture_of_pairs, redrawn

CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def state(job):
    return build_state(job().recipe, 12, World())


def samples(state, label=None):
    spec, n_classes = state.recipe.generator, len(state.classes)
    return sample_images(
        state.sampling_generator, spec, 60, assess.SAMPLE_SEED, state.world.device, n_classes=n_classes, label=label
    )


def image_set(pixels):
    files = tuple(f"{i}.png" for i in range(len(pixels)))
    return ImageSet(images=pixels, name="x", fingerprint="f" * 16, files=files, skipped=(), warnings=())


def tiles(png, side=32):
    """The picture's two rows, uint8 [2, columns, 3, side, side]."""
    page = np.asarray(Image.open(io.BytesIO(png)))
    step = side + 2
    columns = page.shape[1] // step
    assert page.shape == (2 * step + 2, columns * step + 2, 3)
    cut = [
        [page[2 + r * step :, 2 + c * step :][:side, :side].transpose(2, 0, 1) for c in range(columns)]
        for r in range(2)
    ]
    return torch.from_numpy(np.array(cut))


def test_samples_are_redrawn_to_the_pixel(state):
    numbers = [59, 3, 26, 3, 50]
    assert torch.equal(redrawn(state, numbers), samples(state)[numbers])


def test_samples_of_classes_are_redrawn_with_their_classes(job):
    data, objective = {"source": "x", "resolution": 32, "labels": "folders"}, {"conditioning": {"name": "projection"}}
    labels = torch.arange(12) % 3
    state = build_state(job(data=data, objective=objective).recipe, 12, World(), labels=labels, classes=CLASSES)
    drawn = samples(state)
    assert torch.equal(redrawn(state, [59, 4, 31]), drawn[[59, 4, 31]])
    assert not torch.equal(drawn, samples(state, label=0))


def test_redrawing_leaves_the_generator_training_and_the_random_numbers(job):
    state = build_state(job(tricks=[]).recipe, 12, World())
    before = torch.get_rng_state()
    redrawn(state, [0, 40])
    assert state.sampling_generator.training
    assert torch.equal(before, torch.get_rng_state())


def test_fakes_above_and_their_training_images_below(state):
    reals = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    drawn = samples(state)
    above, below = tiles(picture_of_pairs(state, image_set(reals), [Pair(55, 2, 0.1), Pair(7, 11, 0.4)]))
    assert torch.equal(above, drawn[[55, 7]])
    assert torch.equal(below, reals[[2, 11]])


def test_large_images_are_shown_smaller(state, monkeypatch):
    monkeypatch.setattr(pairs, "SIDE", 8)
    reals = torch.full((12, 3, 32, 32), 9, dtype=torch.uint8)
    reals[:, :, ::4] = 25  # a mean of 13 over each 4 x 4 field
    _, below = tiles(picture_of_pairs(state, image_set(reals), [Pair(0, 1, 0.1)]), side=8)
    assert (below == 13).all()


def test_an_evaluation_finds_the_samples_that_are_training_images(job, state):
    """Training images that the generator makes itself: found, paired and nearest first."""
    recipe = job().recipe
    reals = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    reals[4], reals[9] = samples(state)[[37, 52]]
    images = image_set(reals)
    (score,) = assess.assess(state, assess.load_scorers(recipe.evaluation.protocols, images, World(), None))
    copied = [pair for pair in score.pairs if pair.ratio == 0]
    assert [(pair.fake, pair.real) for pair in copied] == [(37, 4), (52, 9)]
    assert len(score.pairs) == 8
    above, below = tiles(picture_of_pairs(state, images, copied))
    assert torch.equal(above, below)


def test_an_evaluation_leaves_its_numbers_and_its_pairs(job, run, rows):
    one = job(evaluation={"protocols": ["fd_tiny", "fd_lite0_1k_train"], "every_kimg": 0.04})
    run(one)
    found = sorted(rows(one)["evaluations"], key=lambda row: (row["kimg"], row["protocol"] != "fd_tiny"))
    assert [row["pairs_uri"] is not None for row in found] == [True, False, True, False]
    for row in found:
        assert all(0 <= row[name] <= 1 for name in ("precision", "recall", "coverage", "memorised"))
        assert row["density"] >= 0
    assert 0 < found[0]["device_s"] < found[2]["device_s"] <= rows(one)["trials"][0]["device_s"]
    assert found[0]["pairs_uri"].endswith("pairs-000000040.png")
    above, below = tiles(Store(one.store).read_artifact(found[2]["pairs_uri"]))
    assert len(above) == len(below) == 8
    photos = load_images(one.recipe.data).images
    assert all(any(torch.equal(tile, photo) for photo in photos) for tile in below)
