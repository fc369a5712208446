"""Self-supervision of the discriminator: its small decoders rebuild the reals (FastGAN, arXiv 2101.04775)."""

import functools
import http.client
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganray.errors import WeightsError

Distance = Callable[[Tensor, Tensor], Tensor]
"""Images [N, 3, S, S] in [-1, 1] (reconstruction, target) -> scalar, the mean over the batch."""

Features = Callable[[Tensor], list[Tensor]]
"""Images [N, 3, S, S] in [-1, 1] -> feature maps [N, C, H, W], one per depth."""

VGG_FILE = "vgg16-397923af.pth"
"""torchvision's name of VGG16_Weights.IMAGENET1K_V1, the backbone that LPIPS was calibrated on."""


def reconstruction_loss(
    x_real: Tensor, full: Tensor, small: Tensor, quarter: Tensor, quarter_index: int, distance: Distance
) -> Tensor:
    """Sum of the distances of three reconstructions to what they rebuild (arXiv 2101.04775, eq. 2).

    `x_real` [N, 3, R, R] is resized, antialiased, to the size of `full` and of `small` [N, 3, S, S]; its quarter
    `quarter_index`, as in `crop_quarter`, to the size of `quarter`. All in [-1, 1]. No gradient reaches `x_real`.
    Raises ValueError for another index.
    """
    pairs = ((full, x_real), (small, x_real), (quarter, crop_quarter(x_real, quarter_index)))
    terms = [distance(rebuilt.float(), _resize(target, rebuilt.shape[-2:])) for rebuilt, target in pairs]
    return torch.stack(terms).sum()


def crop_quarter(x: Tensor, index: int) -> Tensor:
    """A quarter [N, C, R/2, R/2] of images [N, C, R, R].

    0 is top left, 1 top right, 2 bottom left, 3 bottom right. Raises ValueError for another index.
    """
    if index not in range(4):
        raise ValueError(f"quarter_index is {index}, but an image has the quarters 0, 1, 2 and 3")
    height, width = x.shape[-2] // 2, x.shape[-1] // 2
    top, left = (index // 2) * height, (index % 2) * width
    return x[..., top : top + height, left : left + width]


def build_distance(
    name: Literal["l1", "perceptual", "lpips"],
    *,
    features: Features | None = None,
    device: torch.device | str,
) -> Distance:
    """How a reconstruction is compared: `l1`, `perceptual` on the given `features`, or `lpips` (VGG).

    Gradients flow to the reconstruction, the first argument. Raises WeightsError where LPIPS or its backbone
    cannot be had, ValueError where `perceptual` comes without `features`.
    """
    if name == "l1":
        return F.l1_loss
    if name == "lpips":
        return functools.partial(_lpips, load_lpips(torch.device(device)))
    if features is None:
        raise ValueError("the perceptual distance needs the feature maps of an extractor: pass features=")
    return functools.partial(perceptual, features)


def perceptual(features: Features, rebuilt: Tensor, target: Tensor) -> Tensor:
    """Squared distance of channel vectors scaled to length 1, mean over positions, then over the feature maps.

    This is LPIPS without its learnt weights (arXiv 1801.03924, eq. 1, w = 1), averaged over the maps: between 0
    and 4, whatever the extractor and the number of its channels.
    """
    with torch.no_grad():
        wanted = [F.normalize(f.float(), dim=1) for f in features(target)]
    found = [F.normalize(f.float(), dim=1) for f in features(rebuilt)]
    return torch.stack([(a - b).square().sum(dim=1).mean() for a, b in zip(found, wanted)]).mean()


def _lpips(model: nn.Module, rebuilt: Tensor, target: Tensor) -> Tensor:
    distances: Tensor = model(rebuilt, target.detach())  # [N, 1, 1, 1]
    return distances.mean()


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x.detach().float(), size=tuple(size), mode="bilinear", antialias=True)


@functools.lru_cache(maxsize=1)
def load_lpips(device: torch.device) -> nn.Module:
    """LPIPS with VGG-16 (arXiv 1801.03924), frozen; loaded once per process, as that takes seconds.

    Raises WeightsError where the package, or its backbone and the network to download it, is missing.
    """
    try:
        import lpips
    except ImportError as error:
        raise WeightsError(
            f"distance: lpips needs the package lpips ({error}). Install it: pip install 'ganray[lpips]'. "
            f"distance: perceptual and distance: l1 work without it."
        ) from error
    place = Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE
    try:
        # The layers are drawn at random before they are loaded: this must not move the trial's generator.
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision by a deprecated keyword
            model: nn.Module = lpips.LPIPS(net="vgg", verbose=False)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, http.client.HTTPException) as error:
        raise WeightsError(
            f"distance: lpips needs the weights of VGG-16, which torchvision looks for at {place} and else "
            f"downloads; neither gave a usable file ({type(error).__name__}: {error}). "
            f"With a network at hand, run: python -c 'from torchvision.models import VGG16_Weights as W; "
            f"W.IMAGENET1K_V1.get_state_dict(check_hash=True)' and copy the file {VGG_FILE} to that place "
            f"(delete a damaged one first). The package itself comes with: pip install 'ganray[lpips]'. "
            f"distance: perceptual and distance: l1 work without these weights."
        ) from error
    # requires_grad_: the package freezes the backbone but leaves its linear layers trainable
    return model.requires_grad_(False).eval().to(device)
