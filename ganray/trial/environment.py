"""What a number was measured with: versions, commit, device."""

import functools
import importlib.metadata
import platform

import torch

from ganray.version import __version__, code_commit

PACKAGES = ("torch", "torchvision", "pytorch-fid", "timm", "numpy", "ray", "optuna")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can move a number."""
    found = {"python": platform.python_version(), "ganray": __version__}  # in a job, GANRay is not an installed package
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def git_commit() -> str | None:
    """The commit of the code that runs, asked for once."""
    return code_commit()


def device_name(device: torch.device) -> str:
    """`NVIDIA H200`, or the CPU's architecture and cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def memory_bytes(device: torch.device) -> int:
    """Peak memory: of the GPU's allocator, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
