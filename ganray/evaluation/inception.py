"""pytorch-fid's Inception filled from a local file: its classes, its resize, its normalisation, no network.

Importing this module imports torchvision, which takes seconds.
"""

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from pytorch_fid import inception as pytorch_fid
from torch import Tensor, nn

from ganray.errors import WeightsError

BATCH_NORM_EPS = 1e-3  # of every BasicConv2d in torchvision's Inception

# The children that make up each of pytorch-fid's four blocks (its InceptionV3.__init__).
BLOCKS: tuple[tuple[str, ...], ...] = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
    ("Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    tuple(f"Mixed_{name}" for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e")),
    ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)


class LocalInception(pytorch_fid.InceptionV3):
    """pytorch-fid's InceptionV3 up to one block; its own constructor would fetch the weights by URL."""

    def __init__(self, path: Path, dims: int) -> None:
        """Weights from `path` (.pth or the folded .npz); `dims` is one of 64, 192, 768, 2048. Raises WeightsError."""
        nn.Module.__init__(self)
        self.resize_input = True
        self.normalize_input = True
        self.last_needed_block = self.BLOCK_INDEX_BY_DIM[dims]
        self.output_blocks = [self.last_needed_block]
        children = _filled_children(path, BLOCKS[: self.last_needed_block + 1])
        pools = (nn.MaxPool2d(3, 2), nn.MaxPool2d(3, 2), None, nn.AdaptiveAvgPool2d((1, 1)))
        self.blocks = nn.ModuleList()
        for names, pool in zip(BLOCKS[: self.last_needed_block + 1], pools):
            layers = [children[name] for name in names]
            self.blocks.append(nn.Sequential(*layers, *([pool] if pool is not None else [])))
        self.requires_grad_(False).eval()

    def pooled(self, x: Tensor) -> Tensor:
        """Features averaged over space, as pytorch-fid averages them: x [N, 3, H, W] in [0, 1] -> [N, dims]."""
        features: Tensor = self(x)[0]
        return features.mean(dim=(2, 3))


def _filled_children(path: Path, blocks: tuple[tuple[str, ...], ...]) -> Mapping[str, nn.Module]:
    """The layers of these blocks with the file's weights in them."""
    # Built without memory or random numbers: a trial's generators stay where they were.
    with torch.device("meta"):
        network = _fid_inception()
    children = {name: getattr(network, name) for block in blocks for name in block}
    state = _read_state(path)
    try:
        for name, child in children.items():
            own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            child.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"{path}: these weights do not fit pytorch-fid's Inception: {error}") from error
    return children


def _fid_inception() -> nn.Module:
    """torchvision's Inception with pytorch-fid's blocks in place of its own, unfilled (its fid_inception_v3)."""
    network: nn.Module = pytorch_fid._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    network.Mixed_5b = pytorch_fid.FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = pytorch_fid.FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = pytorch_fid.FIDInceptionA(288, pool_features=64)
    network.Mixed_6b = pytorch_fid.FIDInceptionC(768, channels_7x7=128)
    network.Mixed_6c = pytorch_fid.FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6d = pytorch_fid.FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6e = pytorch_fid.FIDInceptionC(768, channels_7x7=192)
    network.Mixed_7b = pytorch_fid.FIDInceptionE_1(1280)
    network.Mixed_7c = pytorch_fid.FIDInceptionE_2(2048)
    return network


def _read_state(path: Path) -> Mapping[str, Tensor]:
    """State dict of the file; an .npz holds folded convolutions, whose batch norms become mere biases."""
    try:
        if path.suffix != ".npz":
            state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
            return state
        with np.load(path) as arrays:
            return _unfold({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    except (OSError, ValueError, RuntimeError, EOFError, BadZipFile) as error:
        raise WeightsError(f"{path}: the Inception weights cannot be read ({error})") from error


def _unfold(arrays: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Add the batch norms' other tensors so that each one only adds its bias."""
    state = dict(arrays)
    for name, bias in arrays.items():
        if name.endswith(".bn.bias"):
            norm = name.removesuffix("bias")
            state[f"{norm}weight"] = torch.ones_like(bias)
            state[f"{norm}running_mean"] = torch.zeros_like(bias)
            state[f"{norm}running_var"] = torch.full_like(bias, 1.0 - BATCH_NORM_EPS)
    return state
