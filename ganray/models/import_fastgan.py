"""Reads checkpoints of the FastGAN authors' code: names and layout converted, numbers unchanged.

Such a checkpoint is a dict with `g` and `d` (state dicts, old-style spectral norm, perhaps `module.` prefixes)
and `g_ema` (a list of the generator's averaged parameters in the order of `parameters()`, without buffers).
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ganray.errors import WeightsError
from ganray.models.registry import build_discriminator, build_generator
from ganray.recipe.discriminators import Decode, FastGANDiscriminator
from ganray.recipe.generators import FastGANGenerator

State = dict[str, Tensor]

# (pattern in the authors' names, ours), applied in this order.
_SPECTRAL_NORM = (
    (r"weight_orig$", "parametrizations.weight.original"),
    (r"weight_(u|v)$", r"parametrizations.weight.0._\1"),
)
# Their excitations and decoders begin with a pooling layer that is no member of ours.
_GATE = {1: 0, 3: 2}
_GENERATOR_NAMES = (
    (r"^init\.init\.", "initial."),
    (r"^feat_(\d+)\.", r"blocks.\1."),
    *((rf"^se_(\d+)\.main\.{i}\.", rf"excitations.\1.gate.{ours}.") for i, ours in _GATE.items()),
    (r"^to_big\.", "to_full."),
    (r"^to_128\.", "to_small."),
)
# The authors number D's blocks by the factor down from 512 px, the stem included; we by the side of their map.
_DOWN = {"4": 128, "8": 64, "16": 32, "32": 16, "64": 8}
_EXCITED = {"2_16": 32, "4_32": 16, "8_64": 8}
_DECODERS = {"big": "full", "part": "quarter", "small": "small"}
_DISCRIMINATOR_NAMES = (
    (r"^down_from_big\.", "stem."),
    *((rf"^down_{k}\.main\.", f"down.{side}.convolved.") for k, side in _DOWN.items()),
    *((rf"^down_{k}\.direct\.", f"down.{side}.pooled.") for k, side in _DOWN.items()),
    *(
        (rf"^se_{k}\.main\.{i}\.", f"excitations.{side}.gate.{ours}.")
        for k, side in _EXCITED.items()
        for i, ours in _GATE.items()
    ),
    (r"^rf_big\.", "head_full."),
    (r"^down_from_small\.0\.", "encoder_small.0."),
    (r"^down_from_small\.(\d+)\.main\.", r"encoder_small.\1."),
    (r"^rf_small\.", "head_small."),
    *(
        (rf"^decoder_{k}\.main\.{i}\.", f"decoders.{ours}.{i - 1}.")
        for k, ours in _DECODERS.items()
        for i in range(1, 6)
    ),
)
_BUFFER = re.compile(r"(weight_u|weight_v|running_mean|running_var|num_batches_tracked)$")


@dataclass(frozen=True)
class ImportedFastGAN:
    """A checkpoint of the authors in our terms: specs to build the networks, state dicts to load into them."""

    generator_spec: FastGANGenerator
    discriminator_spec: FastGANDiscriminator | None
    resolution: int
    generator_state: State
    discriminator_state: State | None
    ema_state: State | None
    """Averaged parameters with the buffers of `g`, because the authors' average has no buffers."""


