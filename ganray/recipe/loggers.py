"""Where else than in the store a sweep's numbers go: `loggers` of an experiment file."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from ganray.recipe.base import Spec
from ganray.recipe.uris import refuse_credentials


class TensorBoard(Spec):
    """Event files in RUNS/EXPERIMENT/tensorboard, one folder per trial: `tensorboard --logdir` of that folder."""

    name: Literal["tensorboard"]


class WeightsAndBiases(Spec):
    """A run per trial, grouped by experiment. The key comes from `wandb login` or WANDB_API_KEY, never from a file."""

    name: Literal["wandb"]
    project: str = Field(default="ganray", min_length=1)
    entity: str | None = Field(default=None, min_length=1)
    """User or team; left out: your own default."""
    mode: Literal["online", "offline"] = "online"
    """offline: files in RUNS/EXPERIMENT/wandb, sent later by `wandb sync`."""


class MLflow(Spec):
    """A run per trial. Credentials come from the environment (MLFLOW_TRACKING_USERNAME, ...), never from a file."""

    name: Literal["mlflow"]
    tracking_uri: str | None = Field(default=None, min_length=1)
    """A server; left out: MLFLOW_TRACKING_URI, else RUNS/EXPERIMENT/mlflow.db."""
    experiment_name: str | None = Field(default=None, min_length=1)
    """Left out: the experiment's own name."""

    @field_validator("tracking_uri")
    @classmethod
    def _no_credentials(cls, value: str | None) -> str | None:
        return None if value is None else refuse_credentials(value)


class Aim(Spec):
    """A run per trial in an Aim repository: `aim up --repo` of it."""

    name: Literal["aim"]
    repo: str | None = Field(default=None, min_length=1)
    """A folder or `aim://HOST:PORT`; left out: RUNS/EXPERIMENT/aim."""

    @field_validator("repo")
    @classmethod
    def _no_credentials(cls, value: str | None) -> str | None:
        return None if value is None else refuse_credentials(value)


LoggerSpec = Annotated[TensorBoard | WeightsAndBiases | MLflow | Aim, Field(discriminator="name")]


def _each_once(specs: tuple[LoggerSpec, ...]) -> tuple[LoggerSpec, ...]:
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is there more than once; leave one entry of it")
    return specs


Loggers = Annotated[tuple[LoggerSpec, ...], AfterValidator(_each_once)]
