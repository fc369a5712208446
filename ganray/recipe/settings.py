"""What an experiment file holds beside the recipe: how to search, with what, and where results go."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ganray.recipe.base import Spec
from ganray.recipe.loggers import Loggers
from ganray.recipe.schedulers import Scheduler, sampler_fault
from ganray.recipe.uris import refuse_credentials

Prunable = Literal[
    "discriminator-overfits",
    "discriminator-weak",
    "discriminator-won",
    "gradient-explosion",
    "gradient-vanishing",
    "logits-saturated",
    "metric-stalls",
    "mode-collapse",
    "oscillation",
]
"""Diagnoses of a trial that could go on (`ganray.training.health`). Values that are not finite end any trial."""


class WarmStart(Spec):
    """Earlier trials of the store that the sampler learns from before it proposes anything.

    Taken are trials that have ended, whose recipes lie in this file's space, and that have a value under the same
    protocol on the same images. They count neither as trials of the sweep nor as done.
    """

    experiment: str | tuple[str, ...] = Field(min_length=1)
    """The experiment, or experiments, whose trials are looked at."""
    where: str | None = Field(default=None, min_length=1)
    """A condition in SQL over the view `results`, for example `n_images >= 100 AND best < 200`."""
    limit: int | None = Field(default=None, ge=1)
    """At most so many, the newest ones; left out: all."""

    @property
    def experiments(self) -> tuple[str, ...]:
        return (self.experiment,) if isinstance(self.experiment, str) else self.experiment


class Search(Spec):
    """How the space is searched."""

    trials: int = Field(default=20, ge=1)
    metric: str | None = None
    """The protocol that trials are compared by; left out: the first of `evaluation.protocols`."""
    sampler: Literal["tpe", "random", "grid", "one_at_a_time"] = "tpe"
    """`grid`: every combination; `one_at_a_time`: the first option of every choice, and each other option alone, both
    with every `seed` of the file. These two set the number of trials themselves."""
    seeds_per_switch: int | None = Field(default=None, ge=1)
    """Under one_at_a_time: all recipes but the baseline take so many of the seeds. Every difference is one from the
    baseline, so its mean is worth more trials than any other's. Left out: every recipe takes all."""
    seed: int = Field(default=0, ge=0)
    startup_trials: int = Field(default=10, ge=1)
    """Random trials before TPE starts to model the space."""
    scheduler: Scheduler | None = None
    prune_on: tuple[Prunable, ...] = ()
    """Diagnoses that end a trial as `pruned`, at the evaluation that finds them.

    None by default: collapsed trainings have been seen to recover. A search of learning rates may well name
    gradient-explosion and mode-collapse.
    """
    start_from: tuple[dict[str, Any], ...] = ()
    """Recipes to try first: plain values for everything that the space leaves open."""
    warm_start: WarmStart | None = None

    @model_validator(mode="after")
    def _warm_start_needs_a_model(self) -> "Search":
        if self.warm_start is not None and self.sampler != "tpe":
            raise ValueError(
                f"warm_start goes with sampler: tpe, not with {self.sampler}, which learns nothing from earlier "
                f"trials; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _scheduler_goes_with_sampler(self) -> "Search":
        if fault := sampler_fault(self.scheduler, self.sampler, self.prune_on, self.trials):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _seeds_per_switch_needs_switches(self) -> "Search":
        if self.seeds_per_switch is not None and self.sampler != "one_at_a_time":
            raise ValueError(
                f"seeds_per_switch goes with sampler: one_at_a_time, not with {self.sampler}; leave it out"
            )
        return self


class Resources(Spec):
    """What one trial needs."""

    workers_per_trial: int = Field(default=1, ge=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)
    gpus_per_worker: Annotated[float, Field(ge=0)] | Literal["auto"] | None = None
    """Fractions allowed; `auto`: as many workers per GPU as fit by the memory that trial runs take, measured before the
    sweep begins. Left out: 1 where the cluster has GPUs and `runtime.device` is not cpu, else 0."""
    slots: int | None = Field(default=None, ge=1)
    """Trials side by side; left out: as many as the cluster has room for."""
    stall_minutes: float = Field(default=15.0, gt=0)
    """A trial that shows no sign of progress for so long hangs: where is written down, and its workers are ended."""


class Settings(Spec):
    """What an experiment file holds beside the recipe."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    """The experiment's name; left out: the file's own, without its suffix."""
    search: Search = Search()
    resources: Resources = Resources()
    runs: str = Field(default="runs", min_length=1)
    """Where checkpoints, sweep state and the study go: a folder, or an fsspec URI such as `s3://bucket/runs`."""
    store: str | None = None
    """Results store, a path or an fsspec URI; left out: `GANRAY_STORE`, else `store` under `runs`."""
    loggers: Loggers = ()
    """Where else the numbers go: tensorboard, wandb, mlflow, aim. The store has all of them in any case."""

    @field_validator("runs", "store")
    @classmethod
    def _no_credentials(cls, value: str | None) -> str | None:
        return None if value is None else refuse_credentials(value)