def import_fastgan(path: Path) -> ImportedFastGAN:
    """Width, latent dimension and resolution come from the shapes; 256, 512 and 1024 px.

    Nothing of the file is executed. Raises WeightsError naming what was found and what was expected.
    """
    checkpoint = _load(path)
    generator = _without_prefix(path, checkpoint, "g")
    resolution = 2 ** (7 + sum(f"feat_{side}.1.weight_orig" in generator for side in (256, 512, 1024)))
    generator_spec = _generator_spec(path, generator, resolution)
    state = _converted(generator, _GENERATOR_NAMES)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not ours to use up
        _compare(path, "g", state, build_generator(generator_spec, resolution))
    ema = _averaged(path, generator, checkpoint["g_ema"]) if "g_ema" in checkpoint else None
    discriminator_spec, discriminator_state = _discriminator(path, checkpoint, resolution)
    return ImportedFastGAN(
        generator_spec=generator_spec,
        discriminator_spec=discriminator_spec,
        resolution=resolution,
        generator_state=state,
        discriminator_state=discriminator_state,
        ema_state=None if ema is None else _converted(ema, _GENERATOR_NAMES),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is not there; give the path of a FastGAN checkpoint (.pth)") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise WeightsError(f"{path} is not a checkpoint that torch can read safely: {reason}") from error
    if not isinstance(checkpoint, dict) or "g" not in checkpoint:
        found = f"keys {list(checkpoint)[:6]}" if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise WeightsError(
            f"{path} is not a checkpoint of the FastGAN authors' code: expected a dict with `g` (and `d`, "
            f"`g_ema`), found {found}"
        )
    return checkpoint


def _without_prefix(path: Path, checkpoint: dict[str, Any], key: str) -> State:
    state = checkpoint[key]
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: `{key}` is a {type(state).__name__}, not a state dict of tensors")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _generator_spec(path: Path, state: State, resolution: int) -> FastGANGenerator:
    first = _weight(path, "g", state, "init.init.0.weight_orig")  # [latent_dim, 32 width, 4, 4]
    small = _weight(path, "g", state, "to_128.weight_orig")  # [3, width, 1, 1]
    if resolution == 128:
        raise WeightsError(f"{path}: `g` has no feat_256; expected a generator for 256, 512 or 1024 px")
    try:
        return FastGANGenerator(
            name="fastgan",
            width=small.shape[1],
            latent_dim=first.shape[0],
            skip="se_64.main.1.weight_orig" in state,
            output="tanh" if resolution == 1024 else "linear",
        )
    except ValidationError as error:
        raise WeightsError(f"{path}: `g` has a size that GANRay does not know: {error}") from error


def _discriminator(
    path: Path, checkpoint: dict[str, Any], resolution: int
) -> tuple[FastGANDiscriminator | None, State | None]:
    if "d" not in checkpoint:
        return None, None
    state = _without_prefix(path, checkpoint, "d")
    head = _weight(path, "d", state, "rf_small.weight_orig")  # [1, 4 width, 4, 4]
    decode = Decode() if "decoder_big.main.1.1.weight_orig" in state else None
    try:
        spec = FastGANDiscriminator(name="fastgan", width=head.shape[1] // 4, decode=decode)
    except ValidationError as error:
        raise WeightsError(f"{path}: `d` has a size that GANRay does not know: {error}") from error
    converted = _converted(state, _DISCRIMINATOR_NAMES)
    with torch.random.fork_rng(devices=[]):
        _compare(path, "d", converted, build_discriminator(spec, resolution))
    return spec, converted


def _averaged(path: Path, state: State, averages: Any) -> State:
    """The averaged parameters laid over `g` in the order of its parameters; buffers stay those of `g`."""
    names = [name for name in state if not _BUFFER.search(name)]
    shapes = [tuple(state[name].shape) for name in names]
    if not isinstance(averages, list | tuple) or [tuple(getattr(a, "shape", ())) for a in averages] != shapes:
        found = f"a {type(averages).__name__} of {len(averages) if hasattr(averages, '__len__') else '?'}"
        raise WeightsError(
            f"{path}: `g_ema` is {found} that does not fit `g`; expected a list of its {len(names)} parameters "
            f"in their order, with the same shapes"
        )
    return {**state, **{name: average.detach() for name, average in zip(names, averages)}}


def _weight(path: Path, key: str, state: State, name: str) -> Tensor:
    if name not in state or state[name].ndim != 4:
        found = tuple(state[name].shape) if name in state else f"names like {list(state)[:4]}"
        raise WeightsError(
            f"{path}: `{key}` has no {name} of 4 dimensions; expected the names of the FastGAN authors' code, "
            f"found {found}"
        )
    return state[name]


def _converted(state: State, names: tuple[tuple[str, str], ...]) -> State:
    converted = {}
    for name, value in state.items():
        for pattern, ours in (*names, *_SPECTRAL_NORM):
            name = re.sub(pattern, ours, name)
        converted[name] = value
    return converted


def _compare(path: Path, key: str, state: State, network: nn.Module) -> None:
    found = {name: tuple(value.shape) for name, value in state.items()}
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    shapes = [n for n in expected if n in found and found[n] != expected[n]]
    problems = {
        "missing": [n for n in expected if n not in found],
        "unexpected": [n for n in found if n not in expected],
        "of another shape": [f"{n} {found[n]} instead of {expected[n]}" for n in shapes],
    }
    if any(problems.values()):
        raise WeightsError(
            f"{path}: `{key}` is not a FastGAN network as its authors' code makes it (our names): "
            + "; ".join(f"{len(names)} {what}, {names[:3]}" for what, names in problems.items() if names)
        )
