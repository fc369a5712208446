"""`ganray` with a score that costs nothing: python tiny.py train FILE --local

EfficientNet-Lite0 takes 40 ms per sample and seconds to load; these tests ask when and what is scored, not how.
Run as a script, or loaded by path from conftest.py and two_workers.py.
"""

from dataclasses import replace

from torch.nn.functional import adaptive_avg_pool2d

from ganray.evaluation import score
from ganray.evaluation.extractors import Extractor
from ganray.evaluation.protocols import PROTOCOLS

NAME = "fd_lite0_1k_train"
TINY = {NAME: replace(PROTOCOLS[NAME], n_fake=60, dims=48)}
TINY["fd_tiny"] = replace(TINY[NAME], name="fd_tiny")


class Colours(Extractor):
    """The mean colours of 4 x 4 fields."""

    name, checksum, dims, preprocessing = "colours", "0" * 64, 48, "none"

    def pooled(self, x):
        return adaptive_avg_pool2d(x / 255, 4).flatten(1)


def load_colours(protocol, device, weights=None):
    return Colours(device)


def install():
    """For a process of its own; tests in pytest's process patch the same names and take the patches back."""
    PROTOCOLS.update(TINY)
    score.load_extractor = load_colours


if __name__ == "__main__":
    from ganray.cli.main import main

    install()
    main()
