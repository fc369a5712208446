"""A warm slot: one Tune actor that owns a Ray Train worker group and runs trial after trial on it."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from ganray.cluster.board import is_over
from ganray.cluster.group import WorkerGroup
from ganray.cluster.resources import Demand
from ganray.recipe.experiment import Experiment
from ganray.trial.folder import Runs
from ganray.trial.job import CHECKPOINT, TAKEN, TrialJob
from ganray.trial.member import FIRST, MEMBER, OURS

FAILURES = 3
"""A slot that has failed so many trials in a row is replaced."""


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
    board: str
    """Name of the board that says when the sweep is over."""
    may_wait: bool = False
    """Nodes come and go: a slot that finds no room waits for some."""


class Slot(tune.Trainable):
    """Tune's view of a slot. `config`: the sampler's parameters, and the SlotConfig under `slot`."""

    def setup(self, config: dict[str, Any]) -> None:
        self.slot: SlotConfig = config["slot"]
        self._groups = 0
        self.group: WorkerGroup | None = self._new_group()
        self._job_id: int | None = None
        self._failures = 0
        """Trials that have failed in a row."""
        self._prepare(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._prepare(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self.group is None:
            self.group = self._new_group()
        if self._job_id is None:
            self._job_id = self.group.submit(self.job)
        result = self.group.next_result(self._job_id, stop=lambda: is_over(self.slot.board))
        if result is None:
            return self._let_go()
        if self._ends_here(result):
            # Another slot may go on with it, and needs its lock; if it is this one, from the checkpoint.
            self.group.leave(self._job_id)
            self._job_id = None
        self._kimg = result["kimg"]
        return self._with_metric({**result, **self._replaced_after(result)})

    def _let_go(self) -> dict[str, Any]:
        """The sweep is over: the workers save what they have; Tune gets a result, since it waits for one."""
        self.cleanup()
        return self._with_metric({"kimg": self._kimg, "status": "running", "done": True})

    def _replaced_after(self, result: dict[str, Any]) -> dict[str, Any]:
        """Start the slot anew where it has failed several trials in a row: it may be the node, not the recipes."""
        if not result["done"]:
            return {}
        self._failures = self._failures + 1 if result["status"] == "failed" else 0
        if self._failures < FAILURES:
            return {}
        self._failures = 0
        self.cleanup()
        return {"slot_replaced": f"failed {FAILURES} recipes in a row and is replaced; is something wrong there?"}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        source = self.job.folder / CHECKPOINT
        if self.job.member is not None and self.job.files.runs.is_remote:
            from ganray.trial.mirror import Mirror

            Mirror(self.job.files).pull()  # its workers may be on another machine
        if source.exists():
            shutil.copy(source, checkpoint_dir)

    def load_checkpoint(self, checkpoint_dir: Any) -> None:
        member = self.job.member
        if member is not None and member.exploit is not None:
            self._hand_over(Path(checkpoint_dir) / CHECKPOINT)
            return
        # The trial's own folder is the truth; Tune's copy serves a slot that cannot see that folder.
        source, target = Path(checkpoint_dir) / CHECKPOINT, self.job.folder / CHECKPOINT
        if source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def cleanup(self) -> None:
        group, self.group = self.group, None
        if group is not None:
            group.close()

    def _new_group(self) -> WorkerGroup:
        slots = Runs.at(self.slot.runs).place(f"{self.slot.experiment.name}/slots")
        name = f"slot-{self.trial_id}" + (f"-{self._groups}" if self._groups else "")
        self._groups += 1
        return WorkerGroup(self.slot.demand, slots, name, may_wait=self.slot.may_wait)

    def _prepare(self, config: dict[str, Any]) -> None:
        """The job is submitted at the first step: only then has Tune restored what it wants restored."""
        slot = self.slot
        # A member of a population keeps the id of the recipe that it began with.
        parameters = config.get(FIRST) or {key: value for key, value in config.items() if key not in OURS}
        recipe = slot.experiment.fixed(parameters)
        self.job = TrialJob(
            recipe,
            slot.experiment.name,
            slot.runs,
            slot.store,
            slot.fid_weights,
            slot.experiment.settings.search.prune_on,
            slot.experiment.definition_hash,
            member=config.get(MEMBER),
            stall_s=60.0 * slot.experiment.settings.resources.stall_minutes,
        )
        self._job_id = None
        self._kimg = 0.0
        self._last_metric = math.inf

    def _ends_here(self, result: dict[str, Any]) -> bool:
        """Whether a member of a population has come to where Tune pauses it."""
        member = self.job.member
        return member is not None and not result["done"] and member.is_due(result["kimg"])

    def _hand_over(self, source: Path) -> None:
        """Lay another member's checkpoint into the trial's folder, for the workers to take over."""
        target = self.job.folder / TAKEN
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        if self.job.files.runs.is_remote:
            self.job.files.runs.send(f"{self.job.files.relative}/{TAKEN}")

    def _with_metric(self, result: dict[str, Any]) -> dict[str, Any]:
        """Every result carries the metric: Tune, ASHA and Optuna each fall over one that does not."""
        value = result.get(self.slot.metric)
        if value is not None and math.isfinite(value):
            self._last_metric = value
        return {**result, "trial": self.job.trial_id, self.slot.metric: self._last_metric}
