"""The reconstruction loss and its distances; LPIPS on a VGG of random weights and where it cannot be had."""

import sys
import urllib.error

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganray.errors import WeightsError
from ganray.objectives.reconstruction import VGG_FILE, build_distance, load_lpips, reconstruction_loss


def quartered(values, size=16):
    """One image whose quarters (top left, top right, bottom left, bottom right) hold these values."""
    small = torch.tensor(values).view(1, 1, 2, 2)
    return F.interpolate(small, size=size, mode="nearest").expand(1, 3, -1, -1).contiguous()


@pytest.mark.parametrize("index", range(4))
def test_l1_hand_computed(index):
    values = [0.1, 0.2, 0.4, 0.9]
    blank = [torch.zeros(1, 3, size, size) for size in (8, 4, 8)]
    value = reconstruction_loss(quartered(values), *blank, index, build_distance("l1", device="cpu"))
    mean = (0.1 + 0.2 + 0.4 + 0.9) / 4
    assert value.item() == pytest.approx(mean + mean + values[index], rel=1e-5)


def test_perfect_reconstructions_cost_nothing():
    x_real = torch.rand(2, 3, 16, 16) * 2 - 1
    l1 = build_distance("l1", device="cpu")
    assert reconstruction_loss(x_real, x_real, x_real, x_real[..., 8:, :8], 2, l1).item() == 0


def test_targets_are_antialiased():
    # Rows -1, 1, 1, -1, ...: their mean is 0, but the two rows nearest to each of 8 centres are both 1.
    stripes = torch.tensor([-1.0, 1.0, 1.0, -1.0]).repeat(8).view(1, 1, 32, 1).expand(1, 3, 32, 32)
    blank = [torch.zeros(1, 3, 8, 8) for _ in range(3)]
    assert reconstruction_loss(stripes, *blank, 0, build_distance("l1", device="cpu")).item() < 0.1


def test_gradients_reach_the_decoders_but_not_the_reals():
    x_real = torch.rand(2, 3, 16, 16, requires_grad=True)
    rebuilt = [torch.rand(2, 3, 8, 8, requires_grad=True) for _ in range(3)]
    reconstruction_loss(x_real, *rebuilt, 3, build_distance("l1", device="cpu")).backward()
    assert all(r.grad.abs().sum() > 0 for r in rebuilt)
    assert x_real.grad is None


def test_half_precision_reconstructions_are_compared_in_fp32():
    rebuilt = [torch.rand(2, 3, 8, 8).bfloat16() for _ in range(3)]
    value = reconstruction_loss(torch.rand(2, 3, 16, 16), *rebuilt, 0, build_distance("l1", device="cpu"))
    assert value.dtype == torch.float32


@pytest.mark.parametrize("index", [-1, 4])
def test_there_are_four_quarters(index):
    x = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ValueError, match=f"quarter_index is {index}"):
        reconstruction_loss(x, x, x, x, index, build_distance("l1", device="cpu"))


def test_perceptual_hand_computed():
    # the two maps are the channels (0, 1) and (1, 2) of the pixels themselves
    distance = build_distance("perceptual", features=lambda x: [x[:, :2], x[:, 1:]], device="cpu")
    rebuilt = torch.tensor([3.0, 4.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    target = torch.tensor([1.0, 0.0, 2.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    first = (0.6 - 1) ** 2 + (0.8 - 0) ** 2  # (3, 4) / 5 against (1, 0)
    second = (1 - 0) ** 2 + (0 - 1) ** 2  # (4, 0) / 4 against (0, 2) / 2
    assert distance(rebuilt, target).item() == pytest.approx((first + second) / 2)
    assert distance(target, target).item() == 0


def test_perceptual_gradients_are_finite_where_features_are_zero():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU()).requires_grad_(False)
    distance = build_distance("perceptual", features=lambda x: [network(x)], device="cpu")
    rebuilt = torch.zeros(1, 3, 8, 8)
    rebuilt[..., :4] = torch.rand(1, 3, 8, 4)
    rebuilt.requires_grad_()
    distance(rebuilt, torch.rand(1, 3, 8, 8)).backward()
    assert rebuilt.grad.isfinite().all()
    assert rebuilt.grad.abs().sum() > 0


def test_perceptual_needs_features():
    with pytest.raises(ValueError, match="pass features="):
        build_distance("perceptual", device="cpu")


class Convolutions(nn.Module):
    """torchvision's VGG-16 without its classifier, which is 90 % of it and unused here."""

    def __init__(self, features, **_):
        super().__init__()
        self.features = features


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch hub of its own, no network, and a smaller VGG."""
    pytest.importorskip("lpips")

    def no_network(*_, **__):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    monkeypatch.setattr("torchvision.models.vgg.VGG", Convolutions)
    load_lpips.cache_clear()
    yield tmp_path / "hub" / "checkpoints" / VGG_FILE
    load_lpips.cache_clear()


@pytest.fixture
def stub_vgg(hub):
    """Random weights where torch's hub keeps the real ones."""
    from torchvision.models.vgg import cfgs, make_layers

    hub.parent.mkdir(parents=True)
    features = make_layers(cfgs["D"], batch_norm=False)
    torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, hub)
    return hub


def test_lpips_on_a_stub_backbone(stub_vgg, capsys, recwarn):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    distance = build_distance("lpips", device="cpu")
    assert torch.equal(before, torch.get_rng_state())  # building it moves no trial's random numbers
    assert capsys.readouterr().out == ""
    assert not recwarn.list
    assert not any(p.requires_grad for p in load_lpips(torch.device("cpu")).parameters())

    rebuilt, target = (torch.rand(2, 3, 32, 32) * 2 - 1 for _ in range(2))
    rebuilt.requires_grad_()
    value = distance(rebuilt, target)
    singles = [distance(rebuilt[i : i + 1], target[i : i + 1]).item() for i in range(2)]
    assert value.shape == ()
    assert value.item() == pytest.approx(sum(singles) / 2, rel=1e-4)
    assert value.item() > 0
    assert distance(target, target).item() == 0
    value.backward()
    assert rebuilt.grad.isfinite().all()
    assert (rebuilt.grad != 0).float().mean() > 0.9


def test_lpips_is_loaded_once_per_process(stub_vgg):
    build_distance("lpips", device="cpu")
    stub_vgg.unlink()
    build_distance("lpips", device="cpu")


def assert_helpful(message, hub):
    assert str(hub) in message
    assert hub.name == "vgg16-397923af.pth"
    for remedy in ("pip install 'ganray[lpips]'", "distance: perceptual", "distance: l1"):
        assert remedy in message


def test_lpips_without_network(hub):
    with pytest.raises(WeightsError) as caught:
        build_distance("lpips", device="cpu")
    assert_helpful(str(caught.value), hub)
    assert "no network in tests" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", b"not a checkpoint"])
def test_lpips_with_a_damaged_file(hub, content):
    hub.parent.mkdir(parents=True)
    hub.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        build_distance("lpips", device="cpu")
    assert_helpful(str(caught.value), hub)


def test_lpips_without_the_package(monkeypatch):
    load_lpips.cache_clear()
    monkeypatch.setitem(sys.modules, "lpips", None)  # as if it were not installed
    with pytest.raises(WeightsError, match=r"pip install 'ganray\[lpips\]'.*perceptual.*l1"):
        build_distance("lpips", device="cpu")


def test_the_file_is_the_one_that_torchvision_looks_for():
    from torchvision.models import VGG16_Weights

    assert VGG16_Weights.IMAGENET1K_V1.url.endswith(f"/{VGG_FILE}")
