"""TensorBoard, Weights & Biases, MLflow and Aim by Ray's own callbacks. Light: Ray is imported when they are built."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganray.errors import RecipeError
from ganray.recipe.experiment import Experiment
from ganray.recipe.loggers import Aim, LoggerSpec, MLflow, TensorBoard, WeightsAndBiases
from ganray.recipe.secrets import masked
from ganray.trial.folder import Runs

if TYPE_CHECKING:
    from ray.tune.logger import LoggerCallback

    from ganray.cluster.detached_logger import DetachedLogger

PACKAGES = {"tensorboard": ("tensorboardX", "tensorboardX"), "wandb": ("wandb", "wandb"),
            "mlflow": ("mlflow", "mlflow-skinny"), "aim": ("aim", "aim")}  # fmt: skip
"""Module, and what to install."""
KEY_VARIABLE = "WANDB_API_KEY"


def check_loggers(specs: Sequence[LoggerSpec]) -> None:
    """Raise RecipeError where a logger's package or login is missing, with the command that brings it."""
    for spec in specs:
        module, package = PACKAGES[spec.name]
        if importlib.util.find_spec(module) is None:
            raise RecipeError(
                f"loggers: {spec.name} needs a package that is not installed: pip install {package} (or leave this "
                f"logger out)"
            )
        if isinstance(spec, WeightsAndBiases) and spec.mode == "online":
            import wandb

            if not os.environ.get(KEY_VARIABLE) and not wandb.api.api_key:
                raise RecipeError(
                    f"loggers: wandb has no key on this machine: run `wandb login`, set {KEY_VARIABLE}, or write "
                    f"mode: offline"
                )


def build_loggers(specs: Sequence[LoggerSpec], runs: Runs, experiment: Experiment) -> list[DetachedLogger]:
    """Tune callbacks for these loggers. Raises RecipeError where a package is of a version that Ray cannot use."""
    from ganray.cluster.detached_logger import DetachedLogger

    built = []
    for spec in specs:
        try:
            inner = _BUILDERS[type(spec)](spec, runs.folder / experiment.name, experiment.name)
        except Exception as error:  # whatever a package of another version raises
            raise RecipeError(
                f"loggers: {spec.name} cannot be used: {masked(str(error))}; install another version of "
                f"{PACKAGES[spec.name][1]}, or leave this logger out"
            ) from error
        built.append(DetachedLogger(spec.name, inner, runs, experiment))
    return built


def _tensorboard(spec: TensorBoard, folder: Path, experiment: str) -> LoggerCallback:
    from ray.tune.logger import TBXLoggerCallback

    return TBXLoggerCallback()


def _wandb(spec: WeightsAndBiases, folder: Path, experiment: str) -> LoggerCallback:
    from ganray.cluster.detached_logger import GOODBYE_S
    from ganray.cluster.wandb_logger import QuietWandb

    folder.mkdir(parents=True, exist_ok=True)
    return QuietWandb(
        project=spec.project,
        group=experiment,
        upload_timeout=int(GOODBYE_S),
        entity=spec.entity,
        mode=spec.mode,
        dir=str(folder),
        resume="allow" if spec.mode == "online" else None,
    )


def _mlflow(spec: MLflow, folder: Path, experiment: str) -> LoggerCallback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    folder.mkdir(parents=True, exist_ok=True)
    uri = spec.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
    return MLflowLoggerCallback(
        tracking_uri=uri, experiment_name=spec.experiment_name or experiment, tags={"experiment": experiment}
    )


def _aim(spec: Aim, folder: Path, experiment: str) -> LoggerCallback:
    from ray.tune.logger.aim import AimLoggerCallback

    if spec.repo is None:
        (folder / "aim").mkdir(parents=True, exist_ok=True)
    return AimLoggerCallback(repo=spec.repo or str(folder / "aim"), experiment_name=experiment)


_BUILDERS: dict[type, Callable[..., LoggerCallback]] = {
    TensorBoard: _tensorboard,
    WeightsAndBiases: _wandb,
    MLflow: _mlflow,
    Aim: _aim,
}
