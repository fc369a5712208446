"""What the store already says of a trial. Without torch: the driver of a sweep asks as well."""

from ganray.store.schema import TrialRow
from ganray.store.store import Store


def stored(store: Store, experiment: str, trial_id: str) -> TrialRow | None:
    """The trial's newest row; None where there is none."""
    rows = store.trials(experiment, trial_id=trial_id).to_pylist()
    if not rows:
        return None
    # A list that an older version did not write is null; TrialRow's own default stands for it.
    return TrialRow(**{name: value for name, value in rows[0].items() if value is not None})
