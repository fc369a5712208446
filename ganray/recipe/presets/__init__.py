"""Presets: small YAML recipes inside the package. One level, no inheritance."""

from importlib import resources
from typing import Any

import yaml

PRESETS = ("dcgan", "fastgan", "fastgan-baseline", "fastgan-decode", "fastgan-skip")


def load_preset(name: str) -> dict[str, Any]:
    """The recipe fragment of that name."""
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    tree: dict[str, Any] = yaml.safe_load(text)
    return tree
