"""The scorer: cached statistics of the reals, and scores that follow from the features."""

import dataclasses
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from ganray.data.images import ImageSet
from ganray.errors import TrainingError, WeightsError
from ganray.evaluation import score as score_module
from ganray.evaluation.extractors import Extractor
from ganray.evaluation.frechet import frechet_distance
from ganray.evaluation.kernel import kernel_distance
from ganray.evaluation.manifold import manifold_metrics
from ganray.evaluation.memorisation import Pair, memorisation
from ganray.evaluation.protocols import get_protocol
from ganray.evaluation.reals import real_features
from ganray.evaluation.score import Scorer

PROTOCOL = replace(get_protocol("fd_lite0_1k_train"), n_fake=30, dims=12)


class Thumbnail(Extractor):
    """Stands in for a network: the image shrunk to 2 x 2, its calls counted."""

    name, dims = "thumbnail", 12

    def __init__(self, checksum="a" * 64, scale=1.0, preprocessing="2 px"):
        super().__init__("cpu")
        self.checksum, self.scale, self.seen, self.preprocessing = checksum, scale, 0, preprocessing

    def pooled(self, x):
        self.seen += len(x)
        return torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1) / 255 * self.scale


def image_set(n=20, seed=0, fingerprint="0123456789abcdef"):
    pixels = torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    files = tuple(f"{i}.png" for i in range(n))
    return ImageSet(images=pixels, name="noise", fingerprint=fingerprint, files=files, skipped=(), warnings=())


@pytest.fixture
def extractor(monkeypatch):
    thumbnail = Thumbnail()
    monkeypatch.setattr(score_module, "load_extractor", lambda *_: thumbnail)
    return thumbnail


def fakes(n=30):
    return torch.randint(0, 200, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(9))


def test_score_is_made_of_the_distances_of_the_features(extractor, tmp_path):
    scorer = Scorer(PROTOCOL, image_set(), "cpu", cache_dir=tmp_path)
    features = torch.cat([scorer.features(batch) for batch in fakes().split(8)]).numpy()
    found = scorer.score(features)
    real = Thumbnail()(image_set().images).numpy()
    assert found.frechet == pytest.approx(frechet_distance(real, features))
    assert (found.kid, found.kid_stderr) == pytest.approx(kernel_distance(real, features))
    assert (found.precision, found.recall, found.density, found.coverage) == dataclasses.astuple(
        manifold_metrics(real, features)
    )
    copies = memorisation(real, features)
    assert (found.memorised, found.pairs) == (copies.share, copies.pairs)
    assert (found.protocol, found.n_fake, found.n_real) == ("fd_lite0_1k_train", 30, 20)
    assert (found.extractor, found.extractor_checksum) == ("thumbnail", "a" * 64)
    assert 0 < found.seconds < 60


def test_another_number_of_samples_is_refused(extractor, tmp_path):
    scorer = Scorer(PROTOCOL, image_set(), "cpu", cache_dir=tmp_path)
    with pytest.raises(ValueError, match="30 samples"):
        scorer.score(scorer.features(fakes(29)).numpy())


def test_non_finite_features_are_the_generators_diagnosis(extractor, tmp_path):
    scorer = Scorer(PROTOCOL, image_set(), "cpu", cache_dir=tmp_path)
    features = scorer.features(fakes()).numpy()
    features[3, 1], features[7, 2] = np.nan, np.inf
    with pytest.raises(TrainingError, match=r"the generator's samples .* 2 of 30 samples are not finite"):
        scorer.score(features)


def test_a_collapsed_generator_still_has_a_finite_score(extractor, tmp_path):
    scorer = Scorer(PROTOCOL, image_set(), "cpu", cache_dir=tmp_path)
    found = scorer.score(scorer.features(fakes(1).expand(30, -1, -1, -1)).numpy())
    assert np.isfinite([found.frechet, found.kid, found.kid_stderr]).all()
    assert found.frechet > 0


