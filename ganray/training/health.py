"""Names what is going wrong while a trial trains."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ganray.errors import TrainingError


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong, the evidence, and what to try."""

    name: str
    evidence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}; {self.remedy}"


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
        raise Unhealthy(
            Diagnosis(
                "non-finite",
                f"{shown} at {kimg:.3f} kimg",
                "lower the learning rates (optimizers.*.lr), add a penalty or spectral norm, "
                "or set runtime.precision: fp32",
            )
        )
