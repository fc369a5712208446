"""Names what is going wrong while a trial trains, with evidence and what to try. Knows nothing of torch."""

from ganray.training.health.diagnosis import Diagnosis, Unhealthy, check_finite
from ganray.training.health.history import History
from ganray.training.health.remedies import REMEDIES, Add, OfBudget, Remedy, Scale, Set, Severity, Try
from ganray.training.health.signs import SETTLED_EVALUATIONS, SIGNS, examine, follow

__all__ = [
    "REMEDIES",
    "SETTLED_EVALUATIONS",
    "SIGNS",
    "Add",
    "Diagnosis",
    "History",
    "OfBudget",
    "Remedy",
    "Scale",
    "Set",
    "Severity",
    "Try",
    "Unhealthy",
    "check_finite",
    "examine",
    "follow",
]