def test_a_copy_of_a_mirror_image_is_paired_with_the_training_image(extractor, tmp_path):
    images = image_set()
    scorer = Scorer(replace(PROTOCOL, flips=True), images, "cpu", cache_dir=tmp_path)
    samples = fakes()
    samples[11] = images.images[7].flip(-1)
    found = scorer.score(scorer.features(samples).numpy())
    assert found.n_real == 40
    assert found.pairs[0] == Pair(11, 7, 0.0)
    assert all(pair.real < 20 for pair in found.pairs)


def test_reals_are_computed_once_for_all_trials(extractor, private_cache):
    first = Scorer(PROTOCOL, image_set(), "cpu")
    assert extractor.seen == 20
    second = Scorer(replace(PROTOCOL, n_fake=40), image_set(), "cpu")
    assert extractor.seen == 20
    np.testing.assert_array_equal(first.features_real, second.features_real)
    assert [path.suffix for path in (private_cache / "features").glob("thumbnail-*")] == [".npy"]


@pytest.mark.parametrize(
    ("protocol", "images", "extractor"),
    [
        (PROTOCOL, image_set(fingerprint="f" * 16), Thumbnail()),
        (PROTOCOL, image_set(), Thumbnail(checksum="b" * 64)),
        (replace(PROTOCOL, flips=True), image_set(), Thumbnail()),
        (PROTOCOL, image_set(), Thumbnail(preprocessing="3 px")),
    ],
    ids=["dataset", "weights", "flips", "preprocessing"],
)
def test_what_changes_the_features_is_computed_anew(tmp_path, protocol, images, extractor):
    real_features(image_set(), PROTOCOL, Thumbnail(), tmp_path)
    real_features(images, protocol, extractor, tmp_path)
    assert extractor.seen > 0
    assert len(list(tmp_path.iterdir())) == 2


def test_flips_add_the_mirror_images(tmp_path):
    images = image_set()
    features = real_features(images, replace(PROTOCOL, flips=True), Thumbnail(), tmp_path)
    np.testing.assert_array_equal(features[:20], Thumbnail()(images.images).numpy())
    np.testing.assert_array_equal(features[20:], Thumbnail()(images.images.flip(-1)).numpy())


@pytest.mark.parametrize("damage", [b"", b"not numpy", None], ids=["empty", "garbage", "cut"])
def test_a_damaged_cache_file_is_replaced(tmp_path, damage):
    whole = real_features(image_set(), PROTOCOL, Thumbnail(), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    extractor = Thumbnail()
    np.testing.assert_array_equal(real_features(image_set(), PROTOCOL, extractor, tmp_path), whole)
    assert extractor.seen == 20
    real_features(image_set(), PROTOCOL, extractor, tmp_path)
    assert extractor.seen == 20


def test_an_unwritable_cache_costs_a_warning_only(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="not cached"):
        features = real_features(image_set(), PROTOCOL, Thumbnail(), tmp_path / "file" / "features")
    assert features.shape == (20, 12)


def test_many_at_once_leave_one_whole_file(tmp_path):
    results = []

    def compute():
        results.append(real_features(image_set(), PROTOCOL, Thumbnail(), tmp_path))

    threads = [threading.Thread(target=compute) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = tmp_path.iterdir()
    assert len(results) == 6
    for result in results:
        np.testing.assert_array_equal(result, np.load(path))


def test_an_extractor_that_gives_nan_for_real_images_is_blamed(tmp_path):
    with pytest.raises(WeightsError, match="not finite for the real images of noise"):
        real_features(image_set(), PROTOCOL, Thumbnail(scale=float("nan")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_extractor_end_to_end(tmp_path):
    """The reals again score better than noise, also below the size at which the network's features die out."""
    protocol = replace(get_protocol("fd_lite0_1k_train"), n_fake=24)
    images = image_set(n=16)
    scorer = Scorer(protocol, images, "cpu", cache_dir=tmp_path)
    same = scorer.score(scorer.features(torch.cat([images.images, images.images[:8]])).numpy())
    other = scorer.score(scorer.features(fakes(24)).numpy())
    assert same.frechet < 0.5 * other.frechet
    assert same.kid < other.kid
    assert same.n_real == 16
