"""What an experiment is, told in a hash: two sweeps of one name may share their rows only where it is the same."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ganray.recipe.recipe import NOT_HASHED


def definition_hash(space: Mapping[str, Any], metric: str) -> str:
    """SHA-256 of the canonical JSON of the space, without `runtime`, and the metric; 64 hex digits.

    Neither the order of keys nor 1 in place of 1.0 enters it; that of a choice's options does, for the first is the
    baseline of a design.
    """
    meaning = {key: _canonical(value) for key, value in space.items() if key not in NOT_HASHED}
    text = json.dumps({"space": meaning, "metric": metric}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _canonical(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_canonical(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node
