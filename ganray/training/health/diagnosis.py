"""What a diagnosis is, and the one that ends a trial at once."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ganray.errors import TrainingError
from ganray.training.health.remedies import REMEDIES, Remedy


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong and the evidence; severity and advice go by the name (`REMEDIES`)."""

    name: str
    evidence: str
    since_kimg: float
    """Where it was first seen."""
    kimg: float
    """Where it was last seen; the evidence is of that place."""

    @property
    def remedy(self) -> Remedy:
        return REMEDIES[self.name]

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}; {self.remedy.text}"

    def to_json(self) -> str:
        """As the store keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Diagnosis":
        """Raises ValueError where the text is damaged, or names something that this version does not know."""
        try:
            found = cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"{text!r} is no diagnosis: {error}") from None
        if found.name not in REMEDIES:
            raise ValueError(f"{found.name!r} is a diagnosis that this GANRay does not know")
        return found


class Unhealthy(TrainingError):
    """The trial cannot go on."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis


def check_finite(stats: Mapping[str, float], kimg: float) -> None:
    """Raise Unhealthy where a loss, logit, penalty or gradient norm is NaN or infinite."""
    bad = [name for name, value in stats.items() if not math.isfinite(value)]
    if bad:
        shown = ", ".join(f"{name} = {stats[name]}" for name in bad)
        raise Unhealthy(Diagnosis("non-finite", f"{shown} at {kimg:.3f} kimg", kimg, kimg))
