"""A warm slot: one Tune actor that owns a Ray Train worker group and runs trial after trial on it."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from ganray.cluster.group import WorkerGroup
from ganray.cluster.resources import Demand
from ganray.recipe.experiment import Experiment
from ganray.trial.folder import Runs
from ganray.trial.job import CHECKPOINT, TrialJob


@dataclass(frozen=True)
class SlotConfig:
    """What every trial of a sweep shares."""

    experiment: Experiment
    runs: str
    """A folder or an fsspec URI."""
    store: str
    metric: str
    demand: Demand
    fid_weights: Path | None


class Slot(tune.Trainable):
    """Tune's view of a slot. `config`: the sampler's parameters, and the SlotConfig under `slot`."""

    def setup(self, config: dict[str, Any]) -> None:
        self.slot: SlotConfig = config["slot"]
        slots = Runs.at(self.slot.runs).place(f"{self.slot.experiment.name}/slots")
        self.group = WorkerGroup(self.slot.demand, slots, f"slot-{self.trial_id}")
        self._job_id: int | None = None
        self._prepare(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._prepare(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._job_id is None:
            self._job_id = self.group.submit(self.job)
        result = self.group.next_result(self._job_id)
        assert result is not None  # nobody asked it to stop
        return self._with_metric(result)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        source = self.job.folder / CHECKPOINT
        if source.exists():
            shutil.copy(source, checkpoint_dir)

    def load_checkpoint(self, checkpoint_dir: Any) -> None:
        # The trial's own folder is the truth; Tune's copy serves a slot that cannot see that folder.
        source, target = Path(checkpoint_dir) / CHECKPOINT, self.job.folder / CHECKPOINT
        if source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def cleanup(self) -> None:
        self.group.close()

    def _prepare(self, config: dict[str, Any]) -> None:
        """The job is submitted at the first step: only then has Tune restored what it wants restored."""
        parameters = {key: value for key, value in config.items() if key != "slot"}
        slot = self.slot
        recipe = slot.experiment.fixed(parameters)
        self.job = TrialJob(
            recipe,
            slot.experiment.name,
            slot.runs,
            slot.store,
            slot.fid_weights,
            slot.experiment.settings.search.prune_on,
            slot.experiment.definition_hash,
        )
        self._job_id = None
        self._last_metric = math.inf

    def _with_metric(self, result: dict[str, Any]) -> dict[str, Any]:
        """Every result carries the metric: Tune, ASHA and Optuna each fall over one that does not."""
        value = result.get(self.slot.metric)
        if value is not None and math.isfinite(value):
            self._last_metric = value
        return {**result, "trial": self.job.trial_id, self.slot.metric: self._last_metric}
